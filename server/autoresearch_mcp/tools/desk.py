"""What every tool works with: one session call in a worker thread, and a bounded wait."""

import math
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import anyio
from mcp import MCPError
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.types import INTERNAL_ERROR

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.session import trials
from autoresearch_mcp.session.answers import TrialView
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.tools.tasks import TaskSession

_T = TypeVar("_T")

_POLL_SECONDS = (0.02, 0.25)
"""The shortest and the longest pause between two looks: a tenth of what was waited so far."""
_NOTIFY_SECONDS = 2.0
_LONGEST_SECONDS = 3600.0


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a client lets one call take, with room to spare, seconds.

    Args:
        usual: The wait where the agent names none.
        longest: A longer wait would be lost: the client gives up on the call.
    """

    usual: float
    longest: float = _LONGEST_SECONDS


_PATIENCE = {
    "claude-code": Patience(110.0),  # from 120 s on it moves the call to the background
    "codex": Patience(240.0, 290.0),  # it gives up after 300 s, progress or not
    "claude-ai": Patience(45.0, 50.0),  # Claude Desktop: 60 s on one path, 240 s on another
    "cursor": Patience(45.0, 280.0),
    "visual studio code": Patience(110.0),
}
"""By the start of the client's name."""
_STRANGER = Patience(25.0)


@dataclass(frozen=True, slots=True)
class Desk:
    """What the tools work with.

    Args:
        rooms: The recipe's rooms.
        max_wait: The operator's word on how long one call may wait, seconds; it goes before
            what is known of the client.
    """

    rooms: Rooms
    max_wait: float | None = None

    async def ask(self, call: Callable[[], _T]) -> _T:
        """Run a session call in a worker thread and translate what it raises."""
        with translated():
            return await anyio.to_thread.run_sync(call)

    async def wait(self, ctx: Context, trial_id: int, wait_s: float | None) -> TrialView:
        """Wait for a trial's verdict, telling the client how it goes, for a bounded time."""
        began = notify_at = anyio.current_time()
        end = began + self._limit(ctx, wait_s)
        show = partial(trials.show, self.rooms, trial_id)
        find = partial(trials.find, self.rooms, trial_id)
        while anyio.current_time() < end and (await self.ask(find)).undecided:
            if anyio.current_time() >= notify_at:
                await _report(ctx, await self.ask(show))
                notify_at = anyio.current_time() + _NOTIFY_SECONDS
            await anyio.sleep(_pause(anyio.current_time() - began, end - began))
        return await self.ask(show)

    def _limit(self, ctx: Context, wait_s: float | None) -> float:
        if isinstance(ctx.session, TaskSession):  # no request waits: nothing can time out
            return math.inf if wait_s is None else wait_s
        known = _patience_of(ctx)
        if self.max_wait is not None:
            known = Patience(self.max_wait, self.max_wait)
        return min(known.usual if wait_s is None else wait_s, known.longest)


@contextmanager
def translated() -> Generator[None]:
    """Turn the session's errors into MCP's: what the agent can mend, and what a person must."""
    try:
        yield
    except Refusal as refusal:
        raise ToolError(str(refusal)) from refusal
    except (Fault, OSError) as fault:  # a full disk, a folder without rights
        raise MCPError(INTERNAL_ERROR, f"a person must act: {fault}") from fault


def progress_line(view: TrialView) -> str:
    """Say in one line how a trial is getting on."""
    seen = view.progress
    if seen is None:
        return f"trial {view.trial_id}: {view.status}"
    trial = f"trial {view.trial_id}: {seen.why or f'run {seen.run}'}"
    if seen.step is None:
        return trial
    loss = "" if seen.loss is None else f", loss {seen.loss:.3f}"
    left = "" if seen.seconds_left is None else f", {seen.seconds_left:.0f} s of training left"
    return f"{trial}; step {seen.step}{loss}{left}"


def _pause(waited: float, limit: float) -> float:
    shortest, longest = _POLL_SECONDS
    return max(0.0, min(max(shortest, waited / 10), longest, limit - waited))


async def _report(ctx: Context, view: TrialView) -> None:
    total = view.elapsed_s + (view.eta_s or 0.0)
    await ctx.report_progress(view.elapsed_s, total, progress_line(view))


def _patience_of(ctx: Context) -> Patience:
    params = ctx.session.client_params
    name = params.client_info.name.lower() if params else ""
    return next((known for start, known in _PATIENCE.items() if name.startswith(start)), _STRANGER)
