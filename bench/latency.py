"""Measure how fast the server answers, beside mcp-server-git and a bare SDK server.

    python bench/latency.py [--calls 300]

Each round asks every server once, in turns, so that a busy machine is unfair to all alike. The
server of git lives in a throwaway environment of its own, which needs a package index. Cold starts
go from the process's start to the answer to `initialize`; memory is the resident set after that.
The last column holds our own rows to their bounds: a cold start to 1.3 bare SDK servers, the median
of a call to one git_status.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, Any

import httpx2
import psutil

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the tests are not installed
from tests.driving import RecipeRepo

BARE = """\
from mcp.server.mcpserver import MCPServer
server = MCPServer("bare", log_level="WARNING")
server.run("stdio")
"""
VERSION = "2025-11-25"
HELLO = {
    "protocolVersion": VERSION,
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
STARTS = 9
# Installed packages have their bytecode; a first start, unmeasured, leaves it where none is yet.
BYTECODE = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
MOST_OF_BARE = 1.3
MOST_OF_GIT_STATUS = 1.0


class Stdio:
    """A server on standard streams."""

    def __init__(self, command: list[str]) -> None:
        began = time.perf_counter()
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=BYTECODE,
        )
        self.ask("initialize", HELLO)
        self.started = time.perf_counter() - began
        self.memory = psutil.Process(self.process.pid).memory_info().rss / 2**20
        self._send({"method": "notifications/initialized"})

    def ask(self, method: str, params: dict[str, Any]) -> dict[str, Any]:
        """Send a request and return its answer."""
        self._send({"id": 1, "method": method, "params": params})
        stream: IO[bytes] | None = self.process.stdout
        assert stream is not None
        while True:
            answer = json.loads(stream.readline())
            if answer.get("id") == 1:
                return answer

    def _send(self, message: dict[str, Any]) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n")
        self.process.stdin.flush()

    def close(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.communicate()


class Http:
    """Our server over HTTP, in the era without sessions."""

    def __init__(self, command: list[str], token: Path) -> None:
        self.process = subprocess.Popen(
            [*command, "--http", "--port", "0", "--token-file", str(token)],
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self.process.stderr is not None
        self._url = self.process.stderr.readline().split()[1].rstrip(";")
        self._web = httpx2.Client(
            headers={
                "Authorization": f"Bearer {token.read_text().strip()}",
                "Accept": "application/json, text/event-stream",
                "MCP-Protocol-Version": "2026-07-28",
            }
        )

    def ask(self, method: str, params: dict[str, Any]) -> str:
        """Send a request and return its answer."""
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientCapabilities": {},
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        headers = {"Mcp-Method": method, "Mcp-Name": params["name"]}
        answer = self._web.post(self._url, json=body, headers=headers)
        answer.raise_for_status()
        return answer.text

    def close(self) -> None:
        """End the server."""
        self.process.kill()
        self.process.communicate()


@contextmanager
def closing(server: Any) -> Generator[Any]:
    """End a server whatever happens."""
    try:
        yield server
    finally:
        server.close()


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=300)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        recipe = RecipeRepo.fast(folder / "recipe")
        ours = [sys.executable, "-m", "autoresearch_mcp", "serve", "--repo", str(recipe.path)]
        git = [*git_server(folder / "git"), "--repository", str(recipe.path)]
        starts({"autoresearch": ours, "mcp-server-git": git, "bare SDK": bare(folder)})
        stdio = stack.enter_context(closing(Stdio(ours)))
        http = stack.enter_context(closing(Http(ours, folder / "token")))
        theirs = stack.enter_context(closing(Stdio(git)))
        latencies(recipe, {"stdio": stdio, "HTTP": http}, theirs, options.calls)


def bare(folder: Path) -> list[str]:
    """Return the command of a server that is nothing but the SDK."""
    file = folder / "bare.py"
    file.write_text(BARE)
    return [sys.executable, str(file)]


def git_server(folder: Path) -> list[str]:
    """Install mcp-server-git into an environment of its own and return its command."""
    subprocess.run(["uv", "venv", "--quiet", "--python", sys.executable, str(folder)], check=True)
    python = str(folder / "bin" / "python")
    install = ["uv", "pip", "install", "--quiet", "--python", python, "mcp-server-git"]
    subprocess.run(install, check=True, env=dict(os.environ))
    return [python, "-m", "mcp_server_git"]


def starts(commands: dict[str, list[str]]) -> None:
    """Start each server in turns and print the medians."""
    seen: dict[str, list[tuple[float, float]]] = {name: [] for name in commands}
    for measured in (False, *[True] * STARTS):
        for name, command in commands.items():
            with closing(Stdio(command)) as server:
                seen[name] += [(server.started, server.memory)] * measured
    least = statistics.median(seconds for seconds, _ in seen["bare SDK"])
    print(f"{'cold start':<28} {'median s':>9} {'ratio':>6} {'MiB':>6}  {'bound':>6}")
    for name, pairs in seen.items():
        seconds, memory = (statistics.median(column) for column in zip(*pairs, strict=True))
        told = judged(seconds / least, MOST_OF_BARE if name == "autoresearch" else None)
        print(f"{name:<28} {seconds:>9.2f} {seconds / least:>6.2f} {memory:>6.0f}  {told}")


def latencies(recipe: RecipeRepo, ours: dict[str, Any], theirs: Stdio, calls: int) -> None:
    """Ask in turns and print median and 99th percentile, milliseconds."""
    edit = {"edits": [{"old": "VALUE = 2.0", "new": "VALUE = 1.0"}], "dry_run": True}
    tools = {"read_recipe": {}, "get_metrics": {}, "apply_edit": edit}
    repository = {"repo_path": str(recipe.path)}
    cases = [(f"{t}, {way}", s, t, a) for way, s in ours.items() for t, a in tools.items()]
    cases += [(f"git: {tool}", theirs, tool, repository) for tool in ("git_status", "git_log")]
    seen: dict[str, list[float]] = {label: [] for label, *_ in cases}
    for _ in range(calls):
        for label, server, tool, arguments in cases:
            began = time.perf_counter()
            answer = server.ask("tools/call", {"name": tool, "arguments": arguments})
            seen[label].append(1000 * (time.perf_counter() - began))
            assert '"isError": true' not in json.dumps(answer), answer
    least = statistics.median(seen["git: git_status"])
    print(f"\n{'call':<28} {'median ms':>9} {'p99 ms':>7} {'against git_status':>19}  {'bound':>6}")
    for label, times in seen.items():
        middle, last = statistics.median(times), statistics.quantiles(times, n=100)[98]
        told = judged(middle / least, None if "git:" in label else MOST_OF_GIT_STATUS)
        print(f"{label:<28} {middle:>9.1f} {last:>7.1f} {middle / least:>19.2f}  {told}")


def judged(ratio: float, most: float | None) -> str:
    """Say whether a ratio is within its bound; nothing where it has none."""
    if most is None:
        return ""
    return f"{f'<={most:g}':>6} {'met' if ratio <= most else 'MISSED'}"


if __name__ == "__main__":
    main()
