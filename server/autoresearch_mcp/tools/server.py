"""Put the server together: one recipe, every tool of it."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from functools import partial
from importlib.metadata import version
from inspect import cleandoc

import anyio
from anyio.abc import TaskGroup
from mcp.server.mcpserver import MCPServer

from autoresearch_mcp.session.instructions import instructions
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.tools import acting, looking, prompts, resources
from autoresearch_mcp.tools.desk import Desk
from autoresearch_mcp.tools.tasks import Tasks
from autoresearch_mcp.tools.updates import Updates

_TOOLS = (
    *(looking.recipe, acting.edits, acting.runs, looking.results, acting.verdicts),
    looking.recollection,
)
"""In the order of the loop, which is the order that agents see."""


LONG = frozenset({"run_trial", "wait_trial"})
"""Tools whose calls may take as long as a trial."""


def build_server(
    rooms: Rooms,
    *,
    max_wait: float | None = None,
    read_only: bool = False,
    tasks: frozenset[str] = LONG,
) -> MCPServer[TaskGroup]:
    """Return the server for one recipe.

    Args:
        rooms: The recipe's rooms.
        max_wait: The operator's word on how long one call may wait, seconds.
        read_only: Offer only what changes nothing.
        tasks: Tools that answer with a task where the client understands that.

    Raises:
        Fault: The recipe cannot be used.
    """
    updates = Updates(rooms)
    server = MCPServer(
        "autoresearch",
        title="autoresearch",
        version=version("autoresearch-mcp"),
        instructions=instructions(rooms),
        log_level="WARNING",
        lifespan=partial(_lifespan, updates),
        extensions=[Tasks(tasks)] if tasks else [],
        subscriptions=updates,
    )
    updates.serve_earlier_eras(server)
    desk = Desk(rooms, max_wait)
    for register in _TOOLS:
        register(server, desk)
    _finish(server, read_only=read_only)
    resources.register(server, rooms)
    prompts.register(server, rooms)
    return server


@asynccontextmanager
async def _lifespan(updates: Updates, _server: MCPServer[TaskGroup]) -> AsyncGenerator[TaskGroup]:
    """Hold what goes on beside requests: long calls and the watch. It ends with the server."""
    async with anyio.create_task_group() as group:
        group.start_soon(updates.watch)
        yield group
        group.cancel_scope.cancel()


def _finish(server: MCPServer, *, read_only: bool) -> None:
    """Make a misspelt argument an error, which the SDK drops silently, and dedent descriptions."""
    # There is no public way to set this in mcp 2.3; tests/session/test_tools.py holds it.
    for tool in server._tool_manager.list_tools():  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        assert tool.annotations is not None
        if read_only and not tool.annotations.read_only_hint:
            server.remove_tool(tool.name)
        tool.description = cleandoc(tool.description)
        model = tool.fn_metadata.arg_model
        model.model_config["extra"] = "forbid"
        model.model_rebuild(force=True)
        tool.parameters = model.model_json_schema(by_alias=True)
