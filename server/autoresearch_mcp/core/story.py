"""A research run as it is told to a person, and the page that tells it: Markdown or HTML.

A page is one file that loads nothing: no script, no font, no picture from elsewhere. Everything
that an agent or a recipe wrote is escaped.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape

from autoresearch_mcp.core.storychart import Dot, svg

_STYLE = """\
body{font:16px/1.5 system-ui,sans-serif;max-width:52rem;margin:2rem auto;padding:0 1rem;color:#222}
h1,h2,h3{line-height:1.2}table{border-collapse:collapse;width:100%;font-size:.9rem}
td,th{text-align:left;padding:.25rem .5rem;border-bottom:1px solid #ddd;vertical-align:top}
pre{background:#f6f6f6;padding:.75rem;overflow-x:auto;font-size:.85rem}
.keep{color:#1b8e4b}.crash{color:#c83c32}.warning{background:#fff4d6;padding:.5rem .75rem}
svg{max-width:100%;height:auto}"""
_LONGEST_DIFF = 20_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Chapter:
    """One trial of the story.

    Args:
        number: The trial's.
        status: The results log's word for how it ended.
        value: What its runs add up to; None where there is none.
        gain: Over the incumbent of that time, metric units.
        hypothesis: Why it should help.
        reason: What it was decided on.
        commit: The commit that keeps it; None where it was not kept.
        diff: What it changes; empty where it was not kept.
    """

    number: int
    status: str
    value: float | None
    gain: float | None
    hypothesis: str
    reason: str
    commit: str | None
    diff: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A research run from its baseline to now.

    Args:
        title: The branch.
        task: What the research is about.
        facts: Names and texts that open the page.
        metric: The metric's name.
        maximize: Whether a larger value is the better one.
        chapters: Its decided trials, oldest first.
        certificate: What fresh runs said of the gain, a line each; empty where none were made.
        warnings: What a reader must not overlook.
    """

    title: str
    task: str
    facts: tuple[tuple[str, str], ...]
    metric: str
    maximize: bool
    chapters: tuple[Chapter, ...]
    certificate: tuple[str, ...]
    warnings: tuple[str, ...]

    @property
    def kept(self) -> tuple[Chapter, ...]:
        """Return the changes that were kept, without the baseline."""
        return tuple(chapter for chapter in self.chapters if chapter.commit)


def markdown(story: Story) -> str:
    """Write the page in Markdown."""
    return "\n".join(_markdown(story)) + "\n"


def _markdown(story: Story) -> Iterator[str]:
    yield f"# {_plain(story.title)}\n\n{_plain(story.task)}\n"
    yield from (f"- **{name}**: {_plain(text)}" for name, text in story.facts)
    yield from (f"\n> **Warning**: {_plain(text)}" for text in story.warnings)
    yield "\n## What was gained\n"
    yield from (f"- {_plain(line)}" for line in story.certificate or (_UNCERTIFIED,))
    yield "\n## What was kept\n"
    if not story.kept:
        yield "Nothing: no change was better than the baseline."
    for chapter in story.kept:
        yield f"### Trial {chapter.number}: {_plain(chapter.hypothesis)}\n"
        yield f"Commit `{chapter.commit}`. {_plain(chapter.reason)}\n"
        fence = "`" * max(3, 1 + _longest_run_of_ticks(chapter.diff))
        yield f"{fence}diff\n{_cut(chapter.diff).rstrip()}\n{fence}\n"
    yield f"\n## The night\n\n| trial | {story.metric} | gain | status | what |"
    yield "|--:|--:|--:|---|---|"
    for chapter in story.chapters:
        cells = (*_figures(chapter), chapter.status, chapter.hypothesis)
        yield "| " + " | ".join(_plain(cell).replace("|", "\\|") for cell in cells) + " |"


def html(story: Story) -> str:
    """Write the page in HTML, its chart included."""
    return "\n".join(_html(story)) + "\n"


def _html(story: Story) -> Iterator[str]:
    title = escape(story.title)
    yield "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
    # No script can run and nothing is loaded, whatever a hypothesis or a diff holds.
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    yield f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
    yield '<meta name=viewport content="width=device-width">'
    yield f"<title>{title}</title><style>{_STYLE}</style></head><body>"
    yield f"<h1>{title}</h1><p>{escape(story.task)}</p><table>"
    yield from (f"<tr><th>{escape(n)}<td>{escape(text)}" for n, text in story.facts)
    yield "</table>"
    yield from (f"<p class=warning>Warning: {escape(text)}</p>" for text in story.warnings)
    yield svg([Dot(c.value, c.status) for c in story.chapters], maximize=story.maximize)
    yield "<h2>What was gained</h2><ul>"
    yield from (f"<li>{escape(line)}" for line in story.certificate or (_UNCERTIFIED,))
    yield "</ul><h2>What was kept</h2>"
    if not story.kept:
        yield "<p>Nothing: no change was better than the baseline.</p>"
    for chapter in story.kept:
        yield f"<h3>Trial {chapter.number}: {escape(chapter.hypothesis)}</h3>"
        yield f"<p>Commit <code>{escape(chapter.commit or '')}</code>. {escape(chapter.reason)}</p>"
        yield f"<pre>{escape(_cut(chapter.diff))}</pre>"
    heads = ("trial", story.metric, "gain", "status", "what")
    yield "<h2>The night</h2><table><tr>" + "".join(f"<th>{escape(head)}" for head in heads)
    for chapter in story.chapters:
        number, value, gain = _figures(chapter)
        status = escape(chapter.status)
        yield f"<tr><td>{number}<td>{value}<td>{gain}<td class={status}>{status}"
        yield f"<td>{escape(chapter.hypothesis)}<br><small>{escape(chapter.reason)}</small>"
    yield "</table></body></html>"


_UNCERTIFIED = "Not certified: `autoresearch-mcp certify` measures it with fresh runs."


def _figures(chapter: Chapter) -> tuple[str, str, str]:
    value = "" if chapter.value is None else f"{chapter.value:.6f}"
    gain = "" if chapter.gain is None else f"{chapter.gain:+.6f}"
    return str(chapter.number), value, gain


def _plain(text: str) -> str:
    """Return a text as one line that Markdown shows as it is."""
    line = " ".join(text.split())
    return "".join(f"\\{c}" if c in "\\*_[]<>#" else c for c in line)


def _cut(diff: str) -> str:
    return diff if len(diff) <= _LONGEST_DIFF else diff[:_LONGEST_DIFF] + "\n[cut]\n"


def _longest_run_of_ticks(text: str) -> int:
    runs: Sequence[str] = "".join(c if c == "`" else " " for c in text).split()
    return max(map(len, runs), default=0)
