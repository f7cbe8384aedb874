"""From what the supervisor saw to the outcome of a run."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.core.budget import Budget
from autoresearch_mcp.core.outcomes import CLOCK, RunFacts, outcome_of
from autoresearch_mcp.core.protocol import parse_protocol
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Timing

BUDGET = Budget(30, 180, "protocol")
TIMING = Timing(total=35, startup=1, training=30.2)
LOG = b"---\nval_bpb: 1.750000\ntraining_seconds: 29.9\npeak_vram_mb: 100.0\n"
PROTOCOL = (Path(__file__).parents[2] / "protocol.json").read_text()
MEASUREMENT = parse_protocol(PROTOCOL).measurement


def outcome(log: bytes = LOG, **facts: Any) -> Outcome:
    seen = replace(RunFacts(exit_code=0, stopped=None, timing=TIMING), **facts)
    return outcome_of(seen, log, MEASUREMENT, BUDGET, ())


def test_a_good_run_is_measured_and_its_claim_recorded() -> None:
    found = outcome()

    assert (found.kind, found.value) == (OutcomeKind.MEASURED, 1.75)
    assert found.secondary == {"peak_vram_mb": 100.0, "num_steps": None}
    assert found.timing is not None
    assert (found.timing.training, found.timing.claimed) == (30.2, 29.9)


@pytest.mark.parametrize(
    ("facts", "kind", "reason"),
    [
        ({"stopped": "timeout", "exit_code": -15}, OutcomeKind.TIMEOUT, "hard limit is 180 s"),
        ({"exit_code": 1}, OutcomeKind.CRASH, "exit status 1"),
        ({"exit_code": -9}, OutcomeKind.CRASH, "SIGKILL"),
        ({"stopped": "the loss was nan", "exit_code": -15}, OutcomeKind.CRASH, "stopped early"),
        ({"tampered": "prepare.py was changed"}, OutcomeKind.TAMPERED, "prepare.py"),
        ({"clock_jump": 3600.0}, OutcomeKind.INTERRUPTED, "+3600 s"),
        ({"clock_jump": -30.0}, OutcomeKind.INTERRUPTED, "-30 s"),
        (
            {"timing": Timing(total=80, startup=1, training=75)},
            OutcomeKind.OVER_BUDGET,
            "training took 75.0 s",
        ),
    ],
)
def test_anything_else_has_no_value_and_says_why(
    facts: dict[str, Any], kind: OutcomeKind, reason: str
) -> None:
    found = outcome(**facts)

    assert (found.kind, found.value) == (kind, None)
    assert reason in found.reason
    assert found.hint


def test_a_run_spoilt_by_a_sleeping_machine_is_marked_for_repetition() -> None:
    assert outcome(clock_jump=100.0).error_class == CLOCK
    assert outcome(clock_jump=1.9).kind is OutcomeKind.MEASURED


def test_a_log_with_two_metrics_has_none() -> None:
    found = outcome(LOG + b"val_bpb: 0.100000\n")

    assert (found.kind, found.value) == (OutcomeKind.NO_METRIC, None)
