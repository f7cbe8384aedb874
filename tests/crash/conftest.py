"""A recipe that is quick and can be made to wait, with a world of its own."""

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoresearch_mcp.core.trial import Run, TrialRecord
from tests.driving import Agent, RecipeRepo, clean_environment, processes_below, serving, until


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Lab:
    """A recipe with its baseline, and whatever runs on it.

    Args:
        folder: Everything lies below it.
        repo: The recipe.
        python: The recipe's interpreter.
    """

    folder: Path
    repo: RecipeRepo
    python: Path

    @property
    def lease(self) -> Path:
        """The lock that makes trials on this machine wait for each other."""
        return self.folder / "state" / "autoresearch-mcp" / "lease"

    def serve(self) -> AbstractAsyncContextManager[Agent]:
        environment = {
            **clean_environment(),
            "HOME": str(self.folder / "home"),
            "TMPDIR": str(self.folder / "tmp"),
            "XDG_STATE_HOME": str(self.folder / "state"),
        }
        options = ("--python", str(self.python))
        return serving(self.repo.path, *options, environment=environment)

    def trials(self) -> tuple[TrialRecord, ...]:
        return self.repo.ledger.trials(self.repo.git("rev-parse", "--abbrev-ref", "HEAD"))

    def run(self) -> Run | None:
        """Return the latest run of the latest trial."""
        runs = self.trials()[-1].runs
        return runs[-1] if runs else None

    def scratch(self, name: str) -> Path:
        """Return a file in the folder that the run under way may write."""
        run = self.run()
        assert run is not None
        return Path(run.directory) / "tmp" / name

    def log(self) -> str:
        """Return the log of the latest trial."""
        return self.repo.run_log(self.trials()[-1].id)

    def kinds(self) -> list[str]:
        """Return the kinds of all events so far."""
        return [event.kind for _, event in self.repo.ledger.events()]

    async def check(self) -> None:
        """Nothing is lost, doubled or left: one row and one verdict for each trial."""
        await until(lambda: not processes_below(self.folder))
        kinds, trials = self.kinds(), self.trials()
        assert [trial.id for trial in trials] == list(range(1, len(trials) + 1))
        assert [kinds.count(kind) for kind in ("staged", "decided", "done")] == [len(trials)] * 3
        assert [row[0] for row in self.repo.log_rows()] == [t.candidate[:7] for t in trials]
        assert self.repo.ledger.verify() == len(kinds)
        assert list((self.folder / "tmp").iterdir()) == []
        assert self.repo.git("fsck", "--strict", "--no-dangling") == ""
        for trial in trials:
            assert self.repo.git("rev-parse", f"refs/autoresearch/trials/{trial.id}")
        assert "??" not in self.repo.git("status", "--porcelain")
        assert self.repo.read("notes.txt") == "mine\n"


@pytest.fixture
async def lab(tmp_path: Path, bare_python: Path) -> Lab:
    for name in ("home", "tmp"):
        (tmp_path / name).mkdir()
    found = Lab(tmp_path, RecipeRepo.fast(tmp_path / "recipe"), bare_python)
    async with found.serve() as agent:
        await agent.trial("baseline")
    return found
