"""Whatever agents, people, deaths and disks do in whatever order, the invariants hold.

A candidate's run waits at a gate, so that things can happen in the middle of a trial. The short
form plays a few games, the long one 2,000.
"""

import hashlib
import itertools
import shutil
import tempfile
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import psutil
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from hypothesis.stateful import run_state_machine_as_test as play

from autoresearch_mcp.core.trial import Phase as TrialPhase
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.session import documents
from tests.driving import processes_below, wait_for

from .conftest import Lab, source
from .lives import Death, Ended, Step, live

_GATE = (
    "import os, time\nwhile not os.path.exists(os.environ['TMPDIR'] + '/gate'): time.sleep(.01)\n"
)
_GAINS = st.sampled_from(["1.9 - {} / 1e3", "2.5 + {} / 1e3", "1 / 0 + {}"])
_CALLS = st.sampled_from(["edit", "start", "apply", "cancel", "finish", "settle"])
_UNHURRIED = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much)
_EVENTS = st.sampled_from(
    [
        *("nothing", "person edits", "person commits", "person moves the branch"),
        *("trial dies", "server dies", "server starts"),
    ]
)
_SIZES = st.sampled_from([0, 1_000, 30_000, 100_000])


class Game(RuleBasedStateMachine):
    """A recipe with its baseline, and everybody who can touch it."""

    start: Lab
    played = itertools.count(1)

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="game-"))
        self.lab = self.start.copy(self.folder / "lab")
        self.ideas = 0
        self.mine: str | None = None
        """What the person has written into train.py and nobody has adopted."""
        self.moved: str | None = None
        """Where the person has put the branch."""

    def candidate(self, gain: str = "1.9 - {} / 1e3") -> str:
        self.ideas += 1
        return _GATE + source(gain.format(self.ideas))

    def call(self, name: str, death: Death = Death()) -> Ended:  # noqa: B008 - frozen
        return live(self.lab.world, Step(name, self.candidate()), death)

    @property
    def last(self) -> TrialRecord:
        return self.lab.trials()[-1]

    @rule(gain=_GAINS)
    def edit(self, gain: str) -> None:
        live(self.lab.world, Step("edit", self.candidate(gain)))

    @rule()
    def run(self) -> None:
        self.call("start")

    @rule(gain=_GAINS, running=_EVENTS, decided=_EVENTS)
    def take_a_turn(self, gain: str, running: str, decided: str) -> None:
        """Edit, run and apply, while something happens in the middle and before the end."""
        live(self.lab.world, Step("edit", self.candidate(gain)))
        self.call("start")
        self.meanwhile(running)
        self.wait()
        self.meanwhile(decided)
        self.call("apply")

    def meanwhile(self, event: str) -> None:
        match event:
            case "person edits":
                self.user_edits_train_py()
            case "person commits" if self.moved is None:
                self.user_commits()
            case "person moves the branch" if self.moved is None:
                self.user_moves_the_branch()
            case "trial dies":
                self.kill_the_trial()
            case "server dies":
                self.crash("apply", 3 + self.ideas % 20)
            case "server starts":
                self.restart()
            case _:
                pass

    @rule()
    def wait(self) -> None:
        """Let the trial under way come to its end, if it can."""
        trial = self.last
        if trial.undecided and trial.process:
            with suppress(psutil.NoSuchProcess):
                process = psutil.Process(trial.process.pid)
                wait_for(lambda: not _runs(process) or self._opened())
                wait_for(lambda: not _runs(process))

    def _opened(self) -> bool:
        """Open the gate of the run under way; False while there is none."""
        run = self.last.current_run
        if run is None or not (folder := Path(run.directory) / "tmp").exists():
            return not self.last.undecided
        (folder / "gate").touch()
        return True

    @rule()
    def apply(self) -> None:
        self.call("apply")

    @rule()
    def cancel(self) -> None:
        self.call("cancel")

    @rule()
    def finish(self) -> None:
        self.call("finish")

    @rule(name=_CALLS, point=st.integers(1, 30))
    def crash(self, name: str, point: int) -> None:
        """The server dies in the middle of a call."""
        self.call(name, Death(server=point))

    @rule()
    def kill_the_trial(self) -> None:
        trial = self.last
        if trial.undecided and trial.process:
            with suppress(psutil.NoSuchProcess):
                psutil.Process(trial.process.pid).kill()

    @rule(name=_CALLS, size=_SIZES)
    def fill_the_disk(self, name: str, size: int) -> None:
        self.call(name, Death(disk=size))

    @rule(name=_CALLS, other=_CALLS)
    def two_clients(self, name: str, other: str) -> None:
        with ThreadPoolExecutor(2) as pool:
            list(pool.map(self.call, (name, other)))

    @rule()
    def restart(self) -> None:
        """After what every server does first, nothing is left half done."""
        (ended,) = live(self.lab.world, Step("settle")).told[:1]
        if ended[0] == "fault":
            assert self.moved is not None, ended
            return
        lab, trials = self.lab, self.lab.trials()
        assert lab.repo.git("fsck", "--strict", "--no-dangling") == ""
        for trial in trials:
            assert lab.repo.git("rev-parse", f"refs/autoresearch/trials/{trial.id}")
        decided = [trial.candidate[:7] for trial in trials if trial.verdict]
        # A trial under way may come to its end at any time: its row follows its verdict.
        assert [row[0] for row in lab.repo.log_rows()][: len(decided)] == decided
        if not self.last.undecided:
            wait_for(lambda: not processes_below(lab.folder))
            assert lab.repo.read("results.tsv") == documents.results(lab.world.rooms())

    @rule()
    def user_edits_train_py(self) -> None:
        self.mine = f"MINE = {self.candidate()!r}\n"
        self.lab.repo.write("train.py", self.mine)

    @precondition(lambda self: self.mine is not None)
    @rule()
    def user_undoes_that(self) -> None:
        self.mine = None
        self.lab.repo.write("train.py", self.lab.repo.git("show", "HEAD:train.py") + "\n")

    @precondition(lambda self: self.mine is not None)
    @rule()
    def adopt(self) -> None:
        if live(self.lab.world, Step("adopt")).told[-1][0] == "done":
            self.mine = None

    @precondition(lambda self: self.moved is None)
    @rule()
    def user_commits(self) -> None:
        self.lab.repo.git("commit", "--quiet", "--allow-empty", "--only", "--message", "mine")
        self.moved = self.lab.repo.git("rev-parse", "HEAD")

    @precondition(lambda self: self.moved is None)
    @rule()
    def user_moves_the_branch(self) -> None:
        self.lab.repo.git("update-ref", "HEAD", self.lab.trials()[0].base)
        if self.lab.trials()[0].base not in self._heads():
            self.moved = self.lab.trials()[0].base

    @precondition(lambda self: self.moved is not None)
    @rule()
    def user_moves_it_back(self) -> None:
        self.lab.repo.git("update-ref", "HEAD", self._heads()[0])
        self.moved = None

    def _heads(self) -> list[str]:
        """Return where the ledger has the branch: before and after an intent under way."""
        head = trials[0].base if (trials := self.lab.trials()) else ""
        for trial in trials:
            moves = [trial.applying_to, trial.closing.new if trial.closing else None]
            *done, last = [head, *filter(None, moves)]
            if trial.phase in {TrialPhase.APPLYING, TrialPhase.CLOSING}:
                return [done[-1], last]
            head = last
        return [head]

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        while True:
            kinds, trials, events = self.lab.kinds(), self.lab.trials(), self.lab.verify()
            if kinds == self.lab.kinds():  # a trial under way writes at any time
                break
        assert [trial.id for trial in trials] == list(range(1, len(trials) + 1))
        decided = [trial for trial in trials if trial.verdict]
        assert kinds.count("staged") == len(trials)
        assert kinds.count("decided") == len(decided)
        assert sum(trial.undecided for trial in trials) <= 1
        assert events == len(kinds)

    @invariant()
    def the_branch_is_where_ledger_or_person_left_it(self) -> None:
        head = self.lab.repo.git("rev-parse", "HEAD")
        assert head == self.moved if self.moved else head in self._heads()

    @invariant()
    def the_file_is_the_persons_or_one_that_the_ledger_knows(self) -> None:
        text = self.lab.repo.read("train.py")
        if self.mine is not None:
            assert text == self.mine
        elif text != self.lab.repo.git("show", "HEAD:train.py") + "\n":
            digest = hashlib.sha256(text.encode()).hexdigest()
            assert self.lab.repo.ledger.knows(self.last.research, digest)

    @invariant()
    def other_work_is_untouched(self) -> None:
        self.lab.check_a_persons_work()

    def teardown(self) -> None:
        if self.moved:
            self.user_moves_it_back()
        self.call("cancel")
        self.restart()
        shutil.rmtree(self.folder)
        if (number := next(self.played)) % 100 == 0:
            print(f"{number} games played", flush=True)  # noqa: T201 - hours, else silent


def _runs(process: psutil.Process) -> bool:
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_whatever_happens_in_whatever_order_the_invariants_hold(measured: Lab, full: bool) -> None:
    machine = type("Game", (Game,), {"start": measured})
    play(
        machine,
        settings=settings(
            max_examples=2000 if full else 6,
            stateful_step_count=12 if full else 8,
            derandomize=not full,
            deadline=None,
            database=None,
            phases=(Phase.explicit, Phase.generate, Phase.target),
            suppress_health_check=_UNHURRIED,
        ),
    )
