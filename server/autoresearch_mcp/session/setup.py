"""Set a recipe up: run its protocol's setupCommands, in order, once."""

from collections.abc import Callable
from pathlib import Path

from autoresearch_mcp.core.setupsteps import Step, parse_step
from autoresearch_mcp.effects import installing
from autoresearch_mcp.session.answers import Answer
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.rooms import Rooms


class Finished(Answer):
    """One step that was run."""

    command: str
    exit_code: int


def steps(rooms: Rooms) -> list[Step]:
    """Return the steps of the committed protocol.

    Raises:
        Fault: The recipe cannot be used.
    """
    recipe = recipe_at(rooms.repository, rooms.repository.head().commit)
    parsed = [parse_step(command) for command in recipe.protocol.environment.setup_commands]
    return [step for step in parsed if isinstance(step, Step)]


def run(rooms: Rooms, announce: Callable[[int, Step], None], *, quiet: bool) -> list[Finished]:
    """Run the steps until one fails.

    Args:
        rooms: The recipe's rooms.
        announce: Told the number and the step before each.
        quiet: Whether standard output is to be left alone.

    Raises:
        Fault: A program is missing, or a step cannot be started.
    """
    folder, done = _folder(rooms), list[Finished]()
    for number, step in enumerate(steps(rooms), start=1):
        announce(number, step)
        argv = _argv(rooms, step)
        code = installing.run(argv, folder, quiet=quiet)
        done.append(Finished(command=step.text, exit_code=code))
        if code != 0:
            break
    return done


def _argv(rooms: Rooms, step: Step) -> list[str]:
    root = _folder(rooms)
    if step.program in {"pip", "python"}:
        python = str(installing.python_of(root, rooms.options.python))
        return [python, *(("-m", "pip") if step.program == "pip" else ()), *step.args]
    return [installing.program(step.program, rooms.repository.root), *step.args]


def _folder(rooms: Rooms) -> Path:
    recipe = recipe_at(rooms.repository, rooms.repository.head().commit)
    return rooms.repository.root / recipe.folder
