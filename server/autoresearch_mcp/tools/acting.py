"""The tools that move the research on: edit, try, apply."""

from functools import partial
from typing import Annotated

from mcp.server.mcpserver import Context, MCPServer
from pydantic import Field

from autoresearch_mcp.core.edits import Replacement, WholeFile
from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.session import editing, starting, trials
from autoresearch_mcp.session.answers import AppliedView, EditAnswer, TrialView
from autoresearch_mcp.session.editing import Change
from autoresearch_mcp.tools.arguments import EditItem, FilePath, TrialId, WaitSeconds, hints
from autoresearch_mcp.tools.desk import Desk, translated


def edits(server: MCPServer, desk: Desk) -> None:
    """Add the tool that edits the recipe."""

    @server.tool(title="Edit the recipe", annotations=hints())
    async def apply_edit(  # noqa: PLR0913, PLR0917 - an agent's choices, all named
        edits: Annotated[
            list[EditItem] | None, Field(description="Replacements, applied in order.")
        ] = None,
        content: Annotated[str | None, Field(description="Or: the whole new file.")] = None,
        adopt: Annotated[
            bool, Field(description="Or: take the file as your own editor left it.")
        ] = False,
        path: FilePath = None,
        expected_sha256: Annotated[
            str | None, Field(description="Refuse unless the file still has this hash.")
        ] = None,
        dry_run: Annotated[bool, Field(description="Check and show the diff only.")] = False,
    ) -> EditAnswer:
        """Change the recipe: one idea at a time, then run_trial.

        Give exactly one of edits (each old text must occur exactly once), content, or adopt.
        The edit is refused if it touches anything but the surface or does not parse.
        """
        with translated():
            change = _change(edits, content, adopt)
        call = partial(
            *(editing.apply_edit, desk.rooms, path, change),
            expected_sha256=expected_sha256,
            dry_run=dry_run,
        )
        return await desk.ask(call)


def runs(server: MCPServer, desk: Desk) -> None:
    """Add the tools that start a trial, wait for it and end it."""

    @server.tool(title="Run a trial", annotations=hints())
    async def run_trial(
        ctx: Context,
        hypothesis: Annotated[
            str, Field(min_length=1, description="Why it should help, one sentence, <= 500 chars.")
        ],
        simplification: Annotated[
            bool, Field(description="The code only gets shorter: keep it if it is no worse.")
        ] = False,
        wait_s: WaitSeconds = None,
    ) -> TrialView:
        """Measure the candidate: train under the budget, evaluate, decide. First: the baseline.

        Runs candidate and incumbent as often as the evidence needs. Waits a bounded time; if the
        answer's verdict is null, call wait_trial until it is not. The trial goes on whatever
        becomes of this call.
        """
        start = partial(starting.run_trial, desk.rooms, hypothesis, simplification=simplification)
        trial = await desk.ask(start)
        return await desk.wait(ctx, trial.id, wait_s)

    # Not read-only: it records the end of a trial whose process died.
    @server.tool(title="Wait for a trial", annotations=hints(idempotent=True))
    async def wait_trial(ctx: Context, trial_id: TrialId, wait_s: WaitSeconds = None) -> TrialView:
        """Wait for a trial's verdict. Safe to repeat; ends as soon as there is one.

        A call that is cancelled or lost costs nothing: the trial goes on, call again.
        """
        return await desk.wait(ctx, trial_id, wait_s)

    @server.tool(title="Cancel a trial", annotations=hints(idempotent=True))
    async def cancel_trial(trial_id: TrialId) -> TrialView:
        """End a running or queued trial and everything it started. It is recorded as cancelled."""
        return await desk.ask(partial(trials.cancel, desk.rooms, trial_id))


def verdicts(server: MCPServer, desk: Desk) -> None:
    """Add the tool that carries out a verdict."""

    @server.tool(title="Commit or revert", annotations=hints(idempotent=True))
    async def commit_or_revert(trial_id: TrialId) -> AppliedView:
        """Carry out the server's verdict on a decided trial; there is no choice to make.

        keep commits the change and the results log on the research branch; anything else puts
        the incumbent's file back, but for an interrupted trial, whose candidate stays in place.
        Nothing is lost: every candidate stays in git.
        """
        return await desk.ask(partial(trials.commit_or_revert, desk.rooms, trial_id))


def _change(edits: list[EditItem] | None, content: str | None, adopt: bool) -> Change | None:
    if [edits is not None, content is not None, adopt].count(True) != 1:
        raise Refusal("edit.shape", "give exactly one of edits, content or adopt=true")
    if content is not None:
        return WholeFile(content)
    return None if edits is None else [Replacement(item.old, item.new) for item in edits]
