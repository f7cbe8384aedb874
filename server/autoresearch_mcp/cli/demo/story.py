"""The demo's scripted agent: it drives the real server over stdio and checks what it is told."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from mcp import Client, MCPError, StdioServerParameters, stdio_client
from mcp.types import CallToolResult, TextContent
from pydantic import BaseModel

from autoresearch_mcp.cli.demo.screen import Screen, verdict_line
from autoresearch_mcp.cli.demo.throwaway import Change, Throwaway
from autoresearch_mcp.session.answers import (
    AppliedView,
    EditAnswer,
    MetricsView,
    RecipeView,
    TrialLine,
    TrialView,
)

TOOLS = frozenset(
    {
        "read_recipe",
        "apply_edit",
        "run_trial",
        "wait_trial",
        "cancel_trial",
        "get_metrics",
        "commit_or_revert",
    }
)

_ViewT = TypeVar("_ViewT", bound=BaseModel)


class _OffScript(Exception):
    """Raised when the server's answer leaves no way to go on with the story."""


async def tell(stage: Throwaway, screen: Screen, log: Path, python: Path | None) -> "Story":
    """Start the server on the throw-away recipe and act the whole story.

    Args:
        stage: The recipe and the changes to try.
        screen: Where to show it.
        log: File for what the server writes to its standard error.
        python: The recipe's interpreter, absolute, where the operator named one.
    """
    where = ["--repo", str(stage.repository), "--on-exit", "kill"]
    chosen = [] if python is None else ["--python", str(python)]
    server = StdioServerParameters(
        command=sys.executable,
        # -P: a file of the caller's folder must not be taken for one of our modules.
        args=["-P", "-m", "autoresearch_mcp", "serve", *where, *chosen],
        env=dict(os.environ),
    )
    with log.open("w") as errors:
        async with Client(stdio_client(server, errlog=errors)) as client:
            story = Story(client, stage, screen)
            try:
                await story.act()
            except (_OffScript, MCPError) as problem:
                story.differences.append(str(problem))
            return story


class Story:
    """One telling, and what differed from the script."""

    def __init__(self, client: Client, stage: Throwaway, screen: Screen) -> None:
        self._client = client
        self._stage = stage
        self._screen = screen
        self._calls = 0
        self.differences: list[str] = []
        self.lines: Sequence[TrialLine] = ()

    async def act(self) -> None:
        """Go through the loop: baseline, a refusal, a crash, a worse edit, a better one."""
        stage = self._stage
        await self._connect()
        await self._read()
        baseline = await self._run("baseline")
        self._expect(baseline, "keep", "the baseline was measured")
        await self._forbidden(stage.forbidden)
        crashed = await self._try(stage.crash)
        self._expect(crashed, "discard", "the edit that cannot run was discarded")
        kind = crashed.outcome.kind if crashed.outcome else None
        self._check(kind == "crash", f"the edit that cannot run crashed (it is {kind})")
        self._expect(await self._try(stage.worse), "discard", "the worse edit was discarded")
        self._expect(await self._try(stage.better), "keep", "the better edit was kept")
        await self._results()

    async def _connect(self) -> None:
        tools = frozenset(tool.name for tool in (await self._client.list_tools()).tools)
        self._check(tools >= TOOLS, f"the server has the loop's tools (it has {sorted(tools)})")

    async def _read(self) -> None:
        self._announce("read_recipe", "")
        view = await self._view(RecipeView, "read_recipe")
        self._screen.answer("ok", view.purpose)
        budget = view.budget.training_seconds
        editable, fixed = ", ".join(view.surface), ", ".join(view.read_only)
        self._screen.answer("", f"edit {editable} only; {fixed} stay as they are")
        self._screen.answer("", f"{view.metric}; {budget:g} s of training a run")
        self._check(
            budget == self._stage.budget, f"the budget is the protocol's (it is {budget:g} s)"
        )

    async def _run(self, hypothesis: str) -> TrialView:
        """Run a trial as every agent should: wait again until there is a verdict."""
        self._announce("run_trial", hypothesis)
        with self._screen.progress() as update:

            async def show(progress: float, total: float | None, message: str | None) -> None:
                update(progress, total, message)

            result = await self._client.call_tool(
                "run_trial", {"hypothesis": hypothesis}, progress_callback=show
            )
            view = _parsed(TrialView, "run_trial", result)
            while view.verdict is None:
                result = await self._client.call_tool(
                    "wait_trial", {"trial_id": view.trial_id}, progress_callback=show
                )
                view = _parsed(TrialView, "wait_trial", result)
        crashed = view.outcome is not None and view.outcome.kind != "measured"
        word = "crash" if crashed else view.verdict.status
        self._screen.answer(word, verdict_line(view))
        return view

    async def _forbidden(self, change: Change) -> None:
        self._announce("apply_edit", f"{change.path}: {change.hypothesis.lower()}")
        result = await self._client.call_tool("apply_edit", _edit(change))
        said = _text(result).removeprefix("Error executing tool apply_edit: ")
        self._screen.answer("refused" if result.is_error else "accepted", said)
        refused = result.is_error and said.startswith("surface.path")
        self._check(refused, f"the edit to {change.path} was refused")

    async def _try(self, change: Change) -> TrialView:
        """Make a change, measure it, and let the server's verdict be carried out."""
        self._announce("apply_edit", "")
        edit = await self._view(EditAnswer, "apply_edit", **_edit(change))
        self._screen.diff(edit.diff)
        trial = await self._run(change.hypothesis)
        self._announce("commit_or_revert", f"trial {trial.trial_id}")
        applied = await self._view(AppliedView, "commit_or_revert", trial_id=trial.trial_id)
        done = (
            f"commit {applied.commit} on {applied.branch}"
            if applied.commit
            else (f"{change.path} is the incumbent's again")
        )
        self._screen.answer(applied.verdict.status, done)
        for note in applied.notes:
            self._check(False, f"nothing was left alone ({note})")
        return trial

    async def _results(self) -> None:
        self._announce("get_metrics", "")
        view = await self._view(MetricsView, "get_metrics", last=20)
        self.lines = view.trials
        statuses = [line.status for line in view.trials]
        script = ["keep", "crash", "discard", "keep"]
        self._check(statuses == script, f"the trials ended as scripted (they are {statuses})")
        if view.incumbent is not None:
            best = f"trial {view.incumbent.trial_id}, {view.incumbent.value:.6f}"
            self._screen.answer("ok", f"{view.total} trials; the incumbent is {best}")

    async def _view(self, model: type[_ViewT], tool: str, **arguments: object) -> _ViewT:
        return _parsed(model, tool, await self._client.call_tool(tool, arguments))

    def _announce(self, tool: str, about: str) -> None:
        self._calls += 1
        self._screen.call(self._calls, tool, about)

    def _expect(self, trial: TrialView, status: str, what: str) -> None:
        found = trial.verdict.status if trial.verdict else None
        reason = trial.verdict.reason if trial.verdict else ""
        self._check(found == status, f"{what} (the verdict is {found}: {reason})")

    def _check(self, holds: bool, what: str) -> None:
        if not holds:
            self.differences.append(f"not so: {what}")


def _edit(change: Change) -> dict[str, object]:
    return {"path": change.path, "edits": [{"old": change.old, "new": change.new}]}


def _parsed(model: type[_ViewT], tool: str, result: CallToolResult) -> _ViewT:
    if result.is_error or result.structured_content is None:
        raise _OffScript(f"{tool} answered: {_text(result)}")
    return model.model_validate(result.structured_content)


def _text(result: CallToolResult) -> str:
    blocks = [block.text for block in result.content if isinstance(block, TextContent)]
    return " ".join(blocks) or "nothing"
