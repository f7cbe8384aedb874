"""What a trial is and the steps it goes through: one candidate, one or more runs, one verdict.

    STAGED -> QUEUED -> RUNNING -> MEASURED (-> AUDITED) -> DECIDED (-> APPLYING) -> DONE
    DONE (-> CLOSING -> DONE), where the results log got a last commit

Each arrow is one event in the ledger (core/events.py); core/steps.py is the only code that
knows which arrows exist.
"""

from enum import StrEnum

from pydantic import Field

from autoresearch_mcp.core.audit import Finding
from autoresearch_mcp.core.case import Preset
from autoresearch_mcp.core.value import Value
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus


class Phase(StrEnum):
    """Where a trial stands."""

    STAGED = "staged"
    """Recorded, its process not yet known to be alive."""
    QUEUED = "queued"
    """Its process waits for the machine's trial lease."""
    RUNNING = "running"
    """Its process owns the machine and executes runs."""
    MEASURED = "measured"
    AUDITED = "audited"
    DECIDED = "decided"
    """The verdict is in the ledger; nobody has asked to apply it yet."""
    APPLYING = "applying"
    """The intent to move the branch is recorded; the move may or may not have happened."""
    CLOSING = "closing"
    """The intent to commit the results log's last rows, this trial's the last, is recorded."""
    DONE = "done"


UNDER_WAY = frozenset({Phase.STAGED, Phase.QUEUED, Phase.RUNNING, Phase.MEASURED, Phase.AUDITED})
"""Phases in which a trial's process should be alive."""


class OutcomeKind(StrEnum):
    """How a run, and with it a trial, ended; a warm-up, which has no say, is a run's end alone."""

    MEASURED = "measured"
    CRASH = "crash"
    TIMEOUT = "timeout"
    OVER_BUDGET = "over_budget"
    NO_METRIC = "no_metric"
    TAMPERED = "tampered"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"
    WARM_UP = "warm_up"


class Timing(Value):
    """How long the parts of a run took, in seconds on the supervisor's clock."""

    total: float
    """From process start to process end."""
    startup: float | None = None
    """From process start to the first training batch; None where the harness did not tell."""
    training: float | None = None
    """From the first training batch to the model's hand-over for evaluation."""
    claimed: float | None = None
    """Seconds of training that the run's own log claims."""

    @property
    def evaluation(self) -> float | None:
        """Return the seconds from the hand-over to process end."""
        if self.startup is None or self.training is None:
            return None
        return self.total - self.startup - self.training


class TrustLevel(StrEnum):
    """How much of a result the server saw to itself; each level includes those before it."""

    PRINTED = "printed"
    """A pattern read the number from the log."""
    LOCKED = "locked"
    """Fresh directory, hashes checked before and after, sandboxed, on the supervisor's clock."""
    SEALED = "sealed"
    """The server computed the number itself, from a model that never saw validation data."""
    AUDITED = "audited"
    """A second process, which had no labels, gave the same distributions."""
    CONFIRMED = "confirmed"
    """Run again from the committed candidate with another seed."""


class Trust(Value):
    """The level reached, and what keeps it from the next."""

    level: TrustLevel = TrustLevel.PRINTED
    missing: tuple[str, ...] = ()
    """What the next level asks for and this run had not, in plain words."""


class Evaluation(Value):
    """How the server computed a run's metric itself."""

    value: float
    """The metric, in the protocol's unit."""
    model: str
    """sha256 of the model as it was handed over."""
    losses: str
    """sha256 of the per-token losses, little-endian float32 in the order of the rows."""
    seconds: float
    """From the prover's start to its last answer."""
    printed: float | None = None
    """What the run's log says, for comparison."""


class Pace(Value):
    """How long a fixed piece of work took beside a run, in seconds: slower is a slower machine."""

    before: float
    after: float


class Outcome(Value):
    """What one run came to. A crash is data: `value` is None then, never 0."""

    kind: OutcomeKind
    value: float | None = None
    """The primary metric, in the protocol's unit and direction."""
    reason: str
    """One line for a person and an agent alike."""
    error_class: str | None = None
    """What kind of crash (syntax, import, shape, nan, oom, killed, handover, other), or what spoilt
    the run from outside (clock, throttled, retried, setup)."""
    hint: str | None = None
    """What to try next."""
    secondary: dict[str, float | None] = Field(default_factory=dict[str, float | None])
    """The protocol's secondary metrics by name, None where the log had none."""
    exit_code: int | None = None
    """Exit status of the run's process; minus the signal's number when a signal ended it."""
    timing: Timing | None = None
    """None where no process was started."""
    trust: Trust = Trust()
    evaluation: Evaluation | None = None
    """None where the number was read from the log, or there is none."""
    notes: tuple[str, ...] = ()
    """What is odd about the run and changes nothing, in words, each after its code."""
    pace: Pace | None = None
    """None where the machine's pace was not measured."""
    throttled: str | None = None
    """By how much the machine was slower than usual during the run, where that shows."""

    @property
    def seconds(self) -> float:
        """Return the wall-clock seconds from process start to its end; 0 without a process."""
        return self.timing.total if self.timing else 0.0


class Role(StrEnum):
    """Whose code a run executes."""

    CANDIDATE = "candidate"
    INCUMBENT = "incumbent"


class Run(Value):
    """One process, one seed."""

    number: int
    """Position within the trial, from 1."""
    role: Role
    arm: str
    """Fingerprint of code + harness + data + environment: runs of one arm are comparable."""
    seed: int
    directory: str
    """The run's fresh directory, removed when the run ends."""
    started_at: str
    """UTC, ISO 8601."""
    model: str | None = None
    """sha256 of the model handed over, recorded before any validation token is shown to it."""
    why: str = ""
    """Why the rule asked for it, in plain words."""
    outcome: Outcome | None = None
    """None while the run is under way."""
    audit: Finding | None = None
    """What a second process made of its claims; None where nothing asked for that."""


class ProcessId(Value):
    """A process told apart from a later one with the same number."""

    pid: int
    started: str
    """When it started, in the unit that the system keeps."""
    boot: str
    """Which start of the machine it belongs to."""


class Move(Value):
    """A branch goes from one commit to another."""

    old: str
    new: str


class Choices(Value):
    """What the operator had chosen for a trial: whoever goes on with it goes by that."""

    python: str
    """The recipe's interpreter."""
    evidence: Preset
    audits_all: bool
    sandbox: str | None
    allow_network: bool
    memory_gib: float | None
    assets: tuple[str, ...] | None


class TrialRecord(Value):
    """A trial as the ledger's events add up to it."""

    id: int
    research: str
    """Branch of the research run that the trial belongs to."""
    phase: Phase
    base: str
    """Commit the candidate was built on: the research branch's head."""
    candidate: str
    """Commit of the candidate, reachable under refs/autoresearch/trials/."""
    arm: str
    baseline: bool
    hypothesis: str
    added: int = 0
    """Lines that the candidate adds to its base."""
    removed: int = 0
    simplification: bool = False
    """Whether it is put forward for being simpler, not better."""
    protocol_bundle: str | None = None
    choices: Choices | None = None
    staged_at: str
    """UTC, ISO 8601."""
    ended_at: str | None = None
    """When the verdict was recorded."""
    process: ProcessId | None = None
    runs: tuple[Run, ...] = ()
    outcome: Outcome | None = None
    verdict: Verdict | None = None
    cancel_requested: bool = False
    resumptions: int = 0
    """How often another process had to go on with its audit."""
    audit_directory: str | None = None
    """The folders of the audit, removed when it ends."""
    applying_to: str | None = None
    """Commit that the branch moves to (the old head when nothing is kept)."""
    closing: Move | None = None
    """The branch's way to a last commit of the results log, where that followed this trial."""

    @property
    def kept(self) -> bool:
        """Tell whether the branch holds, or is about to hold, this candidate."""
        return (
            self.verdict is not None
            and self.verdict.status is VerdictStatus.KEEP
            and self.phase in {Phase.APPLYING, Phase.CLOSING, Phase.DONE}
        )

    @property
    def current_run(self) -> Run | None:
        """Return the run that is under way, if any."""
        return self.runs[-1] if self.runs and self.runs[-1].outcome is None else None

    @property
    def own_run(self) -> int:
        """Return the number of the candidate's latest run, 1 before there is any.

        The latest of all may be the incumbent's, whose log says nothing of the candidate.
        """
        own = [run.number for run in self.runs if run.role is Role.CANDIDATE]
        return own[-1] if own else 1

    @property
    def awaits_application(self) -> bool:
        """Tell whether commit_or_revert is still to be called for it.

        A baseline changes no file, and an interrupted trial leaves its candidate in place.
        """
        over = self.baseline or (
            self.outcome is not None and self.outcome.kind is OutcomeKind.INTERRUPTED
        )
        return self.phase in {Phase.DECIDED, Phase.APPLYING} and not over

    @property
    def undecided(self) -> bool:
        """Tell whether the trial has no verdict yet."""
        return self.phase in UNDER_WAY
