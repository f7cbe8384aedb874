"""The ledger's vocabulary: every event that can happen. `core/steps.py` says when."""

from typing import Annotated, Literal

from pydantic import Field, TypeAdapter

from autoresearch_mcp.core.audit import Finding
from autoresearch_mcp.core.certificate import Interval
from autoresearch_mcp.core.noise import NO_NOISE, Noise
from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.core.trial import Choices, Move, Outcome, ProcessId, Role, Value
from autoresearch_mcp.core.verdict import Verdict


class ResearchStarted(Value):
    """A research run begins: its branch exists and its rules are fixed."""

    kind: Literal["research_started"] = "research_started"
    research: str
    """Full name of the branch, without refs/heads/."""
    base: str
    """Commit the branch was created at."""
    protocol: str
    """sha256 of protocol.json as committed at the base."""
    harness: dict[str, str]
    """Path -> sha256 of every harness file at the base."""
    setting: Setting
    noise: Noise = NO_NOISE
    """What earlier sessions on this machine, data and harness left."""


class Edited(Value):
    """The intent to write a candidate's file into the user's working tree."""

    kind: Literal["edited"] = "edited"
    research: str
    path: str
    before: str
    """sha256 of the content that is replaced."""
    after: str


class Staged(Value):
    """A trial begins: its candidate is a commit under refs/autoresearch/trials/."""

    kind: Literal["staged"] = "staged"
    trial: int
    research: str
    base: str
    candidate: str
    arm: str
    baseline: bool
    hypothesis: str
    added: int
    removed: int
    simplification: bool = False
    protocol_bundle: str | None = None
    """The protocol's own name for itself and what goes with it, where it has one."""
    choices: Choices | None = None


class Queued(Value):
    """The trial's process is alive and waits for the machine."""

    kind: Literal["queued"] = "queued"
    trial: int
    process: ProcessId


class Running(Value):
    """The trial's process holds the machine."""

    kind: Literal["running"] = "running"
    trial: int


class RunStarted(Value):
    """One run begins."""

    kind: Literal["run_started"] = "run_started"
    trial: int
    role: Role
    arm: str
    seed: int
    directory: str
    why: str = ""


class HandedOver(Value):
    """The run under way handed its model over; no validation token has been shown to it yet."""

    kind: Literal["handed_over"] = "handed_over"
    trial: int
    model: str
    """sha256 of the model's bytes."""
    size: int


class RunFinished(Value):
    """The run under way ended."""

    kind: Literal["run_finished"] = "run_finished"
    trial: int
    outcome: Outcome


class CancelRequested(Value):
    """Somebody asked for the trial's end."""

    kind: Literal["cancel_requested"] = "cancel_requested"
    trial: int


class Measured(Value):
    """The trial's outcome is known."""

    kind: Literal["measured"] = "measured"
    trial: int
    outcome: Outcome


class Resumed(Value):
    """Another process goes on with the audit of a measured trial, whose own has died."""

    kind: Literal["resumed"] = "resumed"
    trial: int
    process: ProcessId
    number: int | None = None
    """Which of the trial's resumptions it is, from 1: two processes can't both go on with it."""


class AuditStarted(Value):
    """The claims of the trial's runs are about to be checked by other processes."""

    kind: Literal["audit_started"] = "audit_started"
    trial: int
    directory: str


class RunFinding(Value):
    """What was found about one run's claims."""

    run: int
    seed: str
    """Of the choice of probes, hexadecimal; drawn after the model was handed over."""
    finding: Finding


class Audited(Value):
    """The claims of the trial's runs were checked, or cannot be."""

    kind: Literal["audited"] = "audited"
    trial: int
    findings: tuple[RunFinding, ...]
    outcome: Outcome
    """The trial's, as the audit leaves it."""


class Decided(Value):
    """The court has spoken."""

    kind: Literal["decided"] = "decided"
    trial: int
    verdict: Verdict


class Overruled(Value):
    """The operator decided otherwise than the court."""

    kind: Literal["overruled"] = "overruled"
    trial: int
    verdict: Verdict


class Applying(Value):
    """The intent to make branch and working tree follow the verdict."""

    kind: Literal["applying"] = "applying"
    trial: int
    old: str
    new: str
    """Equal to `old` when nothing is kept."""


class Closing(Value):
    """The intent to commit the results log's rows that no kept trial committed."""

    kind: Literal["closing"] = "closing"
    trial: int
    """The last trial so far, whose row is the log's last."""
    move: Move


class Done(Value):
    """Nothing of this trial is left to do."""

    kind: Literal["done"] = "done"
    trial: int


class Exported(Value):
    """The results log was written to the working tree."""

    kind: Literal["exported"] = "exported"
    research: str
    sha256: str


class CertificateRun(Value):
    """One fresh run for a certificate; no verdict ever looks at it."""

    kind: Literal["certificate_run"] = "certificate_run"
    research: str
    side: Literal["baseline", "incumbent"]
    seed: int
    outcome: Outcome
    holdout: float | None = None
    """The metric on rows that no run and no verdict has seen; None where it was not computed."""


class Certified(Value):
    """The gain of an incumbent over the baseline, from fresh runs alone."""

    kind: Literal["certified"] = "certified"
    research: str
    incumbent: int
    """The incumbent's trial."""
    pairs: int
    validation: Interval
    holdout: Interval | None = None
    """None where the server does not evaluate models itself."""
    warning: str | None = None
    """What is odd about the two, in plain words."""


class Checkpointed(Value):
    """Everything up to here was checked, and what it adds up to has this digest."""

    kind: Literal["checkpointed"] = "checkpointed"
    version: int
    """Of the ledger's schema; under another one the digest would be another."""
    digest: str


LaterEvent = (
    Queued
    | Running
    | RunStarted
    | HandedOver
    | RunFinished
    | CancelRequested
    | Measured
    | Resumed
    | AuditStarted
    | Audited
    | Decided
    | Overruled
    | Applying
    | Closing
    | Done
)
TrialEvent = Staged | LaterEvent
Event = ResearchStarted | Edited | Exported | CertificateRun | Certified | Checkpointed | TrialEvent

EVENT: TypeAdapter[Event] = TypeAdapter(Annotated[Event, Field(discriminator="kind")])
"""Reads an event back from its JSON."""
