"""A client that understands tasks: it asks after a trial instead of waiting inside the call."""

import os
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from typing import Any, Literal

import anyio
import pytest
from mcp import Client, MCPError, StdioServerParameters
from mcp.client import ClientSession
from mcp.client.extension import ClaimContext, ClientExtension, ResultClaim
from mcp.types import CallToolResult, Request, RequestParams, Result
from pydantic import ConfigDict, Field

from autoresearch_mcp.tools.tasks import TASKS

from .conftest import Agent, Connect, RecipeRepo, until
from .test_interference import SLOW

pytestmark = pytest.mark.anyio


class Task(Result):
    model_config = ConfigDict(extra="allow")

    result_type: Literal["task"] = Field(default="task", alias="resultType")
    task_id: str = Field(alias="taskId")
    poll_ms: int = Field(alias="pollIntervalMs")


class Look(Result):
    """Anything that `tasks/...` answers."""

    model_config = ConfigDict(extra="allow")

    status: str | None = None
    status_message: str | None = Field(default=None, alias="statusMessage")
    result: dict[str, Any] | None = None


class TaskId(RequestParams):
    task_id: str = Field(alias="taskId")


async def ask(session: ClientSession, verb: str, task_id: str) -> Look:
    params = TaskId.model_validate({"taskId": task_id})
    return await session.send_request(Request(method=f"tasks/{verb}", params=params), Look)


Follow = Callable[[Task, ClaimContext], Awaitable[CallToolResult]]


class Tasks(ClientExtension):
    identifier = TASKS

    def __init__(self, follow: Follow) -> None:
        self.follow = follow

    def claims(self) -> Sequence[ResultClaim[Any]]:
        return [ResultClaim(result_type="task", model=Task, resolve=self.follow)]


class Patient:
    """Asks until the task has ended, and keeps what it was told."""

    def __init__(self) -> None:
        self.looks: list[Look] = []
        self.tasks: list[Task] = []

    async def __call__(self, task: Task, ctx: ClaimContext) -> CallToolResult:
        self.tasks.append(task)
        while True:
            look = await ask(ctx.session, "get", task.task_id)
            self.looks.append(look)
            if look.result is not None:
                return CallToolResult.model_validate(look.result)
            if look.status == "cancelled":
                return CallToolResult(content=[], is_error=True)
            await anyio.sleep(0.05)


@asynccontextmanager
async def declaring(repo: RecipeRepo, follow: Follow, *options: str) -> AsyncGenerator[Agent]:
    server = StdioServerParameters(
        command=sys.executable,
        args=[
            "-m",
            "autoresearch_mcp",
            "serve",
            "--repo",
            str(repo.path),
            "--evidence",
            "single",
            *options,
        ],
        env=dict(os.environ),
    )
    async with Client(server, extensions=[Tasks(follow)]) as client:
        yield Agent(client)


async def test_a_declared_client_gets_the_verdict_through_a_task(recipe: RecipeRepo) -> None:
    follow = Patient()
    async with declaring(recipe, follow, "--max-wait", "1") as agent:
        trial = await agent("run_trial", hypothesis="baseline")
        refusal = await agent.refused("run_trial", hypothesis="again")

    assert trial["outcome"]["value"] == 2.0
    assert "session.no_change" in refusal
    assert len(follow.tasks) == 2
    assert len(follow.tasks[0].task_id) > 16
    assert any("trial 1" in (look.status_message or "") for look in follow.looks)


async def test_a_cancelled_task_does_not_end_the_trial(recipe: RecipeRepo) -> None:
    recipe.write("train.py", SLOW)
    recipe.commit_all("A recipe that never ends")

    async def give_up(task: Task, ctx: ClaimContext) -> CallToolResult:
        await until(lambda: bool(recipe.ledger.last_trial() and recipe.ledger.get(1).runs))
        await ask(ctx.session, "cancel", task.task_id)
        return await Patient()(task, ctx)

    async with declaring(recipe, give_up) as agent:
        await agent.client.call_tool("run_trial", {"hypothesis": "baseline"})
        seen = await agent("get_metrics", trial_id=1)
        await agent("cancel_trial", trial_id=1)

    assert seen["trial"]["status"] == "running"


async def test_a_client_that_declares_nothing_gets_an_answer_and_no_task(connect: Connect) -> None:
    async with connect() as agent:
        trial = await agent("run_trial", hypothesis="baseline", wait_s=60)
        with pytest.raises(MCPError) as undeclared:
            await ask(agent.client.session, "get", "x")

    assert trial["verdict"]["status"] == "keep"
    assert undeclared.value.error.code == -32021


async def test_tasks_can_be_switched_off(recipe: RecipeRepo) -> None:
    follow = Patient()
    async with declaring(recipe, follow, "--tasks", "off") as agent:
        trial = await agent("run_trial", hypothesis="baseline", wait_s=60)

    assert trial["verdict"]["status"] == "keep"
    assert follow.tasks == []


async def test_an_unknown_task_is_an_error_that_names_the_way_on(recipe: RecipeRepo) -> None:
    async def lose(task: Task, ctx: ClaimContext) -> CallToolResult:
        with pytest.raises(MCPError) as unknown:
            await ask(ctx.session, "get", "lost")
        assert unknown.value.error.code == -32602
        assert "wait_trial" in unknown.value.error.message
        return await Patient()(task, ctx)

    async with declaring(recipe, lose) as agent:
        await agent("run_trial", hypothesis="baseline")
