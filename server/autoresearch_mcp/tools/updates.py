"""Tell clients that a resource has changed, whichever process changed it.

The ledger is written by the processes of trials, so the server looks for changes itself: every two
seconds, and only while somebody has asked to be told.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import anyio
from mcp.server import ServerRequestContext
from mcp.server.mcpserver import MCPServer
from mcp.server.subscriptions import InMemorySubscriptionBus, ResourceUpdated, ServerEvent
from mcp.types import EmptyResult, SubscribeRequestParams, UnsubscribeRequestParams

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.session import documents
from autoresearch_mcp.session.rooms import Rooms

_LOOK_SECONDS = 2.0
_SEND_SECONDS = 1.0


class Updates(InMemorySubscriptionBus):
    """Who listens, and what they are told.

    Args:
        rooms: The recipe's rooms.
    """

    def __init__(self, rooms: Rooms) -> None:
        super().__init__()
        self._rooms = rooms
        self._files = documents.surface(rooms)
        self._wanted = anyio.Event()
        self._listening = 0
        self._sessions: dict[str, list[Any]] = {}
        """Clients of the era before 2026-07-28, by the address that they asked for."""

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        """Register a listener of the era since 2026-07-28; return what ends that."""
        unsubscribe = super().subscribe(listener)
        self._listening += 1
        self._wanted.set()
        open_ = [True]

        def end() -> None:
            if open_:
                open_.clear()
                self._listening -= 1
            unsubscribe()

        return end

    def serve_earlier_eras(self, server: MCPServer[Any]) -> None:
        """Answer resources/subscribe and resources/unsubscribe, which the SDK leaves out."""
        # There is no public way to add a method of the specification in mcp 2.3.
        low = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]  # noqa: SLF001
        low.add_request_handler("resources/subscribe", SubscribeRequestParams, self._add)
        low.add_request_handler("resources/unsubscribe", UnsubscribeRequestParams, self._remove)

    async def watch(self) -> None:
        """Look for changes and tell them, for ever."""
        while True:
            await self._wanted.wait()
            seen = await self._look()
            while self._listening or self._sessions:
                await anyio.sleep(_LOOK_SECONDS)
                now = await self._look()
                for uri in (uri for uri, stamp in now.items() if seen.get(uri) != stamp):
                    await self._tell(uri)
                seen = now
            self._wanted = anyio.Event()

    async def _look(self) -> dict[str, object]:
        try:
            return await anyio.to_thread.run_sync(
                partial(documents.stamps, self._rooms, self._files)
            )
        except (Fault, Refusal, OSError):  # whoever reads the resource is told what is wrong
            return {}

    async def _tell(self, uri: str) -> None:
        await self.publish(ResourceUpdated(uri=uri))
        for session in list(self._sessions.get(uri, ())):
            with anyio.move_on_after(_SEND_SECONDS) as scope:
                try:
                    await session.send_resource_updated(uri)
                except (anyio.ClosedResourceError, anyio.BrokenResourceError):
                    scope.cancel()
            if scope.cancel_called:
                self._drop(uri, session)

    async def _add(
        self, ctx: ServerRequestContext[Any, Any], params: SubscribeRequestParams
    ) -> EmptyResult:
        sessions = self._sessions.setdefault(str(params.uri), [])
        if ctx.session not in sessions:
            sessions.append(ctx.session)
        self._wanted.set()
        return EmptyResult()

    async def _remove(
        self, ctx: ServerRequestContext[Any, Any], params: UnsubscribeRequestParams
    ) -> EmptyResult:
        self._drop(str(params.uri), ctx.session)
        return EmptyResult()

    def _drop(self, uri: str, session: object) -> None:
        left = [other for other in self._sessions.pop(uri, []) if other is not session]
        if left:
            self._sessions[uri] = left
