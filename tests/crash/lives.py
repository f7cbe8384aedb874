"""What an agent's server does, in a process that may die at any of its steps.

A life is forked from a server of forks that has the project imported already: it costs a few
milliseconds, and it opens the recipe anew as every server does. The trials that it starts are the
real ones, in processes of their own.
"""

import multiprocessing
import os
import resource
import signal
import tempfile
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from pathlib import Path

from autoresearch_mcp.core.edits import WholeFile
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.trial import OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.effects import processes
from autoresearch_mcp.session import editing, finishing, restoring, starting, trials
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.settling import settle
from autoresearch_mcp.session.state import look
from tests.crash.mortal import dying

_FORKS = multiprocessing.get_context("forkserver")
_FORKS.set_forkserver_preload([__name__, "pytest", "git"])  # else each life imports them anew
_POLL_SECONDS = 0.01
_PATIENCE_SECONDS = 120.0

MORTAL = Path(dying.__file__).parent

Told = list[tuple[str, object]]
"""What a life acknowledged before its end: what happened, and to which trial."""


@dataclass(frozen=True, kw_only=True)
class World:
    """Where a life is led.

    Args:
        folder: Everything lies below it.
        python: The recipe's interpreter.
    """

    folder: Path
    python: Path

    @property
    def repo(self) -> Path:
        return self.folder / "recipe"

    @property
    def environment(self) -> dict[str, str]:
        places = {"HOME": "home", "TMPDIR": "tmp", "XDG_STATE_HOME": "state"}
        return {name: str(self.folder / place) for name, place in places.items()}

    def rooms(self) -> Rooms:
        return Rooms.open(self.repo, Options(python=self.python, sandbox="none", preset="single"))

    def changes(self, whose: str) -> Path:
        """Return the file that lists the changes of the world that a process made."""
        return self.folder / f"changes-of-{whose}"

    def killed(self, whose: str) -> bool:
        """Tell whether the death that was asked for came, and forget it."""
        note, record = dying.died(self.changes(whose)), self.changes(whose)
        came = note.exists()
        for file in (note, record):
            file.unlink(missing_ok=True)
        return came


@dataclass(frozen=True, kw_only=True)
class Death:
    """What befalls a life.

    Args:
        server: It dies before its n-th change; 0 for never.
        trial: The trial that it starts does.
        disk: No file may grow beyond so many bytes, in it and in its trial; None for no limit.
    """

    server: int = 0
    trial: int = 0
    disk: int | None = None


Act = Callable[[Rooms, Callable[[str, object], None]], None]
"""What a life does: it is given the recipe's rooms, and says what is acknowledged."""


@dataclass(frozen=True)
class Ended:
    """How a life ended.

    Args:
        died: Whether it was killed at the change that was asked for.
        told: What it had acknowledged by then.
    """

    died: bool
    told: Told


def live(world: World, act: Act, death: Death = Death()) -> Ended:
    """Lead a life to its end.

    Raises:
        AssertionError: It ended by an error; the text has its traceback.
    """
    mine, its = _FORKS.Pipe(duplex=False)
    process = _FORKS.Process(target=_life, args=(world, act, death, its))
    process.start()
    its.close()
    told: Told = []
    try:
        while mine.poll(_PATIENCE_SECONDS):
            told.append(mine.recv())
    except EOFError:
        process.join(_PATIENCE_SECONDS)
    finally:
        mine.close()
        if process.is_alive():
            process.kill()
            raise AssertionError(f"a life has hung; it told {told}")
    died = process.exitcode == -signal.SIGKILL
    assert died or process.exitcode == 0, f"{process.exitcode}, {told}"
    process.close()
    return Ended(died, told)


def _life(world: World, act: Act, death: Death, pipe: Connection) -> None:
    os.environ.update(world.environment)
    tempfile.tempdir = None
    if death.trial:
        search = [str(MORTAL), *filter(None, [os.environ.get("PYTHONPATH")])]
        os.environ["PYTHONPATH"] = os.pathsep.join(search)
        os.environ[dying.VARIABLE] = f"{death.trial}:{world.changes('trial')}"
    rooms = world.rooms()
    if death.server:
        dying.die_at(death.server, world.changes("server"))
    if death.disk is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (death.disk, death.disk))
    try:
        act(rooms, lambda what, which: pipe.send((what, which)))
    except (Fault, OSError) as fault:  # which the tools tell alike
        pipe.send(("fault", str(fault)))


def wait(rooms: Rooms, trial: int) -> TrialRecord:
    """Wait for a trial's verdict as a server does, settling what died."""
    deadline = time.monotonic() + _PATIENCE_SECONDS
    while True:
        found = trials.find(rooms, trial)
        _leave_if_widowed()
        if not found.undecided:
            return found
        if not _lives(found):
            trials.show(rooms, trial)
        assert time.monotonic() < deadline, found
        time.sleep(_POLL_SECONDS)


def _leave_if_widowed() -> None:
    """End this life where its trial has died as it was to: what follows is another life's.

    Another trial of this one would die as well, as soon as the note of the first death is gone.
    """
    record = os.environ.get(dying.VARIABLE, "").partition(":")[2]
    if record and dying.died(Path(record)).exists():
        os._exit(0)


@dataclass(frozen=True)
class Baseline:
    """Measure the unmodified recipe."""

    def __call__(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        while True:
            _leave_if_widowed()
            with rooms.locked():  # whoever has recorded a verdict holds it until all is done
                settle(rooms)
            if look(rooms).incumbent:
                return
            trial = look(rooms).under_way or starting.run_trial(rooms, "baseline")
            tell("staged", trial.id)
            wait(rooms, trial.id)
            tell("decided", trial.id)


@dataclass(frozen=True)
class Turn:
    """Take one turn of the loop, or go on with it where another life left it.

    Args:
        source: The candidate.
        since: The last trial before this turn.
        cancelled: Whether the trial is cancelled as soon as it runs.
    """

    source: str
    since: int
    cancelled: bool = False

    def __call__(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        while True:
            _leave_if_widowed()
            state = look(rooms)
            last = state.trials[-1]
            if last.id > self.since and last.undecided:
                self._see_through(rooms, last, tell)
            elif (waiting := state.awaiting_application) or last.phase is Phase.APPLYING:
                trials.commit_or_revert(rooms, (waiting or last).id)
                tell("applied", (waiting or last).id)
            elif last.id > self.since and not _interrupted(last):
                return
            else:
                self._start(rooms, tell)

    def _start(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        with rooms.locked():
            settle(rooms)
        if rooms.workspace.read("train.py") != self.source.encode():
            editing.apply_edit(rooms, None, WholeFile(self.source))
            tell("edited", self.source)
        tell("staged", starting.run_trial(rooms, "a turn").id)

    def _see_through(
        self, rooms: Rooms, trial: TrialRecord, tell: Callable[[str, object], None]
    ) -> None:
        if self.cancelled:
            self._cancel(rooms, trial)
        wait(rooms, trial.id)
        tell("decided", trial.id)

    def _cancel(self, rooms: Rooms, trial: TrialRecord) -> None:
        """Wait for a run to cancel, and cancel it, if the trial lives that long."""
        while _lives(found := trials.find(rooms, trial.id)) and not found.runs:
            time.sleep(_POLL_SECONDS)
        if _lives(found):
            with suppress(Refusal):
                trials.cancel(rooms, trial.id)


def _lives(trial: TrialRecord) -> bool:
    return trial.undecided and trial.process is not None and processes.is_alive(trial.process)


def _interrupted(trial: TrialRecord) -> bool:
    return trial.outcome is not None and trial.outcome.kind is OutcomeKind.INTERRUPTED


@dataclass(frozen=True)
class Recovery:
    """What any server does first."""

    def __call__(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        with rooms.locked():
            settle(rooms)
        tell("settled", 0)


@dataclass(frozen=True)
class Restoration:
    """Put a trial's candidate back."""

    trial: int

    def __call__(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        candidate = trials.find(rooms, self.trial).candidate
        if rooms.workspace.read("train.py") != rooms.repository.read(candidate, "train.py"):
            restoring.restore(rooms, self.trial)
        tell("restored", self.trial)


@dataclass(frozen=True)
class Finish:
    """Hand the branch over."""

    def __call__(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        tell("finished", finishing.finish(rooms).log_commit)


@dataclass(frozen=True)
class Step:
    """One call of an agent or a person, which may be refused.

    Args:
        name: edit, adopt, start, apply, cancel, finish or settle.
        source: What an edit writes.
    """

    name: str
    source: str = ""

    def __call__(self, rooms: Rooms, tell: Callable[[str, object], None]) -> None:
        last = look(rooms).trials[-1].id
        calls: dict[str, Callable[[], object]] = {
            "edit": lambda: editing.apply_edit(rooms, None, WholeFile(self.source)),
            "adopt": lambda: editing.apply_edit(rooms, None, None),
            "start": lambda: starting.run_trial(rooms, "a trial").id,
            "apply": lambda: trials.commit_or_revert(rooms, last),
            "cancel": lambda: trials.cancel(rooms, last),
            "finish": lambda: finishing.finish(rooms),
            "settle": lambda: Recovery()(rooms, tell),
        }
        try:
            calls[self.name]()
            tell("done", last)
        except Refusal as refusal:
            tell("refused", refusal.code)
