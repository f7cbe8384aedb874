"""The story of a night on one page."""

from html.parser import HTMLParser
from pathlib import Path

import pytest

from autoresearch_mcp.core.story import Chapter, Story, html, markdown
from autoresearch_mcp.core.storychart import Dot, svg
from tests.driving import RecipeRepo, serving

from .conftest import Cli

pytestmark = pytest.mark.anyio

NASTY = '<script>alert(1)</script> & "x" ```` | *b*'


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


class Page(HTMLParser):
    """Collects what a browser would run or load."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.loads: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.loads += [value or "" for name, value in attrs if name in {"src", "href", "onload"}]


def story(*chapters: Chapter) -> Story:
    return Story(
        title="autoresearch/x",
        task=NASTY,
        facts=(("Noise", NASTY),),
        metric="val_bpb",
        maximize=False,
        chapters=chapters,
        certificate=(),
        warnings=(NASTY,),
    )


def chapter(number: int, value: float | None, status: str = "keep") -> Chapter:
    return Chapter(
        number=number,
        status=status,
        value=value,
        gain=0.1,
        hypothesis=NASTY,
        reason=NASTY,
        commit="abc1234",
        diff=f"+{NASTY}\n",
    )


def test_nothing_that_an_agent_wrote_runs_or_loads_in_the_page() -> None:
    page = Page(html(story(chapter(1, 2.0), chapter(2, None, "crash"))))

    assert "script" not in page.tags
    assert page.loads == []
    assert {"svg", "pre", "table"} <= page.tags


def test_in_markdown_it_breaks_out_of_no_cell_and_no_fence() -> None:
    lines = markdown(story(chapter(1, 2.0))).splitlines()

    rows = [line for line in lines if line.startswith("| 1 ")]
    assert [row.replace("\\|", "").count("|") for row in rows] == [6]
    assert "`````diff" in lines
    assert not any(line.startswith("<script>") for line in lines)


@pytest.mark.parametrize("maximize", [False, True])
def test_the_chart_has_a_dot_a_trial_and_the_better_ones_higher_up(maximize: bool) -> None:
    values = [2.0, 1.9, None, 1.8]
    drawn = svg([Dot(v, "keep" if v else "crash") for v in values], maximize=maximize)
    heights = [float(part.split('"')[0]) for part in drawn.split('cy="')[1:]]

    assert len(heights) == 4
    assert (heights[3] < heights[0]) is not maximize


@pytest.mark.parametrize("values", [[], [None], [2.0], [2.0, 2.0], [1e300, -1e300, 0.0]])
def test_any_values_can_be_drawn(values: list[float | None]) -> None:
    assert "nan" not in svg([Dot(v, "discard") for v in values], maximize=False)


async def test_the_report_tells_what_was_kept_on_what(
    cli: Cli, tmp_path: Path, bare_python: Path
) -> None:
    repo = RecipeRepo.fast(tmp_path / "recipe")
    options = ("--python", str(bare_python))
    async with serving(repo.path, *options, environment=dict(cli.environment)) as agent:
        await agent.trial("baseline")
        await agent.try_value("1.5")
        await agent.try_value("3.0", old="VALUE = 1.5")
        await agent.edit("VALUE = 1.5", "VALUE = oops")
        await agent("commit_or_revert", trial_id=(await agent.trial("a typo"))["trial_id"])
    before = repo.git("status", "--porcelain")
    page = tmp_path / "night.html"
    done = cli("report", "--html", "-o", page, "--repo", repo.path)
    text = cli("report", "--repo", repo.path).stdout
    told = cli.json("report", "--repo", repo.path)

    assert done.returncode == 0
    assert "+VALUE = 1.5" in page.read_text()
    assert page.read_text().count("<circle") == 4
    assert "### Trial 2: value 1.5" in text
    assert "better by 0.500000" in text
    assert "Not certified" in text
    assert [c["status"] for c in told["chapters"]] == ["keep", "keep", "discard", "crash"]
    assert repo.git("status", "--porcelain") == before


def test_without_research_there_is_no_report(cli: Cli, tmp_path: Path) -> None:
    repo = RecipeRepo.fast(tmp_path / "recipe")
    done = cli("report", "--repo", repo.path)

    assert done.returncode == 3
    assert "no research branch" in done.stderr
