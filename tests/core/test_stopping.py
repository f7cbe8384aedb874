"""Steps and epochs are held to what the log says of them."""

from typing import Any

import pytest

from autoresearch_mcp.core.budget import Budget
from autoresearch_mcp.core.measurement import Measurement
from autoresearch_mcp.core.outcomes import RunFacts, outcome_of
from autoresearch_mcp.core.protocol_schema import StopCondition
from autoresearch_mcp.core.stopping import in_words, overstepped
from autoresearch_mcp.core.trial import OutcomeKind, Timing

EVERY: list[dict[str, Any]] = [
    {"type": "wall_clock", "trainingSecondsBudget": 300},
    {"type": "max_steps", "maxSteps": 10},
    {"type": "epochs", "epochs": 2},
    {"type": "until_metric"},
    {"type": "fixed_suite"},
]


def stop(**fields: Any) -> StopCondition:
    return StopCondition.model_validate(fields)


@pytest.mark.parametrize(
    ("log", "over"),
    [
        (b"", False),
        (b"step 10\n", False),
        (b"step 00010 (99%)\rstep 00011 (99%)", True),
        (b"num_steps:        11\n", True),
        (b"steps: 11\n", True),
        (b"global_step=11\n", True),
        (b"stepping 11 stones\n", False),
        (b"at step 11\n", False),
        (b"epoch 11\n", False),
    ],
)
def test_more_steps_than_the_protocol_allows_are_found_in_the_log(log: bytes, over: bool) -> None:
    assert (overstepped(stop(type="max_steps", maxSteps=10), log) is not None) == over


@pytest.mark.parametrize("log", [b"Epoch 3/3\n", b"epoch: 3\n", b"num_epochs: 3\n"])
def test_more_epochs_than_the_protocol_allows_are_found_in_the_log(log: bytes) -> None:
    assert (
        overstepped(stop(type="epochs", epochs=2), log) == "the log tells of epoch 3; epochs is 2"
    )


@pytest.mark.parametrize("fields", EVERY)
def test_what_a_stop_condition_does_not_count_it_does_not_limit(fields: dict[str, Any]) -> None:
    log = {"max_steps": b"epoch 99\n", "epochs": b"step 99\n"}.get(
        fields["type"], b"step 99\nepoch 99\n"
    )
    assert overstepped(stop(**fields), log) is None


@pytest.mark.parametrize("fields", EVERY)
def test_each_stop_condition_is_a_sentence(fields: dict[str, Any]) -> None:
    assert in_words(stop(**fields)).endswith(".")


def test_a_run_that_oversteps_is_over_budget_whatever_it_measured() -> None:
    measurement = Measurement.model_validate(
        {
            "primaryMetric": {
                "name": "loss",
                "direction": "minimize",
                "extract": {"kind": "regex", "pattern": "^loss: ([0-9.]+)"},
            },
            "baselinePolicy": {"establishOnHardware": True, "sameDataSnapshot": True},
        }
    )
    facts = RunFacts(exit_code=0, stopped=None, timing=Timing(total=1))
    budget = Budget(9, 9, "protocol", stop=stop(type="max_steps", maxSteps=10))

    def ends(log: bytes) -> OutcomeKind:
        return outcome_of(facts, log, measurement, budget, ()).kind

    assert ends(b"step 10\nloss: 1.0\n") is OutcomeKind.MEASURED
    assert ends(b"step 11\nloss: 1.0\n") is OutcomeKind.OVER_BUDGET
