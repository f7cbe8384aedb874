"""Try neutral edits on the real recipe: what is kept of them is kept for nothing.

    python bench/neutral.py [--edits 26] [--profile cpu] [--sessions 1] [--cores-each 2]

Each edit adds a constant that nothing uses, so that each is an arm of its own and none has an
effect. A session is a repository, a server and a state folder of its own, driven through MCP; so
several can run side by side where there are cores for them (on Linux each gets its own). At most
one keep in 26 is what the rule promises; --evidence single shows what one run each would keep.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
from mcp import Client, StdioServerParameters
from mcp.types import CallToolResult

TOP = Path(__file__).resolve().parent.parent
RECIPE = ("protocol.json", "prepare.py", "train.py", "results.tsv")


def main() -> None:
    """Run the sessions and print what each kept."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--edits", type=int, default=26)
    parser.add_argument("--profile", default="cpu")
    parser.add_argument("--evidence", default="strict")
    parser.add_argument("--sessions", type=int, default=1, help="side by side")
    parser.add_argument("--cores-each", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        environment = {**os.environ, "AUTORESEARCH_CACHE": str(folder / "data")}
        command = [sys.executable, str(TOP / "prepare.py"), "--profile", options.profile]
        subprocess.run(command, env=environment, check=True)
        kept = anyio.run(side_by_side, folder, environment, options)
    print(f"{kept} of {options.sessions * options.edits} neutral edits were kept")


async def side_by_side(
    folder: Path, environment: Mapping[str, str], options: argparse.Namespace
) -> int:
    """Run all sessions at once; return how many edits were kept."""
    kept: list[int] = []

    async def one(number: int) -> None:
        kept.append(await session(folder / str(number), environment, options, number))

    async with anyio.create_task_group() as group:
        for number in range(options.sessions):
            group.start_soon(one, number)
    return sum(kept)


async def session(
    folder: Path, environment: Mapping[str, str], options: argparse.Namespace, number: int
) -> int:
    """Research one repository with neutral edits; return how many were kept."""
    repo = make_recipe(folder)
    server = StdioServerParameters(
        command=sys.executable,
        args=[
            *("-m", "autoresearch_mcp", "serve", "--repo", str(repo)),
            *("--python", sys.executable, "--evidence", options.evidence),
        ],
        env={**environment, "XDG_STATE_HOME": str(folder / "state")},
    )
    cores = range(number * options.cores_each, (number + 1) * options.cores_each)
    if shutil.which("taskset") and cores.stop <= (os.cpu_count() or 1):
        pinned = [f"{cores.start}-{cores.stop - 1}", server.command, *server.args]
        server = server.model_copy(update={"command": "taskset", "args": ["-c", *pinned]})
    verdicts: Counter[str] = Counter()
    runs = 0
    async with Client(server) as client:
        for edit in range(options.edits + 1):
            if edit:
                await add_constant(client, edit)
            trial = await tried(client, f"neutral edit {edit}" if edit else "baseline")
            verdict = trial["verdict"]
            runs += verdict["runs"] or 0
            verdicts[verdict["status"]] += edit > 0
            print(f"session {number}, edit {edit}: {verdict['status']}: {verdict['reason']}")
    counts = ", ".join(f"{count} {status}" for status, count in verdicts.items() if count)
    print(f"session {number}: {counts}; {runs} runs of candidates", flush=True)
    return verdicts["keep"]


def make_recipe(folder: Path) -> Path:
    """Commit the recipe in the box to a repository of its own."""
    repo = folder / "recipe"
    repo.mkdir(parents=True)
    for name in RECIPE:
        (repo / name).write_bytes((TOP / name).read_bytes())
    identity = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
    for arguments in (("init", "-q"), ("add", "-A"), (*identity, "commit", "-qm", "recipe")):
        subprocess.run(["git", *arguments], cwd=repo, check=True)
    return repo


async def add_constant(client: Client, number: int) -> None:
    """Add a constant after the module's docstring, where everything still runs as before."""
    view = answer(await client.call_tool("read_recipe", {}))
    imported = next(
        line.partition("|")[2].lstrip(" ")
        for line in view["lines"].splitlines()
        if line.partition("|")[2].strip().startswith("import ")
    )
    edit = {"old": imported + "\n", "new": f"{imported}\nUNUSED_{number} = {number}\n"}
    answer(await client.call_tool("apply_edit", {"edits": [edit]}))


async def tried(client: Client, hypothesis: str) -> dict[str, Any]:
    """Run a trial to its verdict and carry that out."""
    view = answer(await client.call_tool("run_trial", {"hypothesis": hypothesis, "wait_s": 5}))
    while view["verdict"] is None:
        waiting = {"trial_id": view["trial_id"], "wait_s": 25}
        view = answer(await client.call_tool("wait_trial", waiting))
    if view["status"] == "decided":
        answer(await client.call_tool("commit_or_revert", {"trial_id": view["trial_id"]}))
    return view


def answer(result: CallToolResult) -> dict[str, Any]:
    """Return what a tool answered."""
    if result.is_error or result.structured_content is None:
        raise SystemExit(f"the server refused: {result.content}")
    return result.structured_content


if __name__ == "__main__":
    main()
