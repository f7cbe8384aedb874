"""The protocol's rules in force, through the highest door: a client and the real server."""

import json
from typing import Any

import pytest

from .conftest import Connect, RecipeRepo

pytestmark = pytest.mark.anyio

OOM = """\
VALUE = 2.0
TOTAL_BATCH_SIZE = 2**12
DEVICE_BATCH_SIZE = 16
if DEVICE_BATCH_SIZE > 16:
    raise MemoryError("[metal::malloc] Attempting to allocate 9 bytes")
print(f"val_bpb: {VALUE:.6f}")
"""


async def test_an_edit_of_the_protocol_in_mid_run_is_a_fault_that_names_the_change(
    connect: Connect, recipe: RecipeRepo
) -> None:
    committed = recipe.read("protocol.json")
    document = json.loads(committed)
    async with connect() as agent:
        await agent.trial("baseline")
        recipe.write("protocol.json", json.dumps(document))  # only the layout: the same rules
        await agent.edit("VALUE = 2.0", "VALUE = 1.0")

        document["execution"]["hardTimeoutSeconds"] = 9000
        document["miningLoop"] = {"maxTrials": 99}
        recipe.write("protocol.json", json.dumps(document))
        fault = await agent.faulted("run_trial", hypothesis="with more time")
        page = await agent("read_recipe")

        recipe.write("protocol.json", committed)
        trial = await agent.trial("under the old rules")

    assert "execution.hardTimeoutSeconds: 900 -> 9000" in fault
    assert "miningLoop" in fault
    assert "git restore protocol.json" in fault
    assert page["budget"]["hard_timeout_seconds"] == 900
    assert trial["verdict"]["status"] == "keep"


async def test_a_change_that_is_not_committed_is_no_rule_of_the_first_trial(
    connect: Connect, recipe: RecipeRepo
) -> None:
    document = json.loads(recipe.read("protocol.json"))
    document["safety"]["crashStatus"] = "retry"
    recipe.write("protocol.json", json.dumps(document))
    async with connect() as agent:
        fault = await agent.faulted("run_trial", hypothesis="baseline")

    assert 'safety.crashStatus: "discard" -> "retry"' in fault
    assert "commit it to make it the rules" in fault
    assert recipe.git("symbolic-ref", "HEAD") == "refs/heads/main"


async def test_a_trial_past_a_cap_is_refused_by_its_name(
    connect: Connect, recipe: RecipeRepo
) -> None:
    def cap(protocol: dict[str, Any]) -> None:
        protocol["miningLoop"] = {"maxTrials": 2, "maxConsecutiveNonImprovements": 5}

    recipe.edit_protocol(cap)
    async with connect() as agent:
        rules = (await agent("read_recipe"))["rules"]
        await agent.trial("baseline")
        await agent.try_value("1.9")
        state = await agent("recall_research")
        await agent.edit("VALUE = 1.9", "VALUE = 1.0")
        refusal = await agent.refused("run_trial", hypothesis="one too many")

    assert "session.cap: miningLoop.maxTrials: 2 trials have been made" in refusal
    assert "Start no further trial" in state["next_step"]
    assert any("At most 2 trials" in rule for rule in rules)
    assert any("After 5 trials in a row" in rule for rule in rules)


async def test_a_trial_out_of_memory_is_told_which_and_the_next_legal_batch(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.write("train.py", OOM)
    recipe.write("prepare.py", "MAX_SEQ_LEN = 256\n")
    recipe.commit_all("A recipe with batches")
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("DEVICE_BATCH_SIZE = 16\n", "DEVICE_BATCH_SIZE = 24\n")
        trial = await agent.trial("a larger batch")

    assert trial["outcome"]["error_class"] == "oom"
    assert trial["outcome"]["value"] is None
    assert "Metal" in trial["outcome"]["hint"]
    assert "Set DEVICE_BATCH_SIZE = 16 (now 24)" in trial["outcome"]["hint"]
    assert trial["verdict"]["status"] == "discard"


async def test_steps_beyond_the_stop_condition_are_over_budget(
    connect: Connect, recipe: RecipeRepo
) -> None:
    def count(protocol: dict[str, Any]) -> None:
        protocol["execution"]["stopCondition"] = {"type": "max_steps", "maxSteps": 10}

    recipe.edit_protocol(count)
    async with connect() as agent:
        rules = (await agent("read_recipe"))["rules"]
        baseline = await agent.trial("baseline")
        await agent.edit('print("num_steps:        10")', 'print("num_steps:        11")')
        trial = await agent.trial("one step more")

    assert "A run trains for at most 10 steps." in rules
    assert baseline["outcome"]["value"] == 2.0
    assert trial["outcome"]["kind"] == "over_budget"
    assert trial["outcome"]["reason"] == "the log tells of step 11; maxSteps is 10"


async def test_purpose_and_rules_are_told_when_an_agent_connects(
    connect: Connect, recipe: RecipeRepo
) -> None:
    def word(protocol: dict[str, Any]) -> None:
        protocol["meta"]["purposeStatement"] = "Less loss, please. " * 200
        protocol["agentRules"]["experimentTimeoutNotes"] = "Fifteen minutes are too long."
        protocol["miningLoop"] = {"maxTrials": 7}

    recipe.edit_protocol(word)
    async with connect() as agent:
        told = agent.client.instructions or ""

    assert told.startswith("Less loss, please. Less loss")
    assert "val_bpb, lower is better" in told
    assert "Fifteen minutes are too long." in told
    assert "At most 7 trials" in told
    assert "simpler is better" in told
    assert "do not ask whether to go on" in told
    assert len(told) < 2000


async def test_the_bundle_that_the_protocol_names_is_in_every_trials_record(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.edit_protocol(lambda p: p["meta"].update(protocolBundleId="mlx-gpt/2026.11"))
    async with connect() as agent:
        baseline = await agent.trial("baseline")
        trial = await agent.try_value("1.9")
        shown = await agent("get_metrics", trial_id=2)
        resource = await agent.client.read_resource("trial://2")

    records = [recipe.ledger.get(number) for number in (1, 2)]
    assert {record.protocol_bundle for record in records} == {"mlx-gpt/2026.11"}
    assert {t["protocol_bundle"] for t in (baseline, trial, shown["trial"])} == {"mlx-gpt/2026.11"}
    assert "mlx-gpt/2026.11" in resource.contents[0].model_dump_json()


async def test_without_a_bundle_a_record_names_none(connect: Connect, recipe: RecipeRepo) -> None:
    recipe.edit_protocol(lambda p: p["meta"].pop("protocolBundleId"))
    async with connect() as agent:
        baseline = await agent.trial("baseline")

    assert baseline["protocol_bundle"] is None
    assert "protocol_bundle" not in recipe.ledger.get(1).model_dump_json(exclude_defaults=True)


@pytest.mark.parametrize("policy", ["crash", "discard"])
async def test_a_crash_is_a_crash_in_the_log_and_discarded_at_once_where_the_protocol_says_so(
    connect: Connect, recipe: RecipeRepo, policy: str
) -> None:
    recipe.edit_protocol(lambda p: p["safety"].update(crashStatus=policy))
    async with connect() as agent:
        await agent.trial("baseline")
        trial = await agent.try_value("1 / 0")
        listed = (await agent("get_metrics"))["trials"][-1]

    assert trial["outcome"]["kind"] == listed["status"] == "crash"
    assert ("discards what crashes" in trial["outcome"]["hint"]) == (policy == "discard")
    commit, value, _, status, description = recipe.log_rows()[-1]
    assert (commit, value, status) == (recipe.ledger.get(2).candidate[:7], "", "crash")
    assert description == "value 1 / 0 [crash: ZeroDivisionError: division by zero]"
