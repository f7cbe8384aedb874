"""What can be read beside the tools, in both eras, and who is told when it changes."""

import base64
import json
import zlib

import anyio
import pytest
from mcp import MCPError
from mcp.types import (
    BlobResourceContents,
    EmptyResult,
    SubscribeRequest,
    SubscribeRequestParams,
    TextContent,
    TextResourceContents,
    UnsubscribeRequest,
    UnsubscribeRequestParams,
)

from .conftest import Agent, Connect, RecipeRepo

pytestmark = pytest.mark.anyio


async def text(agent: Agent, uri: str) -> str:
    (content,) = (await agent.client.read_resource(uri)).contents
    assert isinstance(content, TextResourceContents)
    return content.text


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_everything_that_a_tool_shows_can_be_read(
    connect: Connect, recipe: RecipeRepo, mode: str
) -> None:
    async with connect(mode) as agent:
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        listed = {str(r.uri) for r in (await agent.client.list_resources()).resources}
        templates = (await agent.client.list_resource_templates()).resource_templates
        source, contract = await text(agent, "recipe://train.py"), await text(agent, "protocol://")
        trial, log = await text(agent, "trial://1"), await text(agent, "trial://1/log")
        rows = await text(agent, "results://")

    assert listed == {"recipe://train.py", "protocol://", "results://", "results://chart.png"}
    assert {t.uri_template for t in templates} == {"trial://{trial_id}", "trial://{trial_id}/log"}
    assert source == recipe.read("train.py")
    assert json.loads(contract) == json.loads(recipe.read("protocol.json"))
    assert json.loads(trial)["outcome"]["value"] == 2.0
    assert "val_bpb" in log
    assert rows == recipe.read("results.tsv")


async def test_the_chart_is_a_png(connect: Connect) -> None:
    async with connect() as agent:
        (empty,) = (await agent.client.read_resource("results://chart.png")).contents
        await agent.trial("baseline")
        await agent.try_value("1.5")
        (chart,) = (await agent.client.read_resource("results://chart.png")).contents

    assert isinstance(empty, BlobResourceContents)
    assert isinstance(chart, BlobResourceContents)
    data = base64.b64decode(chart.blob)
    assert chart.mime_type == "image/png"
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    start = data.index(b"IDAT") + 4
    assert len(zlib.decompressobj().decompress(data[start:])) == 360 * 641
    assert chart.blob != empty.blob


@pytest.mark.parametrize("uri", ["trial://7", "trial://x/log", "recipe://prepare.py", "trial://"])
async def test_what_is_not_there_is_not_found(connect: Connect, uri: str) -> None:
    async with connect() as agent:
        with pytest.raises(MCPError) as missing:
            await agent.client.read_resource(uri)

    assert missing.value.error.code == -32602


async def test_a_listener_hears_of_a_change_that_another_process_made(connect: Connect) -> None:
    uris = ["trial://1", "results://"]
    heard: list[str] = []
    async with connect() as agent, connect() as other:
        with anyio.fail_after(30):
            async with agent.client.listen(resource_subscriptions=uris) as events:
                await other.trial("baseline")
                async for event in events:
                    heard.append(str(getattr(event, "uri", "")))
                    if set(heard) == set(uris):
                        break

    assert set(heard) == set(uris)


async def test_an_older_client_hears_of_it_too(connect: Connect, recipe: RecipeRepo) -> None:
    heard = anyio.Event()

    async def listen(message: object) -> None:
        params = getattr(message, "params", None)
        if str(getattr(params, "uri", "")) == "recipe://train.py":
            heard.set()

    async with connect("legacy", message_handler=listen) as agent:
        wish = SubscribeRequest(params=SubscribeRequestParams(uri="recipe://train.py"))
        await agent.client.session.send_request(wish, EmptyResult)
        await agent.trial("baseline")
        await agent.edit("VALUE = 2.0", "VALUE = 1.5")
        with anyio.fail_after(30):
            await heard.wait()
        enough = UnsubscribeRequest(params=UnsubscribeRequestParams(uri="recipe://train.py"))
        await agent.client.session.send_request(enough, EmptyResult)


async def test_the_prompts_are_made_from_the_protocol(connect: Connect, recipe: RecipeRepo) -> None:
    recipe.edit_protocol(lambda p: p["meta"].update(purposeStatement="Lower the loss of the bench"))
    async with connect() as agent:
        listed = (await agent.client.list_prompts()).prompts
        told: dict[str, str] = {}
        for prompt in listed:
            assert prompt.description
            (message,) = (await agent.client.get_prompt(prompt.name)).messages
            assert isinstance(message.content, TextContent)
            told[prompt.name] = message.content.text

    assert told.keys() == {"research", "review"}
    for words in ("Lower the loss of the bench", "300 s", "simpler is better", "do not ask"):
        assert words in told["research"]
    assert "Change nothing" in told["review"]
