"""What the demo shows: a story in plain lines, with a progress line while a trial runs."""

import os
import signal
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table
from rich.text import Text

from autoresearch_mcp.cli.paper import COLOURS, Paper, number
from autoresearch_mcp.session.answers import TrialLine, TrialView

Update = Callable[[float, float | None, str | None], None]
"""Seconds gone, seconds expected in all, and what is going on."""

_PLAIN_SECONDS = 5.0
_CHART_WIDTH = 40
_INDENT = " " * 3


class _Console(Console):
    """A console that winds the demo up, as Ctrl-C does, once nobody reads it any more."""

    def on_broken_pipe(self) -> None:
        os.dup2(os.open(os.devnull, os.O_WRONLY), self.file.fileno())
        signal.raise_signal(signal.SIGINT)


class Screen(Paper):
    """A paper with the agent's calls, the server's answers and a trial's progress on it.

    Args:
        to_stderr: Whether standard output must stay free for a program.
    """

    def __init__(self, *, to_stderr: bool = False) -> None:
        super().__init__()
        self.console = _Console(stderr=to_stderr, highlight=False)

    def call(self, number: int, tool: str, about: str) -> None:
        """Announce the agent's next tool call."""
        about = f"  [dim]{escape(about)}[/dim]" if about else ""
        self.console.print(f"\n[cyan]{number:>2}[/cyan] [bold]{tool}[/bold]{about}", soft_wrap=True)

    def answer(self, word: str, text: str) -> None:
        """Print what the server answered, under a word for how it went."""
        grid = Table.grid(padding=(0, 1, 0, 0))
        colour = COLOURS.get(word, "cyan")
        grid.add_row(_INDENT[1:], Text(f"{word:<8}", style=colour), Text(text))
        self.console.print(grid)

    def diff(self, text: str) -> None:
        """Print the changed lines of a unified diff."""
        for line in text.splitlines():
            if line.startswith(("+", "-")) and not line.startswith(("+++", "---")):
                style = "green" if line[0] == "+" else "red"
                self.say(f"{_INDENT}{line[0]} {line[1:].strip()}", style)

    @contextmanager
    def progress(self) -> Generator[Update]:
        """Show a trial's progress while the block lasts: one moving line, or a few plain ones."""
        if not self.console.is_terminal:
            yield self._plain_progress()
            return
        columns = (
            TextColumn(" "),
            BarColumn(bar_width=24),
            TimeElapsedColumn(),
            TextColumn("[dim]{task.description}"),
        )
        with Progress(*columns, console=self.console, transient=True) as progress:
            task = progress.add_task("starting", total=None)

            def update(done: float, total: float | None, message: str | None) -> None:
                progress.update(task, completed=done, total=total, description=message or "")

            yield update

    def _plain_progress(self) -> Update:
        said = time.monotonic()

        def update(_done: float, _total: float | None, message: str | None) -> None:
            nonlocal said
            if time.monotonic() - said >= _PLAIN_SECONDS:
                said = time.monotonic()
                self.say(f"{_INDENT}... {message}")

        return update

    def chart(self, lines: Sequence[TrialLine], metric: str) -> None:
        """Print a bar for each trial's value, from zero."""
        longest = max((line.value or 0.0 for line in lines), default=0.0) or 1.0
        self.heading(f"{metric} by trial, lower is better")
        for line in lines:
            colour = COLOURS.get(line.status, "cyan")
            bar = "█" * max(1, round(_CHART_WIDTH * line.value / longest)) if line.value else ""
            shown = number(line.value, ".4f") or "none"
            head = (
                f"{line.trial_id:>3} [{colour}]{bar}[/{colour}]" if bar else f"{line.trial_id:>3}"
            )
            self.console.print(f"{head} {shown}, {line.status}")


def verdict_line(view: TrialView) -> str:
    """Say in one line what came of a trial."""
    assert view.verdict is not None
    measured = view.outcome is None or view.outcome.value is not None
    reason = view.verdict.reason if measured else view.outcome.reason if view.outcome else ""
    return f"{reason.rstrip('.')} ({view.elapsed_s:.0f} s)"
