"""Tasks (SEP-2663): a long call as something to ask after, for clients that declare it.

The client gets a task at once instead of waiting inside the call. A task is a place for the
answer, nothing more: cancelling or losing one never ends the trial, whose truth is the ledger.
"""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

import anyio
from anyio.abc import TaskGroup
from mcp import MCPError
from mcp.server import ServerRequestContext
from mcp.server.context import CallNext, HandlerResult
from mcp.server.extension import Extension, MethodBinding
from mcp.server.mcpserver import require_client_extension
from mcp.types import HEADER_MISMATCH, INVALID_PARAMS, CallToolRequestParams, RequestParams
from pydantic import BaseModel, Field

TASKS = "io.modelcontextprotocol/tasks"

_ERA = frozenset({"2026-07-28"})
_KEPT_SECONDS = 6 * 3600.0
"""How long an answer waits to be fetched; a trial takes minutes."""
_POLL_MS = 5000
_MOST = 1000
_ROUTING_HEADER = "mcp-name"

_Request = ServerRequestContext[Any, Any]


class _TaskId(RequestParams):
    task_id: str = Field(alias="taskId")


class _TaskUpdate(_TaskId):
    input_responses: dict[str, Any] = Field(default_factory=dict[str, Any], alias="inputResponses")


@dataclass(slots=True)
class _Task:
    """One call under way, or its answer."""

    id: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    status: str = "working"
    message: str | None = None
    outcome: Mapping[str, Any] = field(default_factory=dict[str, Any])
    """`result` or `error`, once there is one."""
    created: datetime = field(default_factory=lambda: datetime.now(UTC))
    updated: datetime = field(default_factory=lambda: datetime.now(UTC))
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)

    def become(self, status: str, outcome: Mapping[str, Any] | None = None) -> None:
        """Take on a status, and the answer that comes with it."""
        self.status, self.outcome, self.updated = status, outcome or {}, datetime.now(UTC)

    def tell(self, message: str) -> None:
        """Say how it is getting on."""
        self.message, self.updated = message, datetime.now(UTC)

    def on_the_wire(self, result_type: str) -> dict[str, Any]:
        """Return what the protocol shows of it."""
        shown = {"statusMessage": self.message} if self.message else {}
        return {
            "resultType": result_type,
            "taskId": self.id,
            "status": self.status,
            "createdAt": _stamp(self.created),
            "lastUpdatedAt": _stamp(self.updated),
            "ttlMs": int(_KEPT_SECONDS * 1000),
            "pollIntervalMs": _POLL_MS,
            **shown,
            **self.outcome,
        }


class TaskSession:
    """The call's session, with progress kept for whoever asks after the task."""

    def __init__(self, session: object, task: _Task) -> None:
        self._session, self._task = session, task

    def __getattr__(self, name: str) -> object:
        return getattr(self._session, name)

    async def report_progress(
        self, progress: float, total: float | None = None, message: str | None = None
    ) -> None:
        """Keep the message as the task's."""
        self._task.tell(message or f"{progress:g}" + (f" of {total:g}" if total else ""))


class Tasks(Extension):
    """The extension, for the named tools.

    Args:
        tools: Tools whose calls may take long.
    """

    identifier = TASKS

    def __init__(self, tools: frozenset[str]) -> None:
        self._tools = tools
        self._tasks: dict[str, _Task] = {}

    def methods(self) -> Sequence[MethodBinding]:
        """Return what a client may ask of a task."""
        return [
            MethodBinding("tasks/get", _TaskId, self._get, _ERA),
            MethodBinding("tasks/update", _TaskUpdate, self._update, _ERA),
            MethodBinding("tasks/cancel", _TaskId, self._cancel, _ERA),
        ]

    async def intercept_tool_call(
        self, params: CallToolRequestParams, ctx: _Request, call_next: CallNext
    ) -> HandlerResult:
        """Answer with a task where the tool may take long and the client declares tasks."""
        if params.name not in self._tools or not is_declared(ctx):
            return await call_next(ctx)
        self._forget()
        task = _Task()
        self._tasks[task.id] = task
        group: TaskGroup = ctx.lifespan_context
        inner = replace(ctx, session=TaskSession(ctx.session, task))  # pyright: ignore[reportArgumentType]
        group.start_soon(_carry_out, task, call_next, inner)
        return task.on_the_wire("task")

    def _forget(self) -> None:
        """Make room: drop what nobody has fetched for long, then the oldest."""
        now = datetime.now(UTC)
        ended = [task for task in self._tasks.values() if task.status != "working"]
        for number, task in enumerate(reversed(ended)):
            if number >= _MOST or (now - task.updated).total_seconds() > _KEPT_SECONDS:
                del self._tasks[task.id]

    async def _get(self, ctx: _Request, params: _TaskId) -> HandlerResult:
        return self._find(ctx, params).on_the_wire("complete")

    async def _update(self, ctx: _Request, params: _TaskUpdate) -> HandlerResult:
        self._find(ctx, params)  # no tool of ours asks for input
        return {"resultType": "complete"}

    async def _cancel(self, ctx: _Request, params: _TaskId) -> HandlerResult:
        self._find(ctx, params).scope.cancel()
        return {"resultType": "complete"}

    def _find(self, ctx: _Request, params: _TaskId) -> _Task:
        require_client_extension(ctx, TASKS)
        headers: Mapping[str, str] = getattr(ctx.request, "headers", {})
        if headers.get(_ROUTING_HEADER, params.task_id) != params.task_id:
            raise MCPError(HEADER_MISMATCH, "the Mcp-Name header is not the task's id")
        if params.task_id not in self._tasks:
            raise MCPError(INVALID_PARAMS, "there is no such task; wait_trial asks for any trial")
        return self._tasks[params.task_id]


def is_declared(ctx: _Request) -> bool:
    """Tell whether the client understands tasks: only then it ever gets one."""
    declared = ctx.session.client_capabilities
    return ctx.protocol_version in _ERA and bool(
        declared and declared.extensions and TASKS in declared.extensions
    )


async def _carry_out(task: _Task, call_next: CallNext, ctx: _Request) -> None:
    with task.scope:
        try:
            result = await call_next(ctx)
        except MCPError as error:
            task.tell(error.error.message)
            failure = error.error.model_dump(mode="json", exclude_none=True)
            task.become("failed", {"error": failure})
        else:
            task.become("completed", {"result": _plain(result)})
    if task.status == "working":
        task.tell("no longer waited for; a trial goes on")
        task.become("cancelled")


def _plain(result: HandlerResult) -> dict[str, Any]:
    if isinstance(result, BaseModel):
        result = result.model_dump(by_alias=True, mode="json", exclude_none=True)
    return {name: value for name, value in (result or {}).items() if name != "resultType"}


def _stamp(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")
