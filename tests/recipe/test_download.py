"""ClimbMix from a server that behaves as badly as the internet does."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from .commands import REPO, prepare, python

Shards = dict[str, bytes]
Answer = Callable[[BaseHTTPRequestHandler, bytes, int], None]


def whole(request: BaseHTTPRequestHandler, content: bytes, start: int) -> None:
    """Answer as a good server does, from where the client asks to go on."""
    send(request, content, start, len(content))


def send(request: BaseHTTPRequestHandler, content: bytes, start: int, end: int) -> None:
    """Promise all from `start`, then send as far as `end` and hang up."""
    request.send_response(206 if start else 200)
    request.send_header("Content-Length", str(len(content) - start))
    if start:
        request.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
    request.end_headers()
    request.wfile.write(content[start:end])


def half(request: BaseHTTPRequestHandler, content: bytes, start: int) -> None:
    """Drop the connection half-way through what is left."""
    send(request, content, start, start + (len(content) - start) // 2)


def without_range(request: BaseHTTPRequestHandler, content: bytes, start: int) -> None:
    """Send the file from its start although its middle was asked for."""
    whole(request, content, 0)


def status(code: int) -> Answer:
    """Answer with an error."""

    def answer(request: BaseHTTPRequestHandler, content: bytes, start: int) -> None:
        request.send_response(code)
        request.send_header("Content-Length", "0")
        request.end_headers()

    return answer


class Server(ThreadingHTTPServer):
    """Serves shards; `script` holds what it does first, one entry per request."""

    def __init__(self, shards: Shards) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.shards = shards
        self.script: list[Answer] = []
        self.asked: list[tuple[str, int]] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/data"


class Handler(BaseHTTPRequestHandler):
    """Follows the server's script."""

    server: Server  # pyright: ignore[reportIncompatibleVariableOverride]

    def do_GET(self) -> None:
        name = self.path.rpartition("/")[2]
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        start = int(asked.group(1)) if asked else 0
        self.server.asked.append((name, start))
        answer = self.server.script.pop(0) if self.server.script else whole
        content = self.server.shards.get(name)
        if content is None:
            status(404)(self, b"", 0)
        elif start >= len(content):
            status(416)(self, b"", 0)
        else:
            answer(self, content, start)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
        """Stay silent."""


def shard(number: int) -> bytes:
    """A small parquet file of documents that no other shard has."""
    texts = [
        f"Document {i} of shard {number}.\n\n" + f"word{i} and {i * i}; " * 9 for i in range(99)
    ]
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"text": texts}), sink)
    return sink.getvalue().to_pybytes()


@pytest.fixture(scope="module")
def shards() -> Shards:
    return {f"shard_{n:05d}.parquet": shard(n) for n in (0, 1, 6541, 6542)}


@pytest.fixture
def server(shards: Shards) -> Iterator[Server]:
    with Server(shards) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def download(
    harness: ModuleType, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[[], Path]:
    """Download shard 0 without pauses and return where it came to lie."""
    monkeypatch.setattr(harness, "BACKOFF_SECONDS", 0.0)
    name = "shard_00000.parquet"

    def run() -> Path:
        harness.download([name], server.url, tmp_path)
        return tmp_path / name

    return run


@pytest.mark.parametrize(
    "script",
    [
        [],
        [status(503), status(429)],
        [half, half, half],
        [half, without_range],
        [half, status(500), half, without_range, half],
        5 * [status(503)] + [half] + 5 * [status(503)],  # progress earns new attempts
    ],
)
def test_a_shard_arrives_whole_through_errors_drops_and_ignored_ranges(
    download: Callable[[], Path], server: Server, shards: Shards, script: list[Answer]
) -> None:
    server.script = list(script)

    path = download()

    assert path.read_bytes() == shards[path.name]
    assert {entry.name for entry in path.parent.iterdir()} == {path.name, "shards.json"}


def test_a_dropped_download_goes_on_where_it_stopped(
    download: Callable[[], Path], server: Server, shards: Shards
) -> None:
    server.script = [half]

    path = download()

    assert server.asked == [(path.name, 0), (path.name, len(shards[path.name]) // 2)]


def test_a_leftover_that_is_too_long_is_thrown_away(
    download: Callable[[], Path], shards: Shards, tmp_path: Path
) -> None:
    (tmp_path / "shard_00000.part").write_bytes(b"x" * 10**6)

    path = download()

    assert path.read_bytes() == shards[path.name]


def test_a_server_that_stays_down_is_reported_and_the_download_resumes_later(
    download: Callable[[], Path], server: Server, shards: Shards
) -> None:
    server.script = [half] + 6 * [status(503)]

    with pytest.raises(SystemExit, match=r"answered 503; run the same command again to resume"):
        download()

    path = download()
    assert server.asked[-1] == (path.name, len(shards[path.name]) // 2)
    assert path.read_bytes() == shards[path.name]


def test_a_shard_that_is_not_there_is_not_asked_for_again(
    harness: ModuleType, server: Server, tmp_path: Path
) -> None:
    with pytest.raises(SystemExit, match=r"shard_00009\.parquet: the server answered 404"):
        harness.download(["shard_00009.parquet"], server.url, tmp_path)

    assert len(server.asked) == 1


def test_a_page_that_is_no_parquet_file_is_refused(
    download: Callable[[], Path], server: Server, shards: Shards, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "shards", dict.fromkeys(shards, b"<html>please log in"))

    with pytest.raises(SystemExit, match="is not a parquet file: check --base-url"):
        download()


def test_what_was_downloaded_is_not_downloaded_again(
    download: Callable[[], Path], server: Server
) -> None:
    download()
    download()

    assert len(server.asked) == 1


def test_a_shard_of_another_size_than_recorded_is_downloaded_again(
    download: Callable[[], Path], shards: Shards
) -> None:
    path = download()
    path.write_bytes(b"PAR1")

    assert download().read_bytes() == shards[path.name]


def test_climbmix_is_prepared_with_its_last_two_shards_held_out(
    server: Server, tmp_path: Path
) -> None:
    arguments = ["--profile", "tiny", "--num-shards", "2", "--base-url", server.url]

    summary = prepare(tmp_path, "--source", "climbmix", *arguments)

    manifest = json.loads((Path(summary["folder"]) / "manifest.json").read_text())
    fetched = [f"shard_{n:05d}.parquet" for n in (0, 1, 6542, 6541)]
    assert [name for name, _ in server.asked] == fetched
    assert (manifest["source"], manifest["masked"]) == ("climbmix", [])
    assert sorted(json.loads((tmp_path / "climbmix" / "shards.json").read_text())) == sorted(
        fetched
    )
    again = prepare(tmp_path, "--source", "climbmix", *arguments)
    assert again["folder"] == summary["folder"]
    assert len(server.asked) == len(fetched)


def test_a_number_of_shards_that_reaches_into_the_held_out_ones_is_refused(tmp_path: Path) -> None:
    arguments = ["--source", "climbmix", "--num-shards", "6542", "--cache", tmp_path]

    done = python(REPO / "prepare.py", *arguments)

    assert done.returncode == 1
    assert done.stderr == "--num-shards is 1 to 6541, not 6542\n"
