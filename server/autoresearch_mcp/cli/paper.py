"""Named facts, headings and the table of trials, printed for a person."""

from collections.abc import Sequence

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from autoresearch_mcp.core.logtext import escape as escape_controls
from autoresearch_mcp.session.answers import TrialLine

COLOURS = {
    "keep": "green",
    "ok": "green",
    "discard": "yellow",
    "warning": "yellow",
    "inconclusive": "yellow",
    "crash": "red",
    "refused": "red",
    "failed": "red",
}
_OTHER = "cyan"
_DIFF_STYLES = {"+++": "bold", "---": "bold", "@@": "cyan", "+": "green", "-": "red"}


class Paper:
    """Writes to standard output, in colour where that is a terminal."""

    def __init__(self) -> None:
        self.console = Console(highlight=False)

    def say(self, text: str = "", style: str = "") -> None:
        """Print a line as it is; the terminal wraps a long one, so that it can be copied."""
        self.console.print(Text(text, style=style), soft_wrap=True)

    def heading(self, text: str) -> None:
        """Print a heading."""
        self.console.print(f"\n[bold]{escape(text)}[/bold]", soft_wrap=True)

    def fact(self, name: str, text: str) -> None:
        """Print a named fact."""
        self.console.print(f"[bold]{name:<12}[/bold]{escape(text)}", soft_wrap=True)

    def word(self, word: str, text: str, width: int = 9) -> None:
        """Print a word in its colour, and what there is to say about it."""
        colour = COLOURS.get(word, _OTHER)
        self.console.print(f"[{colour}]{word:<{width}}[/{colour}]{escape(text)}", soft_wrap=True)

    def diff(self, text: str) -> None:
        """Print a unified diff, coloured as git does."""
        for line in text.splitlines():
            style = next((s for start, s in _DIFF_STYLES.items() if line.startswith(start)), "")
            self.say(escape_controls(line), style)

    def trials(self, lines: Sequence[TrialLine], metric: str) -> None:
        """Print the table of trials."""
        table = plain_table()
        for name in ("trial", metric, "gain"):
            table.add_column(name, justify="right")
        table.add_column("status")
        table.add_column("what")
        for line in lines:
            colour = COLOURS.get(line.status, _OTHER)
            table.add_row(
                str(line.trial_id),
                number(line.value, ".6f"),
                number(line.gain, "+.6f"),
                f"[{colour}]{line.status}[/{colour}]",
                escape(line.hypothesis),
            )
        self.console.print(table)

    def columns(self, rows: Sequence[Sequence[str]]) -> None:
        """Print rows of text in columns, the first row as their names."""
        table = plain_table()
        for name in rows[0]:
            table.add_column(escape(name))
        for row in rows[1:]:
            table.add_row(*map(escape, row))
        self.console.print(table)


def plain_table() -> Table:
    """Return an empty table without lines."""
    return Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")


def number(value: float | None, pattern: str) -> str:
    """Format a number; none is nothing, never 0."""
    return "" if value is None else format(value, pattern)
