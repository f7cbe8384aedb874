"""The steps of a trial: which may follow which, and what they make of its record."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.events import (
    EVENT,
    Applying,
    CancelRequested,
    Decided,
    Done,
    Measured,
    Queued,
    Resumed,
    RunFinished,
    Running,
    RunStarted,
    Staged,
    TrialEvent,
)
from autoresearch_mcp.core.steps import IllegalStep, advance
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, ProcessId, Role, TrialRecord
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus

NOW = "2026-11-23T12:00:00+00:00"
GOOD = Outcome(kind=OutcomeKind.MEASURED, value=1.5, reason="val_bpb 1.500000")
STAGED = Staged(
    trial=1,
    research="autoresearch/2026-11-23",
    base="b" * 40,
    candidate="c" * 40,
    arm="a" * 64,
    baseline=False,
    hypothesis="wider",
    added=2,
    removed=1,
)
QUEUED = Queued(trial=1, process=ProcessId(pid=7, started="1", boot="x"))
RUNNING = Running(trial=1)
RUN_STARTED = RunStarted(trial=1, role=Role.CANDIDATE, arm="a", seed=1, directory="/gone")
RUN_FINISHED = RunFinished(trial=1, outcome=GOOD)
MEASURED = Measured(trial=1, outcome=GOOD)
DECIDED = Decided(trial=1, verdict=Verdict(status=VerdictStatus.KEEP, reason="better"))
APPLYING = Applying(trial=1, old="b" * 40, new="d" * 40)
DONE = Done(trial=1)
WHOLE: tuple[TrialEvent, ...] = (
    *(STAGED, QUEUED, RUNNING, RUN_STARTED, RUN_FINISHED),
    *(MEASURED, DECIDED, APPLYING, DONE),
)


def play(*events: TrialEvent) -> TrialRecord:
    record = None
    for event in events:
        record = advance(record, event, NOW)
    assert record is not None
    return record


def test_a_kept_trial_walks_through_every_phase() -> None:
    record = play(*WHOLE)

    assert record.phase is Phase.DONE
    assert record.kept
    assert [run.outcome for run in record.runs] == [GOOD]
    assert (record.outcome, record.ended_at, record.applying_to) == (GOOD, NOW, "d" * 40)


def test_a_trial_that_died_in_a_run_keeps_no_run_under_way() -> None:
    died = Outcome(kind=OutcomeKind.INTERRUPTED, reason="the process died")
    record = play(STAGED, QUEUED, RUNNING, RUN_STARTED, Measured(trial=1, outcome=died))

    assert record.current_run is None
    assert record.runs[0].outcome == died


def test_a_request_to_cancel_changes_no_phase() -> None:
    record = play(STAGED, QUEUED, CancelRequested(trial=1))

    assert record.cancel_requested
    assert record.phase is Phase.QUEUED


@pytest.mark.parametrize(
    "events",
    [
        (QUEUED,),
        (STAGED, STAGED),
        (STAGED, RUNNING),
        (STAGED, QUEUED, RUN_STARTED),
        (STAGED, QUEUED, RUNNING, RUN_FINISHED),
        (STAGED, QUEUED, RUNNING, RUN_STARTED, RUN_STARTED),
        (STAGED, QUEUED, RUNNING, DECIDED),
        (STAGED, QUEUED, RUNNING, MEASURED, MEASURED),
        (STAGED, QUEUED, RUNNING, MEASURED, APPLYING),
        (STAGED, QUEUED, RUNNING, MEASURED, DECIDED, CancelRequested(trial=1)),
        (*WHOLE, DONE),
    ],
)
def test_a_step_out_of_order_is_illegal(events: tuple[TrialEvent, ...]) -> None:
    with pytest.raises(IllegalStep):
        play(*events)


def test_only_one_process_goes_on_with_a_measured_trial() -> None:
    first = Resumed(trial=1, process=QUEUED.process, number=1)
    second = first.model_copy(update={"number": 2})
    until_then = (STAGED, QUEUED, RUNNING, MEASURED)

    assert play(*until_then, first, second).resumptions == 2
    for late in (first, second.model_copy(update={"number": 3})):
        with pytest.raises(IllegalStep, match="goes on with it already"):
            play(*until_then, first, late)


@given(st.lists(st.sampled_from(WHOLE), max_size=14))
def test_any_order_of_events_is_either_a_record_or_an_illegal_step(
    events: list[TrialEvent],
) -> None:
    record = None
    for event in events:
        try:
            record = advance(record, event, NOW)
        except IllegalStep:
            continue
        assert record.undecided == (record.verdict is None)


@given(st.sampled_from(WHOLE))
def test_an_event_survives_the_way_through_json(event: TrialEvent) -> None:
    assert EVENT.validate_json(event.model_dump_json()) == event
