"""`environment.sandbox`: what a run may take at most, unless the operator says otherwise."""

import os
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from autoresearch_mcp.effects.sandbox.policy import Bare
from autoresearch_mcp.effects.sandbox.probe import select
from tests.driving import serving

from .conftest import Agent, RecipeRepo

pytestmark = [
    pytest.mark.anyio,
    pytest.mark.skipif(
        sys.platform != "linux" or select().name == Bare.name,
        reason="not run: no sandbox here keeps such limits",
    ),
]

HOG = """\
SIZE = 1
held = bytearray(SIZE << 20)
print("val_bpb: 1.000000")
"""
CROWD = """\
import os, signal
COUNT = 2
children = []
try:
    for _ in range(COUNT):
        child = os.fork()
        if not child:
            signal.pause()
        children.append(child)
finally:
    for child in children:
        os.kill(child, signal.SIGKILL)
print("val_bpb: 1.000000")
"""


def drive(recipe: RecipeRepo, python: Path, *options: str) -> AbstractAsyncContextManager[Agent]:
    chosen = ("--python", str(python), "--evidence", "single", *options)
    return serving(recipe.path, *chosen, environment=dict(os.environ))


async def test_a_run_gets_the_memory_that_the_protocol_asks_for_unless_the_operator_says_more(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    recipe.write("train.py", HOG)
    recipe.edit_protocol(lambda p: p["environment"].update(sandbox={"memory": "512m"}))
    async with drive(recipe, bare_python) as agent:
        await agent.trial("baseline")
        await agent.edit("SIZE = 1\n", "SIZE = 1024\n")
        held = await agent.trial("a gibibyte")
        await agent("commit_or_revert", trial_id=2)
    async with drive(recipe, bare_python, "--memory", "4") as agent:
        await agent.edit("SIZE = 1\n", "SIZE = 1025\n")
        free = await agent.trial("a gibibyte and more, which the operator allows")

    assert (held["outcome"]["kind"], held["outcome"]["error_class"]) == ("crash", "oom")
    assert held["outcome"]["reason"] == "MemoryError"
    assert "the run's share of main memory was full" in held["outcome"]["hint"]
    assert (free["outcome"]["kind"], free["outcome"]["value"]) == ("measured", 1.0)


@pytest.mark.skipif(os.getuid() == 0, reason="not run: the kernel does not hold root to it")
async def test_a_run_starts_as_many_processes_as_the_protocol_asks_for_and_no_more(
    recipe: RecipeRepo, bare_python: Path
) -> None:
    def ask(protocol: dict[str, dict[str, object]]) -> None:
        protocol["execution"]["command"] = "python -m train"
        protocol["environment"]["sandbox"] = {"pids": 32}

    recipe.write("train.py", CROWD)
    recipe.edit_protocol(ask)
    async with drive(recipe, bare_python) as agent:
        baseline = await agent.trial("baseline")
        await agent.edit("COUNT = 2\n", "COUNT = 300\n")
        crowd = await agent.trial("a crowd")

    assert baseline["outcome"]["value"] == 1.0
    assert crowd["outcome"]["kind"] == "crash"
    assert "Resource temporarily unavailable" in crowd["outcome"]["reason"]
