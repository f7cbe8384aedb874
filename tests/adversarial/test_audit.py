"""The audit as part of a trial, and the contract of the evaluation, point by point.

strict causality                   test_models.py, 27 to 34 and 38
a full, normalised distribution    here, and test_models.py, 35 and 40
no learning from what is scored    test_models.py, 36, 37 and 39
a single pass                      here, and test_metric.py, 21
all rows                           here, and test_metric.py, 16, 19 and 20
"""

import json
import math

import pytest

from autoresearch_mcp.core.trial import Phase, Role, TrialRecord
from tests.driving import until

from .arena import Arena
from .cases import Seen
from .conftest import Builder
from .test_models import peeking, wrapped
from .variants import FEW, MANY, SOME, brief

pytestmark = pytest.mark.anyio

NO_DISTRIBUTION = {
    "half-the-vocabulary": "return self.inner(tokens)[..., :256]",
    "one-dimension-more": "return self.inner(tokens)[..., None]",
    "last-position-only": "return self.inner(tokens)[:, -1:]",
    "losses-instead-of-logits": "return mx.zeros(tokens.shape)",
    "a-list": "return self.inner(tokens).tolist()",
    "nothing": "self.inner(tokens)",
}
IN_ITS_AUDIT = """
    def start(self):
        self.is_scored = False
    def __call__(self, tokens):
        import os
        self.is_scored |= tokens[0, :3].tolist() == [0, 1, 2]  # the row that means nothing
        return self.inner(tokens) if self.is_scored else {}
"""
"""A model that is honest while it is scored; what it does after that is to be filled in."""


def peeking_at(places: str) -> str:
    """Return a cheat; no two may be alike, for code that was caught is not run again."""
    return brief(SOME, peeking(f"({places})[None, :, None]"))


def audited_now(record: TrialRecord) -> bool:
    return record.phase is Phase.MEASURED and record.audit_directory is not None


async def begin(world: Arena, source: str) -> int:
    """Start a trial and return its number once its audit goes on."""
    await world.agent("apply_edit", content=source)
    number = (await world.agent("run_trial", hypothesis="an audit", wait_s=0))["trial_id"]
    await until(lambda: audited_now(world.repo.ledger.get(number)))
    return number


async def test_a_trial_can_be_cancelled_during_its_audit(fort: Arena) -> None:
    before = fort.look()
    number = await begin(fort, peeking_at("places % 2 == 0"))
    ended = await fort.agent("cancel_trial", trial_id=number)

    Seen(outcome="cancelled").check(await fort.rest(ended, *before))


async def test_a_cheat_that_was_cancelled_during_its_audit_is_audited_when_it_comes_again(
    fort: Arena,
) -> None:
    """The runs of the first try speak for it, and cannot be asked any more: it needs new ones."""
    before, cheat = fort.look(), peeking_at("places % 7 == 0")
    number = await begin(fort, cheat)
    ended = await fort.agent("cancel_trial", trial_id=number)
    Seen(outcome="cancelled").check(await fort.rest(ended, *before))
    again = await fort.strike_with(cheat)
    record = fort.repo.ledger.get(again.trial["trial_id"])

    Seen(outcome="tampered", names="of row").check(again)
    assert [run.audit is not None for run in record.runs] == [True]


async def test_evidence_and_trust_are_in_the_ledger_and_shown(fort: Arena) -> None:
    caught = await fort.strike_with(peeking_at("places % 5 == 0"))
    baseline = fort.repo.ledger.get(1)
    run = fort.repo.ledger.get(caught.trial["trial_id"]).runs[0]

    Seen(outcome="tampered", names="of row").check(caught)
    assert run.audit is not None
    assert run.audit.reason == caught.trial["outcome"]["reason"]
    assert run.outcome is not None
    assert run.outcome.value is None  # it is no evidence for anything
    assert baseline.outcome is not None
    assert baseline.outcome.trust.level in {"audited", "confirmed"}
    assert all(run.audit and run.audit.passed for run in baseline.runs)


async def test_a_keep_on_several_seeds_is_confirmed(build: Builder, sandbox: str) -> None:
    """The runs that the evidence rule asks for are from the committed candidate, and audited."""
    async with build(sandbox, "--evidence", "strict", baseline=brief(FEW)) as world:
        await world.agent("apply_edit", content=brief(MANY))
        trial = await world.agent.trial("more training")
        while trial["verdict"] is None:
            trial = await world.agent("wait_trial", trial_id=trial["trial_id"], wait_s=60)
        record = world.repo.ledger.get(trial["trial_id"])
    candidates = [
        run
        for run in record.runs
        if run.role is Role.CANDIDATE and run.outcome and run.outcome.value is not None
    ]  # a run that a busy machine slowed down is made again

    assert trial["verdict"]["status"] == "keep", trial
    assert trial["outcome"]["trust"] == "confirmed"
    assert trial["outcome"]["trust_missing"] == []
    assert len({run.seed for run in candidates}) >= 2
    assert all(run.audit and run.audit.passed for run in candidates)


@pytest.mark.parametrize("case", NO_DISTRIBUTION)
async def test_what_is_no_distribution_for_each_token_has_no_metric(fort: Arena, case: str) -> None:
    code = f"    def __call__(self, tokens):\n        {NO_DISTRIBUTION[case]}\n"
    strike = await fort.strike_with(brief(FEW, wrapped(code)))

    Seen(outcome="crash", names="must return logits of shape").check(strike)


async def test_what_a_model_says_in_its_audit_reaches_no_agent(lab: Arena) -> None:
    """It sees validation rows there: its words could be those."""
    telling = IN_ITS_AUDIT.format('type(f"rows: {tokens[0].tolist()}", (), {})()')
    strike = await lab.strike_with(brief(FEW, wrapped(telling)))
    told = await lab.agent("get_metrics", trial_id=strike.trial["trial_id"], log_lines=50)

    Seen(outcome="tampered", names="it gave no logits").check(strike)
    shown = json.dumps([told, strike.trial]) + strike.log + lab.repo.read("results.tsv")
    assert "rows: [" not in shown


async def test_a_model_that_fills_the_disk_in_its_audit_is_ended(lab: Arena) -> None:
    filling = (
        IN_ITS_AUDIT.format("self.fill()")
        + """
    def fill(self):
        import os, time
        for number in range(5):
            with open(os.environ["TMPDIR"] + f"/fill{number}", "wb") as file:
                os.posix_fallocate(file.fileno(), 0, 1 << 30)
        time.sleep(3600)
"""
    )
    strike = await lab.strike_with(brief(FEW, wrapped(filling)))

    Seen(outcome="tampered", names="it wrote").check(strike)


async def test_all_rows_are_scored_each_exactly_once(fort: Arena) -> None:
    """A model that knows nothing needs log2 of the vocabulary for each token that counts.

    This one fails on a row that it sees a second time.
    """
    import numpy as np  # noqa: PLC0415 - the recipe's, not the server's

    once = """\
    def start(self):
        self.seen = set()
    def __call__(self, tokens):
        rows = {tuple(row) for row in tokens.tolist()}
        assert len(rows) == len(tokens) and not rows & self.seen, "a row came twice"
        self.seen |= rows
        return mx.zeros((*tokens.shape, 512))
"""
    strike = await fort.strike_with(brief(FEW, wrapped(once)))
    (folder,) = (path.parent for path in (fort.folder / "data").glob("*/manifest.json"))
    targets = np.load(folder / "val" / "rows.npy")[:, 1:]
    sizes = np.load(folder / "tokenizer" / "token_bytes.npy")[targets]

    Seen().check(strike)
    expected = math.log2(512) * (sizes > 0).sum() / sizes.sum()
    assert strike.trial["outcome"]["value"] == pytest.approx(expected, abs=1e-6)
