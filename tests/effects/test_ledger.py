"""The ledger: append-only, chained, and never at odds with its projections."""

import sqlite3
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import (
    Edited,
    Event,
    Queued,
    Running,
    Staged,
    TrialEvent,
)
from autoresearch_mcp.core.steps import IllegalStep, advance
from autoresearch_mcp.core.trial import Phase, ProcessId, TrialRecord
from autoresearch_mcp.effects.ledger import Changed, Ledger

RESEARCH = "autoresearch/2026-11-23"


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path / "state" / "ledger.sqlite")


def staged(trial: int) -> Event:
    return Staged(
        trial=trial,
        research=RESEARCH,
        base="b" * 40,
        candidate="c" * 40,
        arm="a",
        baseline=False,
        hypothesis="wider",
        added=1,
        removed=0,
    )


def queued(trial: int) -> Queued:
    return Queued(trial=trial, process=ProcessId(pid=1, started="1", boot="x"))


def test_an_empty_ledger_answers_without_making_a_file(ledger: Ledger) -> None:
    assert ledger.trials(RESEARCH) == ()
    assert ledger.trial(1) is None
    assert not ledger.path.exists()


def test_projections_are_what_the_events_add_up_to(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append_with(staged)
    ledger.append(queued(2))
    ledger.append(Running(trial=2))

    replayed: dict[int, TrialRecord] = {}
    for at, event in ledger.events():
        assert isinstance(event, TrialEvent)
        replayed[event.trial] = advance(replayed.get(event.trial), event, at)
    assert tuple(replayed.values()) == ledger.trials(RESEARCH)
    assert [trial.phase for trial in ledger.unfinished()] == [
        Phase.STAGED,
        Phase.RUNNING,
        Phase.STAGED,
    ]


def test_an_illegal_step_leaves_no_trace(ledger: Ledger) -> None:
    ledger.append_with(staged)
    with pytest.raises(IllegalStep):
        ledger.append(Running(trial=1))

    assert ledger.verify() == 1


def test_appends_from_many_threads_get_ids_of_their_own(ledger: Ledger) -> None:
    with ThreadPoolExecutor(8) as pool:
        for _ in pool.map(ledger.append_with, [staged] * 40):
            pass

    assert [trial.id for trial in ledger.trials(RESEARCH)] == list(range(1, 41))
    assert ledger.verify() == 40


def test_events_cannot_be_changed_or_removed(ledger: Ledger) -> None:
    ledger.append_with(staged)
    with sqlite3.connect(ledger.path) as db:
        for statement in ("UPDATE event SET body = '{}'", "DELETE FROM event"):
            with pytest.raises(sqlite3.IntegrityError, match="append-only"):
                db.execute(statement)
    db.close()


def test_a_change_behind_its_back_breaks_the_chain(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append_with(staged)
    with sqlite3.connect(ledger.path) as db:
        db.execute("DROP TRIGGER event_is_never_changed")
        db.execute("UPDATE event SET body = replace(body, 'wider', 'wilder') WHERE seq = 2")
    db.close()

    with pytest.raises(Fault, match="event 2"):
        ledger.verify()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE trial SET record = replace(record, 'wider', 'wilder') WHERE id = 2",
        "UPDATE trial SET record = '{}' WHERE id = 2",
        "UPDATE trial SET record = json_set(record, '$.phase', 'done') WHERE id = 2",
        "DELETE FROM trial WHERE id = 3",
        "INSERT INTO trial SELECT 4, record FROM trial WHERE id = 3",
        "INSERT INTO content VALUES ('autoresearch/today', 'forged', 1)",
        "INSERT INTO content VALUES ('autoresearch/today', 'forged', 99)",
        "INSERT INTO arm VALUES ('autoresearch/today', 'forged', 1, 1)",
    ],
)
def test_a_change_of_what_the_events_add_up_to_is_noticed(ledger: Ledger, change: str) -> None:
    for _ in range(3):
        ledger.append_with(staged)
    assert ledger.verify() == 3
    with sqlite3.connect(ledger.path) as db:
        assert db.execute(change).rowcount == 1
    db.close()

    for look in (ledger.verify, ledger.check, ledger.checkpoint):
        with pytest.raises(Changed, match="beside its events"):
            look()
    assert ledger.rebuild().wrong
    assert ledger.verify() == 3


def test_a_file_that_is_no_ledger_is_a_fault(ledger: Ledger) -> None:
    ledger.path.parent.mkdir()
    ledger.path.write_bytes(b"not a database, but long enough to look like one" * 100)

    with pytest.raises(Fault, match="cannot be used"):
        ledger.trials(RESEARCH)


def test_a_ledger_of_a_later_version_is_left_alone(ledger: Ledger) -> None:
    ledger.append_with(staged)
    with sqlite3.connect(ledger.path) as db:
        db.execute("PRAGMA user_version = 99")
    db.close()

    with pytest.raises(Fault, match="schema version 99"):
        ledger.trial(1)


def test_contents_of_the_working_tree_are_known_by_their_hash(ledger: Ledger) -> None:
    ledger.append(Edited(research=RESEARCH, path="train.py", before="one", after="two"))

    assert ledger.knows(RESEARCH, "one")
    assert ledger.knows(RESEARCH, "two")
    assert not ledger.knows("autoresearch/another", "one")


def test_an_acknowledged_event_survives_the_death_of_its_process(ledger: Ledger) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path\n"
        "from autoresearch_mcp.core.events import Edited\n"
        "from autoresearch_mcp.effects.ledger import Changed, Ledger\n"
        "Ledger(Path(sys.argv[1])).append("
        "Edited(research='r', path='p', before='one', after='two'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    subprocess.run([sys.executable, "-c", script, str(ledger.path)], check=False)

    assert ledger.knows("r", "two")
    assert ledger.verify() == 1


def written_by(version: Path, path: Path) -> Ledger:
    """Make the ledger that an older server left, from its dump."""
    path.parent.mkdir(parents=True)
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA journal_mode = WAL")
        db.executescript(version.read_text())
        db.execute(f"PRAGMA user_version = {version.stem}")
    return Ledger(path)


OLDER = sorted((Path(__file__).parent / "ledgers").glob("*.sql"))


@pytest.mark.parametrize("version", OLDER, ids=lambda path: path.stem)
def test_the_ledger_of_an_older_server_is_brought_up_to_date(version: Path, tmp_path: Path) -> None:
    ledger = written_by(version, tmp_path / "state" / "ledger.sqlite")

    (research,) = ledger.researches()
    statuses = [t.verdict.status for t in ledger.trials(research) if t.verdict]
    assert statuses == ["keep", "keep", "discard", "discard", "keep"]
    assert [t.id for t in ledger.unfinished()] == [5]
    incumbent = ledger.last_kept(research)
    assert incumbent is not None
    assert incumbent.outcome is not None
    assert incumbent.outcome.value == 1.5
    events = list(ledger.events())
    assert ledger.verify() == ledger.check() == len(events) == 52
    ledger.append(Edited(research=research, path="train.py", before="one", after="two"))
    assert ledger.verify() == 53


@pytest.mark.parametrize("version", OLDER, ids=lambda path: path.stem)
@pytest.mark.parametrize(
    ("change", "match"),
    [
        ("UPDATE trial SET record = replace(record, '1.5', '1.1') WHERE id = 2", "beside its"),
        ("UPDATE event SET at = 'another time' WHERE seq = 22", "event 22"),
    ],
)
def test_an_older_ledger_that_was_changed_is_left_as_it_is(
    version: Path, tmp_path: Path, change: str, match: str
) -> None:
    ledger = written_by(version, tmp_path / "state" / "ledger.sqlite")
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_is_never_changed")
        assert db.execute(change).rowcount == 1
        before = list(db.iterdump())

    for _ in range(2):
        with pytest.raises(Changed, match=match):
            ledger.trial(1)
    with closing(sqlite3.connect(ledger.path)) as db:
        assert list(db.iterdump()) == before
    if match == "beside its":
        assert ledger.rebuild().wrong
        assert ledger.verify() == 52


def test_a_check_begins_at_the_last_checkpoint(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", checkpoint_every=3)
    for _ in range(4):
        ledger.append_with(staged)
        ledger.checkpoint()
    assert [event.kind for _, event in ledger.events()].count("checkpointed") == 1
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_is_never_changed")
        db.execute("UPDATE event SET at = 'before the checkpoint' WHERE seq = 1")

    assert ledger.check() == 5
    with pytest.raises(Changed, match="event 1"):
        ledger.verify()


def test_a_forged_checkpoint_breaks_the_chain(tmp_path: Path) -> None:
    ledger = Ledger(tmp_path / "ledger.sqlite", checkpoint_every=1)
    ledger.append_with(staged)
    ledger.checkpoint()
    ledger.append_with(staged)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_is_never_changed")
        change = "UPDATE event SET body = json_set(body, '$.digest', 'forged') WHERE seq = 2"
        assert db.execute(change).rowcount == 1

    for look in (ledger.check, ledger.checkpoint, ledger.verify):
        with pytest.raises(Changed):
            look()
    with pytest.raises(Changed, match="event 2"):
        ledger.rebuild()


def test_a_broken_chain_is_never_rebuilt(ledger: Ledger) -> None:
    for _ in range(3):
        ledger.append_with(staged)
    with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
        db.execute("DROP TRIGGER event_is_never_changed")
        db.execute("UPDATE event SET body = replace(body, 'wider', 'wilder') WHERE seq = 2")
        before = list(db.iterdump())

    with pytest.raises(Changed, match="event 2"):
        ledger.rebuild()
    with closing(sqlite3.connect(ledger.path)) as db:
        assert list(db.iterdump()) == before
