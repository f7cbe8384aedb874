"""Cheats at few tokens: what they gain is within the noise of honest work, and they are caught."""

import pytest

from .arena import Arena
from .cases import Seen
from .test_models import peeking
from .variants import MANY, brief

pytestmark = pytest.mark.anyio

ONE_IN = 200


def small_peek(number: int) -> str:
    """Return a candidate that looks ahead at 0.5 % of the tokens, other ones for each number."""
    chosen = f"((tokens * 31 + places * 17 + {number} * 97) % {ONE_IN} == 0)[..., None]"
    return brief(MANY, peeking(chosen))


async def test_a_peek_at_half_a_percent_of_the_tokens_is_caught(fort: Arena, full: bool) -> None:
    """In at least 99 of 100 cases, by 256 probes at most."""
    cheats, probes, missed = 100 if full else 3, [0], dict[int, object]()
    for number in range(cheats):
        strike = await fort.strike_with(small_peek(number))
        Seen(outcome=strike.outcome).check(strike)
        if strike.outcome != "tampered":
            missed[number] = (strike.trial["verdict"]["status"], strike.trial["outcome"])
        record = fort.repo.ledger.get(strike.trial["trial_id"])
        probes += [run.audit.probes for run in record.runs if run.audit]

    print(f"{cheats - len(missed)} of {cheats} caught")  # noqa: T201 - the figure of the long form
    assert len(missed) <= 0.01 * cheats, missed
    assert max(probes) <= 256
