"""Fields of the protocol that change one thing each, seen at the run that they change it for."""

import os
import socket
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from autoresearch_mcp.effects.sandbox.policy import Bare
from autoresearch_mcp.effects.sandbox.probe import select
from tests.driving import serving

from .conftest import Connect, RecipeRepo

pytestmark = pytest.mark.anyio

CALLER = """\
import socket
try:
    socket.create_connection(("127.0.0.1", PORT), timeout=5).close()
    print("connected")
except OSError as error:
    print("refused:", error)
print("val_bpb: 1.000000")
"""
OOM = 'raise MemoryError("[metal::malloc] Attempting to allocate 9 bytes")\n'


@pytest.fixture
def port() -> Generator[int]:
    """A port of this machine that takes connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


@pytest.mark.skipif(select().name == Bare.name, reason="not run: no sandbox works here")
@pytest.mark.parametrize(
    ("policy", "allowed", "said"),
    [
        ("full", True, "connected"),
        ("full", False, "refused"),
        ("offline", True, "refused"),
        ("sandbox", True, "refused"),
        ("unknown", True, "refused"),
    ],
)
async def test_a_run_has_network_only_where_protocol_and_operator_both_say_so(  # noqa: PLR0913, PLR0917
    recipe: RecipeRepo, bare_python: Path, port: int, policy: str, allowed: bool, said: str
) -> None:
    recipe.write("train.py", CALLER.replace("PORT", str(port)))
    recipe.edit_protocol(lambda p: p["environment"]["constraints"].update(networkPolicy=policy))
    options = [
        "--python",
        str(bare_python),
        "--evidence",
        "single",
        *(["--allow-network"] if allowed else []),
    ]
    async with serving(recipe.path, *options, environment=dict(os.environ)) as agent:
        trial = await agent.trial("baseline")

    assert trial["outcome"]["value"] == 1.0
    assert recipe.run_log(1).startswith(said)


async def test_a_run_starts_in_the_folder_that_the_protocol_names(
    connect: Connect, recipe: RecipeRepo
) -> None:
    def move(protocol: dict[str, Any]) -> None:
        protocol["execution"].update(cwd="inner", command="python score.py")

    (recipe.path / "inner").mkdir()
    recipe.write("inner/score.py", "import os\nprint(os.getcwd())\nprint('val_bpb: 1.000000')\n")
    recipe.edit_protocol(move)
    async with connect() as agent:
        trial = await agent.trial("baseline")

    assert trial["outcome"]["value"] == 1.0
    assert recipe.run_log(1).splitlines()[0].endswith("/inner")


async def test_where_the_protocol_lets_short_memory_fail_no_smaller_batch_is_named(
    connect: Connect, recipe: RecipeRepo
) -> None:
    recipe.edit_protocol(lambda p: p["safety"].update(oomPolicy="fail"))
    async with connect() as agent:
        await agent.trial("baseline")
        await agent.edit("NOISE = 0\n", OOM)
        trial = await agent.trial("larger")

    assert trial["outcome"]["error_class"] == "oom"
    assert trial["outcome"]["hint"].endswith("This protocol lets that fail: drop the idea.")


async def test_what_agents_are_told_follows_the_protocols_rules(
    connect: Connect, recipe: RecipeRepo
) -> None:
    def ask_for_nothing(protocol: dict[str, Any]) -> None:
        protocol["agentRules"] = {}

    async with connect() as agent:
        asked = (await agent("read_recipe"))["rules"]
    recipe.edit_protocol(ask_for_nothing)
    async with connect() as agent:
        unasked = (await agent("read_recipe"))["rules"]

    gone = [rule for rule in asked if rule not in unasked]
    assert any("simpler" in rule for rule in gone), asked
    assert any("whether to go on" in rule for rule in gone), asked
    assert any("log" in rule for rule in gone), asked
