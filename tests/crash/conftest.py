"""A recipe that is quick, with a world of its own, and what must hold there after any death."""

import hashlib
import re
import shutil
from collections.abc import Iterator
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path

import pytest

from autoresearch_mcp.core.trial import Phase, Run, TrialRecord
from autoresearch_mcp.session import documents
from tests.crash.lives import Baseline, Turn, World, live
from tests.driving import (
    TRAIN,
    Agent,
    RecipeRepo,
    clean_environment,
    processes_below,
    serving,
    until,
)

_DIRTY = "mine, changed\n"
_STAGED = "mine, staged\n"
_UNTRACKED = "mine, of nobody's business\n"
_STATUS = ["A  staged.txt", " M notes.txt", "?? untracked.txt"]
_WRITTEN = ".autoresearch-"
"""How the names begin of files that are being written, before they get their own."""

_PROBED = re.compile(r"[a-z0-9_]{8}")
"""Python tries whether a temporary folder can be written, with an empty file of such a name."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@dataclass(frozen=True)
class Lab:
    """A recipe, and whatever runs on it.

    Args:
        folder: Everything lies below it.
        python: The recipe's interpreter.
    """

    folder: Path
    python: Path

    @classmethod
    def make(cls, folder: Path, python: Path) -> "Lab":
        """Commit the recipe, and leave a person's own work around it."""
        for name in ("home", "tmp", "state"):
            (folder / name).mkdir(parents=True)
        lab = cls(folder, python)
        repo = RecipeRepo.fast(lab.world.repo)
        repo.write("notes.txt", _DIRTY)
        repo.write("staged.txt", _STAGED)
        repo.git("add", "staged.txt")
        repo.write("untracked.txt", _UNTRACKED)
        return lab

    def copy(self, folder: Path) -> "Lab":
        shutil.copytree(self.folder, folder, symlinks=True)
        return Lab(folder, self.python)

    @property
    def world(self) -> World:
        return World(folder=self.folder, python=self.python)

    @property
    def repo(self) -> RecipeRepo:
        return RecipeRepo(self.world.repo)

    def serve(self) -> AbstractAsyncContextManager[Agent]:
        environment = {**clean_environment(), **self.world.environment}
        options = ("--python", str(self.python), "--sandbox", "none")
        return serving(self.repo.path, *options, environment=environment)

    def trials(self) -> tuple[TrialRecord, ...]:
        return self.repo.ledger.trials(self.repo.git("rev-parse", "--abbrev-ref", "HEAD"))

    def run(self) -> Run | None:
        """Return the latest run of the latest trial."""
        runs = self.trials()[-1].runs
        return runs[-1] if runs else None

    def verify(self) -> int:
        """Return the number of events, all of them proved."""
        return self.repo.ledger.verify()

    def kinds(self) -> list[str]:
        """Return the kinds of all events so far."""
        return [event.kind for _, event in self.repo.ledger.events()]

    def check(self) -> None:
        """What threats.md calls I1 to I8: nothing is lost, doubled, overwritten or left."""
        self._check_ledger()
        self._check_git()
        self.check_a_persons_work()
        assert processes_below(self.folder) == []
        assert [f for f in self._leavings() if not _PROBED.fullmatch(f.name)] == []

    def _check_ledger(self) -> None:
        kinds, trials = self.kinds(), self.trials()
        assert [trial.id for trial in trials] == list(range(1, len(trials) + 1))
        assert all(trial.verdict and trial.outcome for trial in trials)
        decided = [trial for trial in trials if trial.phase is not Phase.DECIDED]
        assert [kinds.count(kind) for kind in ("staged", "measured", "decided")] == [
            len(trials)
        ] * 3
        assert kinds.count("done") - kinds.count("closing") == len(decided)
        assert self.verify() == len(kinds)

    def _check_git(self) -> None:
        repo, trials = self.repo, self.trials()
        assert repo.git("fsck", "--strict", "--no-dangling") == ""
        for trial in trials:
            assert repo.git("rev-parse", f"refs/autoresearch/trials/{trial.id}") == trial.candidate
        moves = [c for t in trials for c in (t.applying_to, t.closing and t.closing.new) if c]
        assert repo.git("rev-parse", "HEAD") == (moves[-1] if moves else trials[0].base)
        rows = [row[0] for row in repo.log_rows()]
        assert rows == [trial.candidate[:7] for trial in trials]
        assert repo.read("results.tsv") == documents.results(self.world.rooms())
        edited = [event.after for _, event in repo.ledger.events() if event.kind == "edited"]
        assert self.has_the_incumbent() or _sha256(repo.read("train.py")) in edited[-1:]

    def has_the_incumbent(self) -> bool:
        """Tell whether the file in the folder is the committed one."""
        return self.repo.read("train.py") == self.repo.git("show", "HEAD:train.py") + "\n"

    async def at_rest(self) -> None:
        """Wait until no trial goes on that a dead server has started."""
        await until(lambda: not processes_below(self.folder))

    def check_a_persons_work(self) -> None:
        repo = self.repo
        status = repo.git("status", "--porcelain").splitlines()
        names = {line.strip(): line[2:].strip() for line in status}
        others = [
            line
            for line, name in names.items()
            # What a write leaves that was killed goes when somebody settles: see _leavings.
            if name not in {"train.py", "results.tsv"} and not name.startswith(_WRITTEN)
        ]
        assert sorted(others) == sorted(line.strip() for line in _STATUS)
        read = [repo.read(name) for name in ("notes.txt", "staged.txt", "untracked.txt")]
        assert read == [_DIRTY, _STAGED, _UNTRACKED]
        assert repo.git("show", ":staged.txt") + "\n" == _STAGED

    def _leavings(self) -> Iterator[Path]:
        """Find what no finished step leaves behind."""
        yield from (self.folder / "tmp").iterdir()
        yield from self.repo.state.glob("index-*")
        yield from self.repo.path.glob(f"{_WRITTEN}*")
        yield from self.repo.path.glob(".git/**/*.lock")


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def source(value: str) -> str:
    """Return a train.py that prints a value, as an expression gives it."""
    return TRAIN.replace("2.0", value)


@pytest.fixture(scope="session")
def untouched(tmp_path_factory: pytest.TempPathFactory, bare_python: Path) -> Lab:
    """A recipe on which nothing has been tried; to be copied."""
    return Lab.make(tmp_path_factory.mktemp("untouched") / "lab", bare_python)


@pytest.fixture(scope="session")
def measured(tmp_path_factory: pytest.TempPathFactory, untouched: Lab) -> Lab:
    """A recipe with its baseline; to be copied."""
    lab = untouched.copy(tmp_path_factory.mktemp("measured") / "lab")
    live(lab.world, Baseline())
    return lab


@pytest.fixture(scope="session")
def tried(tmp_path_factory: pytest.TempPathFactory, measured: Lab) -> Lab:
    """A recipe with a kept trial and a discarded one after its baseline; to be copied."""
    lab = measured.copy(tmp_path_factory.mktemp("tried") / "lab")
    live(lab.world, Turn(source("1.9"), 1))
    live(lab.world, Turn(source("2.5"), 2))
    return lab
