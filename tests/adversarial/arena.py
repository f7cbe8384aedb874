"""A recipe, a machine and a server to attack, and a look at everything an attack might change."""

import hashlib
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from tests.driving import TOP, Agent, RecipeRepo, processes_below, serving, until, words

from .variants import TRAIN, answers, attacking

RECIPE_FILES = ("protocol.json", "prepare.py", "train.py", "results.tsv")
SECRET = "ANTHROPIC_API_KEY"  # noqa: S105 - the name of a variable


@dataclass(frozen=True, kw_only=True)
class Strike:
    """One attack, seen from outside after its trial came to rest."""

    trial: dict[str, Any]
    log: str
    changed: frozenset[str]
    """Areas that are not as they were; what a trial may write is no change."""

    @property
    def outcome(self) -> str:
        return self.trial["outcome"]["kind"]

    @property
    def answers(self) -> dict[str, str]:
        return answers(self.log)


@dataclass(frozen=True, kw_only=True)
class Arena:
    """The world of one server.

    Args:
        folder: Everything lies below it.
        repo: The recipe under attack.
        agent: The attacker's client.
        sandbox: The sandbox in force, "none" for none.
        environment: The server's variables.
        join: Starts another server on the recipe, for another client.
    """

    folder: Path
    repo: RecipeRepo
    agent: Agent
    sandbox: str
    environment: dict[str, str]
    join: Callable[[], AbstractAsyncContextManager[Agent]]

    @property
    def sandboxed(self) -> bool:
        return self.sandbox != "none"

    @property
    def places(self) -> dict[str, Path]:
        """What the attacker knows of the machine: the worst case, all of it."""
        return {
            "REPO": self.repo.path,
            "OWNER": self.folder / "home",
            "OUTSIDE": self.folder / "outside",
        }

    async def strike(self, attack: str, *replace: tuple[str, str]) -> Strike:
        """Try a train.py that attacks."""
        return await self.strike_with(attacking(attack, self.places, replace))

    async def strike_with(self, source: str) -> Strike:
        """Take a candidate from edit to applied verdict, note what it changed, and undo that."""
        before, rows = self._look(), self.repo.read("results.tsv")
        await self.agent("apply_edit", content=source)
        trial = await self.agent.trial("an attack")
        return await self.rest(trial, before, rows)

    async def rest(self, trial: dict[str, Any], before: "World", rows: str) -> Strike:
        """Apply a verdict, and compare the world with what it was."""
        number = trial["trial_id"]
        if trial["status"] == "decided":
            assert self._runs_left() == []
            await self.agent("commit_or_revert", trial_id=number)
        else:  # the candidate stays in place, for another try
            await self.agent("apply_edit", content=self.repo.git("show", "HEAD:train.py") + "\n")
        after = self._look()
        changed = {key[0] for key in before.keys() ^ after.keys()}
        changed |= {key[0] for key in before.keys() & after.keys() if before[key] != after[key]}
        if not self._grew_by_one_row(rows, trial["candidate"]):
            changed.add("results log")
        if trial["verdict"]["status"] != "keep":  # what was kept is what the next one starts from
            self._undo(before, after)
        # The trial's own process needs a moment after its last entry in the ledger.
        await until(lambda: not processes_below(self.folder))
        assert self.repo.ledger.verify() > 0
        return Strike(trial=trial, log=self.repo.run_log(number), changed=frozenset(changed))

    def _runs_left(self) -> list[list[str]]:
        """Return the commands of processes that a run has left behind.

        The trial's own process and its git may still be writing the results log.
        """
        found = (words(process) for process in processes_below(self.folder))
        ours = {"_trial", "git"}
        return [command for command in found if command and not ours.intersection(command)]

    def look(self) -> tuple["World", str]:
        """Return what `rest` compares with."""
        return self._look(), self.repo.read("results.tsv")

    def _look(self) -> "World":
        return dict(self._entries())

    def _entries(self) -> Iterator[tuple[tuple[str, str], bytes]]:
        git = self.repo.path / ".git"
        for area, top in {
            "home": self.folder / "home",
            "outside": self.folder / "outside",
            "data": self.folder / "data",
            "venv": self.folder / "venv" / "lib",
            "temporary files": self.folder / "tmp",
            "git": git / "hooks",
        }.items():
            for path in sorted(top.rglob("*")):
                if path.is_file() and "__pycache__" not in path.parts:
                    yield (area, str(path)), path.read_bytes()
        for path in (git / "config", git / "HEAD", git / "info" / "attributes"):
            yield ("git", str(path)), path.read_bytes() if path.exists() else b""
        refs = self.repo.git("for-each-ref", "--format=%(refname) %(objectname)")
        kept = [line for line in refs.splitlines() if "refs/autoresearch/trials/" not in line]
        yield ("refs", ""), "\n".join(kept).encode()
        for path in sorted(self.repo.path.iterdir()):
            if path.is_file() and path.name != "results.tsv":
                yield ("user's files", str(path)), path.read_bytes()

    def _undo(self, before: "World", after: "World") -> None:
        for area, path in before.keys() | after.keys():
            if before.get((area, path)) == after.get((area, path)) or not path:
                continue
            if (area, path) in before:
                Path(path).write_bytes(before[area, path])
            else:
                Path(path).unlink()

    def _grew_by_one_row(self, rows: str, candidate: str) -> bool:
        present = self.repo.read("results.tsv")
        added = present.removeprefix(rows)
        return present.startswith(rows) and added.startswith(candidate) and added.count("\n") == 1


World = dict[tuple[str, str], bytes]


@asynccontextmanager
async def arena_at(
    folder: Path,
    environment: dict[str, str],
    sandbox: str,
    *more: str,
    baseline: str = TRAIN,
) -> AsyncGenerator[Arena]:
    """Build a world around prepared data and a venv, start its server, measure the baseline.

    Args:
        folder: Where; it has the data and the venv.
        environment: The server's variables.
        sandbox: The sandbox to use.
        more: Further options of the server.
        baseline: The train.py to beat.
    """
    for name in ("home", "outside", "tmp"):
        (folder / name).mkdir()
    weights = folder / "home" / ".cache" / "huggingface" / "hub" / "weights.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(hashlib.sha256(b"weights").digest())
    (folder / "outside" / "precious.txt").write_text("precious\n")
    files = {name: (TOP / name).read_text() for name in RECIPE_FILES} | {"train.py": baseline}
    repo = RecipeRepo.create(folder / "recipe", {**files, ".gitignore": ".autoresearch/\n"})
    variables = {
        **environment,
        "HOME": str(folder / "home"),
        "TMPDIR": str(folder / "tmp"),
        "XDG_STATE_HOME": str(folder / "state"),
        "AUTORESEARCH_CACHE": str(folder / "data"),
        SECRET: "sk-not-for-you",
    }
    options = ("--python", str(folder / "venv" / "bin" / "python"), "--sandbox", sandbox, *more)
    join = partial(serving, repo.path, *options, environment=variables)
    async with join() as agent:
        first = await agent.trial("baseline")
        assert first["outcome"]["kind"] == "measured", first
        yield Arena(
            folder=folder,
            repo=repo,
            agent=agent,
            sandbox=sandbox,
            environment=variables,
            join=join,
        )
