"""What an audit leaves of outcomes and runs."""

import pytest

from autoresearch_mcp.core.audit import Answer, Finding, Probe, Tolerance, unanswered, weigh
from autoresearch_mcp.core.events import (
    Audited,
    AuditStarted,
    Measured,
    Queued,
    RunFinding,
    RunFinished,
    Running,
    RunStarted,
    Staged,
    TrialEvent,
)
from autoresearch_mcp.core.steps import IllegalStep, advance
from autoresearch_mcp.core.trial import (
    Outcome,
    OutcomeKind,
    Phase,
    ProcessId,
    Role,
    TrialRecord,
    Trust,
    TrustLevel,
)
from autoresearch_mcp.core.trust import confirmed, examined, unaudited

SEALED = Outcome(
    kind=OutcomeKind.MEASURED,
    value=2.0,
    reason="val_bpb 2.000000",
    trust=Trust(level=TrustLevel.SEALED, missing=("an audit",)),
)
PASSED = weigh([Answer(probe=Probe(0, 0), claimed=2.0, found=2.0)], Tolerance())
FAILED = weigh([Answer(probe=Probe(3, 7), claimed=0.1, found=2.0)], Tolerance())


def audited(*findings: Finding, baseline: bool = False) -> TrialRecord:
    """Return a trial with a run for each finding, one of the incumbent besides, as audited."""
    staged = Staged(
        trial=1,
        research="r",
        base="b",
        candidate="c",
        arm="arm",
        baseline=baseline,
        hypothesis="",
        added=0,
        removed=0,
    )
    process = ProcessId(pid=1, started="1", boot="1")
    events: list[TrialEvent] = [staged, Queued(trial=1, process=process), Running(trial=1)]
    roles = [*[Role.CANDIDATE] * len(findings), Role.INCUMBENT]
    for seed, role in enumerate(roles, start=1):
        events += [
            RunStarted(trial=1, role=role, arm="arm", seed=seed, directory="/nowhere"),
            RunFinished(trial=1, outcome=SEALED),
        ]
    found = tuple(
        RunFinding(run=number, seed="0", finding=finding)
        for number, finding in enumerate(findings, start=1)
    )
    outcome = examined(SEALED, findings)
    events += [
        Measured(trial=1, outcome=SEALED),
        AuditStarted(trial=1, directory="/elsewhere"),
        Audited(trial=1, findings=found, outcome=outcome),
    ]
    record: TrialRecord | None = None
    for event in events:
        record = advance(record, event, "2026-01-01T00:00:00Z")
    assert record is not None
    return record


def test_an_audit_that_passed_raises_trust_and_names_what_is_missing() -> None:
    record = audited(PASSED, PASSED)

    assert record.phase is Phase.AUDITED
    assert record.outcome is not None
    assert record.outcome.value == 2.0
    assert record.outcome.trust.level is TrustLevel.AUDITED
    assert record.outcome.trust.missing == ("a second run with another seed",)
    assert [run.audit for run in record.runs] == [PASSED, PASSED, None]


def test_a_lie_in_one_run_voids_all_of_the_candidates_and_none_of_the_incumbents() -> None:
    record = audited(PASSED, FAILED)

    assert record.outcome is not None
    assert record.outcome.kind is OutcomeKind.TAMPERED
    assert record.outcome.reason.startswith("position 7 of row 3 changes")
    assert [run.outcome.value if run.outcome else 0 for run in record.runs] == [None, None, 2.0]


def test_what_is_found_about_the_baseline_voids_none_of_its_runs() -> None:
    record = audited(FAILED, baseline=True)

    assert [run.outcome.value if run.outcome else 0 for run in record.runs] == [2.0, 2.0]
    assert record.runs[0].audit == FAILED


def test_a_model_that_gives_the_audit_no_answer_is_not_believed() -> None:
    outcome = examined(SEALED, [unanswered("its prover ended", Tolerance())])

    assert outcome.kind is OutcomeKind.TAMPERED
    assert "gave the audit no answer: its prover ended" in outcome.reason


@pytest.mark.parametrize(("seeds", "level"), [(1, TrustLevel.AUDITED), (2, TrustLevel.CONFIRMED)])
def test_audited_runs_with_two_seeds_confirm_a_result(seeds: int, level: TrustLevel) -> None:
    assert confirmed(examined(SEALED, [PASSED]), seeds).trust.level is level


def test_seeds_alone_confirm_nothing() -> None:
    assert confirmed(SEALED, 5) == SEALED


def test_without_an_audit_the_level_stays_and_says_why() -> None:
    outcome = unaudited(SEALED, "the baseline looks ahead")

    assert outcome.trust.level is TrustLevel.SEALED
    assert outcome.trust.missing == ("an audit: the baseline looks ahead",)


def test_only_a_measured_trial_is_audited() -> None:
    record = audited(PASSED)

    with pytest.raises(IllegalStep):
        advance(record, AuditStarted(trial=1, directory="/again"), "2026-01-01T00:00:00Z")
