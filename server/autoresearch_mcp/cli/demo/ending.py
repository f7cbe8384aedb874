"""How the demo ends: what git and the ledger say, what to look at, what to type next."""

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from autoresearch_mcp.cli.clients import hints, own_command
from autoresearch_mcp.cli.demo.throwaway import BRANCH, Throwaway
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects import prepared
from autoresearch_mcp.effects.repository import Repository
from autoresearch_mcp.session.recipe import PROTOCOL_FILE
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import look

if TYPE_CHECKING:
    from autoresearch_mcp.cli.demo.screen import Screen
    from autoresearch_mcp.cli.demo.story import Story

_RESULTS = "results.tsv"
_STATUS_COLUMN = 3


def end(
    screen: "Screen", stage: Throwaway, rooms: Rooms, story: "Story", seconds: float
) -> dict[str, object]:
    """Show the results, where they are and what to do next, and return it all for a program."""
    differences = [*story.differences, *_contradictions(stage, rooms)]
    if story.lines:
        _show_results(screen, rooms, story)
    _show_places(screen, stage, rooms)
    if differences:
        screen.heading(f"Not as scripted, after {seconds:.0f} s")
        for difference in differences:
            screen.say(f"- {difference}", "red")
    else:
        screen.heading(f"As scripted, in {seconds:.0f} s. Now your own agent")
        _show_next(screen)
    return {
        "as_scripted": not differences,
        "differences": differences,
        "seconds": round(seconds, 1),
        "budget_seconds": stage.budget,
        "branch": rooms.repository.head().branch,
        "trials": [line.model_dump() for line in story.lines],
        **{name.replace(" ", "_"): str(place) for name, place in _places(stage, rooms).items()},
    }


def _contradictions(stage: Throwaway, rooms: Rooms) -> list[str]:
    """Compare what git and the ledger hold with what the agent was told."""
    repository, head = rooms.repository, rooms.repository.head()
    commits = repository.git.run("rev-list", f"{BRANCH}..HEAD").split()
    log = (repository.read(head.commit, _RESULTS) or b"").decode().splitlines()
    found = [line.split("\t")[_STATUS_COLUMN] for line in log[1:]]
    holds = {
        f"HEAD is on a research branch (it is on {head.branch})": look(rooms).started is not None,
        f"the branch has one commit, the kept trial (it has {len(commits)})": len(commits) == 1,
        "the committed train.py is the recipe's own again": repository.read(head.commit, "train.py")
        == stage.healthy,
        "the file in the folder is the committed one": rooms.workspace.read("train.py")
        == stage.healthy,
        f"results.tsv has the four trials (it has {found})": found
        == ["keep", "crash", "discard", "keep"],
    }
    wrong = [f"not so: {what}" for what, true in holds.items() if not true]
    try:
        rooms.ledger.verify()
    except Fault as fault:
        wrong.append(str(fault))
    return wrong


def _show_results(screen: "Screen", rooms: Rooms, story: "Story") -> None:
    metric = look(rooms).recipe.protocol.measurement.primary_metric.name
    screen.heading("The trials")
    screen.trials(story.lines, metric)
    screen.chart(story.lines, metric)
    screen.heading(f"git log --oneline {rooms.repository.head().branch}")
    log = rooms.repository.git.run("log", "--oneline", "--no-decorate", "HEAD")
    for line in log.decode(errors="replace").splitlines():
        screen.say(line)
    screen.say("Discarded candidates stay in git too: git for-each-ref refs/autoresearch", "dim")
    screen.heading(_RESULTS)
    rows = rooms.workspace.read(_RESULTS).decode(errors="replace").splitlines()
    screen.columns([row.split("\t") for row in rows])


def _show_places(screen: "Screen", stage: Throwaway, rooms: Rooms) -> None:
    screen.heading("Where things are")
    for name, place in _places(stage, rooms).items():
        screen.fact(name, str(place))
    screen.fact("remove it", f"rm -rf {stage.repository.parent}")


def _places(stage: Throwaway, rooms: Rooms) -> dict[str, Path]:
    return {
        "repository": stage.repository,
        "ledger": rooms.ledger.path,
        "run logs": rooms.repository.state / "trials",
        "server log": stage.repository.parent / "server.log",
        "data": prepared.cache_folder(),
    }


def _show_next(screen: "Screen") -> None:
    here = _recipe_here()
    recipe = str(here or "/path/to/your/recipe")
    claude = next(hint.text for hint in hints(recipe) if hint.client == "Claude Code")
    own = shlex.join(own_command())
    screen.say("Prepare the data of your own recipe, once, and connect your agent:")
    screen.say(f"  {own} prepare --repo {shlex.quote(recipe)}", "cyan")
    screen.say(f"  {claude}", "cyan")
    screen.say("Then ask it to improve the recipe. For other clients, and to check the machine:")
    screen.say(f"  {own} doctor --repo {shlex.quote(recipe)}", "cyan")


def _recipe_here() -> Path | None:
    """Return the recipe that the person stands in, if any."""
    try:
        repository = Repository.discover(Path.cwd())
        found = repository.read(repository.head().commit, PROTOCOL_FILE)
    except (Fault, OSError):
        return None
    return repository.root if found is not None else None
