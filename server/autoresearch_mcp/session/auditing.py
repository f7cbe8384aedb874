"""The audit of a trial: whoever would be kept must prove it to a process without labels.

It is made between the outcome and the verdict. The baseline's audit says how far honest
arithmetic is from itself on this machine; every candidate's is held to that.
"""

import secrets
from array import array
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from hashlib import sha256
from itertools import chain, islice

from autoresearch_mcp.core import audit
from autoresearch_mcp.core.audit import Answer, Claim, Round, Tolerance
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.evaluation import EvaluationData
from autoresearch_mcp.core.events import Audited, AuditStarted, RunFinding
from autoresearch_mcp.core.outcomes import SETUP
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Role, Run, TrialRecord
from autoresearch_mcp.core.trust import confirmed, examined, unaudited
from autoresearch_mcp.core.verdict import VerdictStatus
from autoresearch_mcp.effects import prepared
from autoresearch_mcp.effects.rundir import RunDirectory
from autoresearch_mcp.effects.sealing import Dialogue, NoLogits, ProverEnded
from autoresearch_mcp.session import court
from autoresearch_mcp.session.guarding import Guard
from autoresearch_mcp.session.proving import Subject, proving
from autoresearch_mcp.session.rooms import Rooms

_SUSPICIOUS_GAIN = 0.2
"""Of the incumbent's value: more than one change of a recipe is known to bring."""

_SEED_BITS = 128
_LEAKY_BASELINE = "the baseline's own answers depend on later tokens: a person must look at it"
_EARLIER_RUNS = "runs of an earlier trial count as well, and their models are gone"


class Stopped(Exception):
    """Raised where the trial was asked to end during its audit."""


def examine(rooms: Rooms, guard: Guard, trial_id: int, is_stopped: Callable[[], bool]) -> None:
    """Audit a measured trial that would be kept, and record what was found.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the provers.
        trial_id: The trial; nothing happens unless the server evaluated it itself.
        is_stopped: Asked about five times a second whether the trial is to end.

    Raises:
        Fault: The machine, not the model, is the reason why there is no audit.
        Stopped: The trial is to end.
    """
    trial = rooms.ledger.get(trial_id)
    probes = probes_due(rooms, guard, trial)
    if probes == 0 or trial.outcome is None:
        return
    if not guard.seals:
        raise Fault(
            "an audit needs a sandbox and none is in force: `autoresearch-mcp doctor` says why"
        )
    tolerance = _tolerance(rooms, trial)
    if tolerance is None:
        outcome = unaudited(trial.outcome, _LEAKY_BASELINE)
        rooms.ledger.append(Audited(trial=trial_id, findings=(), outcome=outcome))
        return
    with _folders(rooms, trial_id) as directory:
        auditor = Auditor(rooms, guard, directory, is_stopped)
        found = tuple(auditor.finding(trial, run, probes, tolerance) for run in _sealed_runs(trial))
    outcome = _outcome(rooms, trial, found)
    rooms.ledger.append(Audited(trial=trial_id, findings=found, outcome=outcome))


def faulted(fault: Fault | OSError) -> Outcome:
    """Return the outcome of a trial that a person must mend something for."""
    return Outcome(
        kind=OutcomeKind.INTERRUPTED,
        reason=f"the trial could not be run: {fault}",
        error_class=SETUP,
        hint="A person must mend that first.",
    )


def _sealed_runs(trial: TrialRecord) -> list[Run]:
    """Return the candidate's runs that count and that the server evaluated itself."""
    own = ((run, run.outcome) for run in trial.runs if run.role is Role.CANDIDATE)
    return [run for run, ended in own if ended and ended.evaluation and ended.value is not None]


def probes_due(rooms: Rooms, guard: Guard, trial: TrialRecord) -> int:
    """Return how many probes a trial calls for: none unless it would be kept or is suspicious."""
    if trial.outcome is None or trial.outcome.kind is not OutcomeKind.MEASURED:
        return 0
    if not _sealed_runs(trial):
        return 0
    verdict = court.decide(rooms, trial.id, guard.bench.recipe.protocol).verdict
    incumbent = court.incumbent_of(rooms.ledger.trials(trial.research))
    best = incumbent.outcome.value if incumbent and incumbent.outcome else None
    if verdict.gain is not None and best and verdict.gain > _SUSPICIOUS_GAIN * abs(best):
        return audit.MORE_PROBES
    due = verdict.status is VerdictStatus.KEEP or rooms.options.audits_all
    return audit.PROBES if due else 0


def _tolerance(rooms: Rooms, trial: TrialRecord) -> Tolerance | None:
    """Return what a trial's claims are held to; None where the baseline failed by its own."""
    if trial.baseline:
        return audit.BASELINE_TOLERANCE
    baselines = [t for t in rooms.ledger.trials(trial.research) if t.baseline and t.id < trial.id]
    return audit.calibrate([run.audit for t in baselines for run in t.runs if run.audit])


def _outcome(rooms: Rooms, trial: TrialRecord, found: Sequence[RunFinding]) -> Outcome:
    """Return the trial's outcome after its audit."""
    assert trial.outcome is not None
    findings = [each.finding for each in found]
    if trial.baseline and not all(finding.passed for finding in findings):
        return unaudited(trial.outcome, _LEAKY_BASELINE)
    pooled = [
        run
        for other in rooms.ledger.trials(trial.research)
        for run in other.runs
        if run.arm == trial.arm and run.outcome is not None and run.outcome.value is not None
    ]
    if sum(run.audit is None for run in pooled) > len(found):
        return examined(unaudited(trial.outcome, _EARLIER_RUNS), findings)
    return confirmed(examined(trial.outcome, findings), len({run.seed for run in pooled}))


@contextmanager
def _folders(rooms: Rooms, trial_id: int) -> Generator[RunDirectory]:
    """Make the folders of an audit, known to the ledger, and remove them afterwards."""
    directory = RunDirectory.choose()
    rooms.ledger.append(AuditStarted(trial=trial_id, directory=str(directory.path)))
    try:
        directory.make()
        yield directory
    finally:
        directory.remove()


class Auditor:
    """Questions the models of a trial's runs.

    Args:
        rooms: The recipe's rooms.
        guard: What holds the provers.
        directory: Where their folders are made.
        is_stopped: Asked about five times a second whether the trial is to end.
    """

    def __init__(
        self, rooms: Rooms, guard: Guard, directory: RunDirectory, is_stopped: Callable[[], bool]
    ) -> None:
        self._rooms, self._guard, self._directory = rooms, guard, directory
        self._is_stopped = is_stopped
        data = guard.bench.data
        rows = prepared.evaluation_data(data) if data else None
        if data is None or rows is None:
            raise Fault("the prepared data has no rows to audit on: run `autoresearch-mcp prepare`")
        self._data: EvaluationData = rows
        self._micro_batch = data.manifest.profile.eval_micro_batch
        self._provers = 0

    def finding(
        self, trial: TrialRecord, run: Run, probes: int, tolerance: Tolerance
    ) -> RunFinding:
        """Compare what a run's model claimed with what it says without the labels."""
        self._check(trial, run)
        seed = secrets.randbits(_SEED_BITS)
        claim = self._claim(trial, run)
        subject = Subject(trial=trial.id, number=run.number, commit=trial.candidate, seed=run.seed)
        rounds = audit.plan(claim, self._incumbent_losses(trial), probes, seed)
        for is_last in (False, True):
            try:
                answers = [*chain(*(self._ask(subject, claim, one, seed) for one in rounds))]
                found = audit.weigh(answers, tolerance)
                break
            except ProverEnded as ended:
                if self._is_stopped():
                    raise Stopped from ended
                # Else once more: a machine may end it that is short of memory.
                final = is_last or isinstance(ended, NoLogits)
                if final and trial.baseline:  # nobody's lie, and all others are held to it
                    raise Fault(f"the baseline could not be audited: {ended}") from ended
                found = audit.unanswered(str(ended), tolerance)
                if final:
                    break
        return RunFinding(run=run.number, seed=f"{seed:032x}", finding=found)

    def _check(self, trial: TrialRecord, run: Run) -> None:
        """Return if the model that made a run's claims is still there.

        Raises:
            Fault: It is not: nobody may be blamed for what cannot be asked.
        """
        model = self._rooms.files.model(trial.id, run.number)
        stored = self._rooms.files.digest(model)
        if stored is None or stored != run.model:
            raise Fault(f"{model} is gone or was changed: start the trial again")

    def _ask(self, subject: Subject, claim: Claim, probes: Round, seed: int) -> list[Answer]:
        """Put one round of probes to a fresh prover."""
        self._provers += 1
        folder = self._directory.inner(f"prover-{self._provers}")
        answers: list[Answer] = []

        def give_up() -> str | None:
            stopped = "the trial is to end" if self._is_stopped() else None
            return stopped or self._guard.overflow(folder)

        try:
            with proving(self._rooms, self._guard, subject, folder, give_up) as prover:
                asked = zip(probes, audit.shown(claim, probes, seed), strict=True)
                while batch := list(islice(asked, self._micro_batch)):
                    answers += self._answers(prover, claim, batch)
        finally:
            folder.remove()  # rounds and second tries would add up
        return answers

    def _answers(
        self, prover: Dialogue, claim: Claim, batch: list[tuple[audit.Probe, list[int]]]
    ) -> Iterator[Answer]:
        """Ask about a micro-batch, filled up to the size that the scoring had."""
        filled = [batch[index % len(batch)] for index in range(self._micro_batch)]
        tokens = [array("H", shown) for _, shown in filled]
        logits = prover.logits(tokens, [probe.position for probe, _ in filled])
        for (probe, _), answer in zip(batch, logits, strict=False):
            label = claim.rows[probe.row][probe.position + 1]
            found = audit.loss(answer, label)
            yield Answer(probe=probe, claimed=claim.at(probe), found=found)

    def _claim(self, trial: TrialRecord, run: Run) -> Claim:
        sizes = self._data.token_bytes
        uncounted = frozenset(token for token, size in enumerate(sizes) if size == 0)
        nats = self._losses(trial, run)
        if nats is None:
            raise Fault(f"the losses that run {run.number} of trial {trial.id} claimed are gone")
        return Claim(rows=self._data.rows, nats=nats, uncounted=uncounted)

    def _incumbent_losses(self, trial: TrialRecord) -> Sequence[float] | None:
        """Return the incumbent's latest losses, None where there are none."""
        trials = [t for t in self._rooms.ledger.trials(trial.research) if t.id <= trial.id]
        incumbent = court.incumbent_of([t for t in trials if t.id < trial.id])
        if trial.baseline or incumbent is None:
            return None
        for other in reversed(trials):
            for run in reversed(other.runs):
                if run.arm == incumbent.arm and (nats := self._losses(other, run)) is not None:
                    return nats
        return None

    def _losses(self, trial: TrialRecord, run: Run) -> Sequence[float] | None:
        """Return the losses a run's model claimed; None where they are not as recorded."""
        evaluation = run.outcome.evaluation if run.outcome else None
        stored = self._rooms.files.losses(trial.id, run.number)
        if evaluation is None or sha256(stored).hexdigest() != evaluation.losses:
            return None
        nats = array("f")
        nats.frombytes(stored)
        return nats
