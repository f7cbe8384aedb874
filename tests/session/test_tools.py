"""The tools as a client sees them."""

import json
from pathlib import Path

import psutil
import pytest

from autoresearch_mcp.effects import processes

from .conftest import Connect, RecipeRepo, until
from .test_interference import WAIT_FOR_GATE, open_gate

pytestmark = pytest.mark.anyio

CONTRACT = Path(__file__).parent / "contract"
"""One file a tool: all that a client is told about it. Agents and people build on these."""

TOOLS = {
    "read_recipe": True,
    "apply_edit": False,
    "run_trial": False,
    "wait_trial": False,
    "cancel_trial": False,
    "get_metrics": True,
    "commit_or_revert": False,
    "recall_research": True,
}
"""Name -> whether it changes nothing at all. Renaming one breaks every agent's habits."""


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_the_tools_are_what_their_contract_says(
    connect: Connect, request: pytest.FixtureRequest, mode: str
) -> None:
    async with connect(mode) as agent:
        tools = (await agent.client.list_tools()).tools
    told = {
        tool.name: tool.model_dump(by_alias=True, exclude_none=True, mode="json") for tool in tools
    }
    if request.config.getoption("--update-contract"):
        for name, what in told.items():
            text = json.dumps(what, indent=2, ensure_ascii=False) + "\n"
            (CONTRACT / f"{name}.json").write_text(text)

    # After a wanted change: pytest --update-contract, and read the difference.
    assert told == {file.stem: json.loads(file.read_text()) for file in CONTRACT.iterdir()}


async def test_every_tool_is_told_in_full_and_briefly(connect: Connect) -> None:
    async with connect() as agent:
        tools = (await agent.client.list_tools()).tools

    assert [tool.name for tool in tools] == list(TOOLS)
    for tool in tools:
        hints = tool.annotations
        assert hints is not None
        assert hints.read_only_hint is TOOLS[tool.name]
        assert hints.destructive_hint is False
        assert hints.open_world_hint is False
        assert hints.idempotent_hint is not None
        assert tool.output_schema is not None
        assert tool.input_schema["additionalProperties"] is False
        assert tool.description is not None
        assert len(tool.description) < 1500
        assert "  " not in tool.description
        for argument in tool.input_schema.get("properties", {}).values():
            assert argument["description"]


async def test_a_tool_that_claims_to_change_nothing_changes_nothing(
    connect: Connect, recipe: RecipeRepo
) -> None:
    """Not even where a trial's process died and its end has yet to be recorded."""
    recipe.write("train.py", WAIT_FOR_GATE)
    recipe.commit_all("A recipe that waits")
    async with connect() as agent:
        await agent("run_trial", hypothesis="baseline", wait_s=0)
        await until(lambda: bool(recipe.ledger.get(1).runs))
        process = recipe.ledger.get(1).process
        assert process is not None
        psutil.Process(process.pid).kill()
        await until(lambda: not processes.is_alive(process))
        before = list(recipe.ledger.events())
        for tool in ("read_recipe", "get_metrics", "recall_research"):
            await agent(tool)
        seen = await agent("get_metrics", trial_id=1)
        untouched = list(recipe.ledger.events()) == before
        ended = await agent("wait_trial", trial_id=1)

    assert untouched
    assert "wait_trial" in seen["next_step"]
    assert ended["outcome"]["kind"] == "interrupted"


async def test_a_misspelt_argument_is_refused(connect: Connect) -> None:
    async with connect() as agent:
        refusal = await agent.refused("apply_edit", contents="VALUE = 1\n", dryrun=True)

    assert "contents" in refusal
    assert "dryrun" in refusal


async def test_the_recipe_is_read_page_by_page(connect: Connect, recipe: RecipeRepo) -> None:
    source = "".join(f"x{n} = {n}\n" for n in range(1000)) + "VALUE = 2.0\n"
    recipe.write("train.py", source)
    recipe.commit_all("A long recipe")
    lines: list[str] = []
    first: int | None = 1
    total = 0
    async with connect() as agent:
        while first is not None:
            page = await agent("read_recipe", first_line=first)
            lines += [line.split("|", 1)[1] for line in page["lines"].split("\n")]
            first, total = page["next_line"], page["total_lines"]
        beyond = await agent.refused("read_recipe", first_line=5000)

    assert "\n".join(lines) + "\n" == source
    assert total == 1001
    assert "between 1 and 1001" in beyond


async def test_the_harness_can_be_read_and_nothing_else(connect: Connect) -> None:
    async with connect() as agent:
        harness = await agent("read_recipe", path="prepare.py")
        contract = await agent("read_recipe", path="protocol.json")
        refusals = [
            await agent.refused("read_recipe", path=path)
            for path in ("/etc/passwd", "../secret", "notes.txt", ".git/config")
        ]

    assert not harness["editable"]
    assert "EVAL_TOKENS" in harness["lines"]
    assert "schemaKind" in contract["lines"]
    for refusal in refusals:
        assert "surface.path" in refusal


async def test_a_dry_run_shows_the_diff_and_writes_nothing(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        before = recipe.read("train.py")
        edit = await agent(
            "apply_edit", edits=[{"old": "VALUE = 2.0", "new": "VALUE = 1.0"}], dry_run=True
        )

    assert recipe.read("train.py") == before
    assert not edit["staged"]
    assert "+VALUE = 1.0" in edit["diff"]


async def test_an_edit_of_another_version_of_the_file_is_refused(connect: Connect) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        seen = await agent("read_recipe")
        await agent.edit("VALUE = 2.0", "VALUE = 1.9")
        stale = await agent.refused(
            "apply_edit", content="VALUE = 1\n", expected_sha256=seen["sha256"]
        )

    assert "edit.stale" in stale
    assert "read_recipe" in stale


@pytest.mark.parametrize(
    "arguments",
    [{}, {"content": "VALUE = 1\n", "adopt": True}, {"edits": [], "content": "VALUE = 1\n"}],
)
async def test_an_edit_says_what_it_is_in_exactly_one_way(
    connect: Connect, arguments: dict[str, object]
) -> None:
    async with connect() as agent:
        refusal = await agent.refused("apply_edit", **arguments)

    assert "exactly one" in refusal


async def test_results_can_be_listed_by_age_and_by_value(connect: Connect) -> None:
    async with connect() as agent:
        empty = await agent("get_metrics")
        await agent.trial("baseline")
        for value in ("2.5", "3.5", "2.75"):
            await agent.try_value(value)
        newest = await agent("get_metrics", last=2)
        best = await agent("get_metrics", best=True, last=3)
        unknown = await agent.refused("get_metrics", trial_id=99)

    assert empty["trials"] == []
    assert "baseline" in empty["next_step"]
    assert [trial["value"] for trial in newest["trials"]] == [3.5, 2.75]
    assert [trial["value"] for trial in best["trials"]] == [2.0, 2.5, 2.75]
    assert "the last one is 4" in unknown


async def test_a_log_can_be_searched_read_in_parts_and_is_made_harmless(
    connect: Connect, recipe: RecipeRepo
) -> None:
    noise = (
        "for n in range(5000): print(f'line {n}')\nprint('\\x1b[2J\\x1b]52;c;aGk=\\x07 hidden')\n"
    )
    recipe.write("train.py", noise + recipe.read("train.py"))
    recipe.commit_all("A noisy recipe")
    async with connect() as agent:
        await agent.trial("baseline")
        end = await agent("get_metrics", trial_id=1, log_lines=20)
        found = await agent("get_metrics", trial_id=1, log_match="line 4321")
        part = await agent("get_metrics", trial_id=1, log_first_line=100)

    assert "val_bpb" in end["log"]
    assert "\x1b" not in end["log"]
    assert "hidden" in end["log"]
    assert found["log"] == "4322|line 4321"
    assert part["log"].startswith("100|line 99\n101|line 100\n")
    assert all(len(answer["log"].encode()) <= 4096 for answer in (end, found, part))


async def test_progress_is_told_while_a_trial_is_waited_for(
    connect: Connect, recipe: RecipeRepo
) -> None:
    source = recipe.read("train.py")
    recipe.write("train.py", source.replace('print("---")', WAIT_FOR_GATE + 'print("---")'))
    recipe.commit_all("A recipe that waits in the middle")
    heard: list[str] = []

    async def listen(progress: float, total: float | None, message: str | None) -> None:
        assert total is None or progress <= total
        heard.append(message or "")
        if "step 1" in heard[-1]:
            open_gate(recipe, 1)

    async with connect() as agent:
        arguments = {"hypothesis": "baseline", "wait_s": 60}
        await agent.client.call_tool("run_trial", arguments, progress_callback=listen)

    assert any("step 1, loss 3.000, 1 s of training left" in message for message in heard)


async def test_a_moved_branch_is_noticed_before_the_next_edit(
    connect: Connect, recipe: RecipeRepo
) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        recipe.git("commit", "--allow-empty", "--quiet", "--message", "mine")
        fault = await agent.faulted("apply_edit", content="VALUE = 1\n")

    assert "git switch -c" in fault
    assert "VALUE = 2.0" in recipe.read("train.py")


async def test_a_log_put_back_by_git_is_written_anew(connect: Connect, recipe: RecipeRepo) -> None:
    async with connect() as agent:
        await agent.trial("baseline")
        recipe.git("checkout", "--quiet", "results.tsv")
        await agent.try_value("2.5")

    assert [row[3] for row in recipe.log_rows()] == ["keep", "discard"]


@pytest.mark.parametrize(
    ("section", "change", "named"),
    [
        ("immutableHarness", {"paths": ["prepaer.py"]}, "prepaer.py"),
        ("execution", {"cwd": "nosuch"}, "nosuch"),
    ],
)
async def test_a_protocol_that_names_what_is_not_there_is_a_fault(
    connect: Connect, recipe: RecipeRepo, section: str, change: dict[str, object], named: str
) -> None:
    async with connect() as agent:
        recipe.edit_protocol(lambda p: p[section].update(change))
        fault = await agent.faulted("run_trial", hypothesis="baseline")

    assert named in fault
    assert recipe.git("for-each-ref", "refs/autoresearch") == ""


async def test_the_longest_answer_stays_under_8_kilobytes(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.write("train.py", "for n in range(200): print('x' * 300)\n" + recipe.read("train.py"))
    recipe.commit_all("A recipe with long lines")
    async with connect() as agent:
        await agent.trial("baseline")
        for number in range(5):
            await agent.edit("NOISE = 0", f"NOISE = {'9' * 400} / 0 + {number}")
            trial = await agent.trial("ä" * 500)
            await agent("commit_or_revert", trial_id=trial["trial_id"])
        answer = await agent("get_metrics", last=20, log_lines=100)

    # Agent.__call__ holds every answer to the limit; this one has all of it.
    assert len(answer["trials"]) == 5
    assert answer["log"]


async def test_a_log_full_of_quotes_fits_into_an_answer(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.write("train.py", "print(('\"' * 80 + '\\n') * 200)\n" + recipe.read("train.py"))
    recipe.commit_all("A recipe that quotes")
    async with connect() as agent:  # which counts the bytes of every answer
        await agent.trial("baseline")
        page = await agent("get_metrics", trial_id=1, log_first_line=1)
        end = await agent("get_metrics", trial_id=1, log_lines=100)

    assert '"' * 80 in page["log"]
    assert "val_bpb:          2.0" in end["log"]
