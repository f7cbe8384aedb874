"""Resources: what a person or a client may want to look at beside the tools.

Each of them can be reached by a tool as well: some clients have tools only.
"""

from collections.abc import Callable
from functools import partial

import anyio
from mcp import MCPError
from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ResourceNotFoundError
from mcp.types import INTERNAL_ERROR

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.session import documents
from autoresearch_mcp.session.rooms import Rooms

_JSON, _TEXT, _PNG = "application/json", "text/plain", "image/png"


async def read(call: Callable[[], str | bytes], uri: str) -> str | bytes:
    """Read a document in a worker thread; what is not there is not found."""
    try:
        return await anyio.to_thread.run_sync(call)
    except Refusal as refusal:
        raise ResourceNotFoundError(f"{uri}: {refusal}") from refusal
    except (Fault, OSError) as fault:
        raise MCPError(INTERNAL_ERROR, f"a person must act: {fault}") from fault


def register(server: MCPServer, rooms: Rooms) -> None:
    """Add the resources."""
    for path in documents.surface(rooms):
        _surface_file(server, rooms, path)
    _documents(server, rooms)
    _trials(server, rooms)


def _surface_file(server: MCPServer, rooms: Rooms, path: str) -> None:
    uri = f"recipe://{path}"

    @server.resource(uri, name=path, description="The file to improve.", mime_type="text/x-python")
    async def surface_file() -> str | bytes:
        return await read(partial(documents.recipe_file, rooms, path), uri)


def _documents(server: MCPServer, rooms: Rooms) -> None:
    @server.resource(
        "protocol://", name="protocol", description="The contract in force.", mime_type=_JSON
    )
    async def protocol() -> str | bytes:
        return await read(partial(documents.protocol, rooms), "protocol://")

    @server.resource("results://", name="results", description="One line a trial.", mime_type=_TEXT)
    async def results() -> str | bytes:
        return await read(partial(documents.results, rooms), "results://")

    @server.resource(
        "results://chart.png",
        name="progress",
        description="Every trial's value and the best so far, as a picture.",
        mime_type=_PNG,
    )
    async def chart() -> str | bytes:
        return await read(partial(documents.picture, rooms), "results://chart.png")


def _trials(server: MCPServer, rooms: Rooms) -> None:
    @server.resource(
        "trial://{trial_id}", name="trial", description="Where a trial stands.", mime_type=_JSON
    )
    async def trial(trial_id: str) -> str | bytes:
        return await read(partial(documents.trial, rooms, number(trial_id)), f"trial://{trial_id}")

    @server.resource(
        "trial://{trial_id}/log",
        name="trial log",
        description="The end of a trial's log: untrusted output of the recipe.",
        mime_type=_TEXT,
    )
    async def trial_log(trial_id: str) -> str | bytes:
        call = partial(documents.trial_log, rooms, number(trial_id))
        return await read(call, f"trial://{trial_id}/log")


def number(trial_id: str) -> int:
    """Read a trial's number; what is none is the number of no trial."""
    return (
        int(trial_id) if trial_id.isascii() and trial_id.isdecimal() and len(trial_id) < 10 else 0
    )
