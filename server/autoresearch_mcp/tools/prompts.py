"""Prompts: what a person can hand an agent with one click."""

from functools import partial

import anyio
from mcp.server.mcpserver import MCPServer

from autoresearch_mcp.session import instructions
from autoresearch_mcp.session.rooms import Rooms


def register(server: MCPServer, rooms: Rooms) -> None:
    """Add the prompts."""

    @server.prompt(title="Research")
    async def research() -> str:
        """Improve the recipe trial by trial, by its own rules, until somebody stops you."""
        return await anyio.to_thread.run_sync(partial(instructions.research, rooms))

    @server.prompt(title="Review")
    async def review() -> str:
        """Explain on the morning after what was found, and how far it can be believed."""
        return await anyio.to_thread.run_sync(partial(instructions.review, rooms))
