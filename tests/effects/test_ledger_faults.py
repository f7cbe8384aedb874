"""What a person is told when the ledger cannot be used; nothing is mended on the way."""

import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from itertools import pairwise
from pathlib import Path

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import Edited
from autoresearch_mcp.effects.ledger import Ledger, append, connected

RESEARCH = "autoresearch/2026-11-23"
CONTENTS = [f"{number:064x}" for number in range(400)]

APPEND = """\
import sys
from pathlib import Path
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import Edited
from autoresearch_mcp.effects.ledger import Ledger
ledger, seen = Ledger(Path(sys.argv[1])), 0
try:
    for seen in range(5000):
        event = Edited(research="r", path="p", before=f"before {seen}", after=f"after {seen}")
        ledger.append(event)
        assert ledger.knows("r", f"after {seen}")
except Fault as fault:
    print(fault)
Path(sys.argv[2]).unlink(missing_ok=True)
print(ledger.verify(), seen)
"""


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """A ledger of many pages."""
    made = Ledger(tmp_path / "state" / "ledger.sqlite")
    with connected(made.path) as db:
        db.execute("BEGIN")
        for before, after in pairwise(CONTENTS):
            append(db, Edited(research=RESEARCH, path="train.py", before=before, after=after))
        db.execute("COMMIT")
    return made


def message(call: Callable[[], object]) -> str:
    """Return the one line that a person is told."""
    with pytest.raises(Fault) as caught:
        call()
    text = str(caught.value)
    assert "\n" not in text
    return text


def test_a_folder_in_the_ledgers_place(tmp_path: Path) -> None:
    path = tmp_path / "ledger.sqlite"
    path.mkdir()
    ledger = Ledger(path)

    for call in (ledger.verify, ledger.last_trial):
        assert "is a folder: move it away" in message(call)


def test_a_folder_where_the_ledgers_folder_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("a file")

    told = message(
        lambda: Ledger(tmp_path / "state" / "ledger.sqlite").append(
            Edited(research="r", path="p", before="a", after="b")
        )
    )
    assert "cannot be used" in told


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_a_damaged_page_is_told_and_left(ledger: Ledger, part: float) -> None:
    content = bytearray(ledger.path.read_bytes())
    page = 4096 * int(len(content) / 4096 * part)
    content[page : page + 4096] = b"\xa5" * 4096
    ledger.path.write_bytes(content)

    told = message(ledger.verify)
    assert "keep the file" in told
    assert ledger.path.read_bytes() == content


def test_a_truncated_file_is_told_and_left(ledger: Ledger) -> None:
    content = ledger.path.read_bytes()[:-8192]
    ledger.path.write_bytes(content)

    assert "keep the file" in message(ledger.verify)
    assert ledger.path.read_bytes() == content


def test_a_damaged_view_is_made_anew_on_request(ledger: Ledger) -> None:
    with closing(sqlite3.connect(ledger.path)) as db:
        query = "SELECT rootpage FROM sqlite_master WHERE name = 'content_by_seq'"
        (root,) = db.execute(query).fetchone()
    with ledger.path.open("r+b") as file:
        file.seek(4096 * (root - 1) + 8)
        file.write(b"\xff" * 64)

    assert "ledger rebuild" in message(ledger.verify)
    assert ledger.rebuild().wrong
    assert ledger.verify() == len(CONTENTS) - 1


def test_a_missing_log_of_the_newest_events_is_told(ledger: Ledger, tmp_path: Path) -> None:
    die_with_an_open_ledger(ledger)
    log, index = Path(f"{ledger.path}-wal"), Path(f"{ledger.path}-shm")
    assert log.exists()
    assert index.exists()
    log.rename(tmp_path / "kept")

    for call in (ledger.check, ledger.verify, ledger.last_trial):
        assert "-wal is gone" in message(call)

    (tmp_path / "kept").rename(log)
    assert ledger.knows("r", "the newest")
    assert ledger.verify() == len(CONTENTS)


def die_with_an_open_ledger(ledger: Ledger) -> None:
    """Append an event in a process that is killed while another connection is open."""
    script = (
        "import os, signal, sqlite3, sys; from pathlib import Path\n"
        "from autoresearch_mcp.core.events import Edited\n"
        "from autoresearch_mcp.effects.ledger import Ledger\n"
        "held = sqlite3.connect(sys.argv[1]); held.execute('SELECT count(*) FROM event')\n"
        "Ledger(Path(sys.argv[1])).append("
        "Edited(research='r', path='p', before='one', after='the newest'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    done = subprocess.run([sys.executable, "-c", script, str(ledger.path)], check=False)
    assert done.returncode == -signal.SIGKILL


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap makes the small disk")
def test_a_full_disk_is_told_and_what_was_acknowledged_stays(tmp_path: Path) -> None:
    """On a disk of 1 MiB; a file that takes some of the room is removed to go on."""
    script = APPEND
    command = [
        *("bwrap", "--dev-bind", "/", "/", "--size", str(600_000), "--tmpfs", str(tmp_path)),
        *(sys.executable, "-c", f"import sys; {_BALLAST}\n{script}"),
        *(f"{tmp_path}/ledger.sqlite", f"{tmp_path}/ballast"),
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "bwrap:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert done.returncode == 0, done.stderr
    told, counted = done.stdout.splitlines()
    assert "free some disk space" in told
    events, seen = map(int, counted.split())
    assert events in {seen, seen + 1}


_BALLAST = "open(sys.argv[2], 'wb').write(bytes(150_000))"


@pytest.mark.skipif(shutil.which("bwrap") is None, reason="bubblewrap makes the read-only disk")
def test_a_read_only_disk_is_told(ledger: Ledger) -> None:
    folder = str(ledger.path.parent)
    command = [
        *("bwrap", "--dev-bind", "/", "/", "--ro-bind", folder, folder),
        *(sys.executable, "-c", APPEND, str(ledger.path), "/nonexistent"),
    ]
    before = {file: file.read_bytes() for file in ledger.path.parent.iterdir()}
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if "bwrap:" in done.stderr:
        pytest.skip(done.stderr.strip())
    assert "writable" in done.stdout
    assert "Traceback" not in done.stdout
    assert {file: file.read_bytes() for file in ledger.path.parent.iterdir()} == before
