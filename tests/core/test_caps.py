"""The caps of miningLoop: which one the next trial would pass."""

from datetime import UTC, datetime, timedelta

import pytest

from autoresearch_mcp.core.caps import in_words, reached
from autoresearch_mcp.core.protocol_schema import MiningLoop
from autoresearch_mcp.core.trial import Outcome, OutcomeKind, Phase, TrialRecord
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus

BEGAN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)


def trials(*verdicts: str) -> list[TrialRecord]:
    """Trials that ended as the words say: keep, discard, or an outcome that is nobody's fault."""
    return [_trial(number, verdict) for number, verdict in enumerate(verdicts, start=1)]


def _trial(number: int, word: str) -> TrialRecord:
    judged = word in {"keep", "discard"}
    return TrialRecord(
        id=number,
        research="r",
        phase=Phase.DONE,
        base="b",
        candidate="c",
        arm="a",
        baseline=number == 1,
        hypothesis="h",
        staged_at=BEGAN.isoformat(),
        outcome=Outcome(kind=OutcomeKind.MEASURED if judged else OutcomeKind(word), reason=""),
        verdict=Verdict(status=VerdictStatus(word) if judged else "inconclusive", reason=""),  # pyright: ignore[reportArgumentType]
    )


def caps(**fields: float) -> MiningLoop:
    return MiningLoop.model_validate(fields)


@pytest.mark.parametrize(
    ("cap", "ended", "full"),
    [
        (caps(), ["keep"] * 99, False),
        (caps(maxTrials=3), ["keep", "discard"], False),
        (caps(maxTrials=3), ["keep", "discard", "keep"], True),
        (caps(maxTrials=3), ["keep", "interrupted", "cancelled", "keep"], False),
        (caps(maxConsecutiveNonImprovements=2), ["keep", "discard"], False),
        (caps(maxConsecutiveNonImprovements=2), ["keep", "discard", "discard"], True),
        (caps(maxConsecutiveNonImprovements=2), ["keep", "discard", "keep", "discard"], False),
        (
            caps(maxConsecutiveNonImprovements=2),
            ["keep", "discard", "interrupted", "discard"],
            True,
        ),
    ],
)
def test_a_trial_past_a_cap_is_told_the_caps_name(
    cap: MiningLoop, ended: list[str], full: bool
) -> None:
    found = reached(cap, trials(*ended), BEGAN)
    assert (found is not None) == full
    if found:
        field = next(name for name in cap.model_dump(by_alias=True, exclude_unset=True))
        assert found.startswith(f"miningLoop.{field}: ")


def test_the_session_ends_by_the_clock_of_its_first_trial() -> None:
    cap = caps(maxSessionWallSeconds=60)
    late = BEGAN + timedelta(seconds=60)
    assert reached(cap, [], late) is None
    assert reached(cap, trials("keep"), late - timedelta(seconds=1)) is None
    assert str(reached(cap, trials("keep"), late)).startswith("miningLoop.maxSessionWallSeconds")


def test_each_cap_is_a_rule_in_words() -> None:
    every = caps(maxTrials=3, maxConsecutiveNonImprovements=2, maxSessionWallSeconds=60)
    assert len(list(in_words(every))) == 3
    assert list(in_words(caps())) == []
