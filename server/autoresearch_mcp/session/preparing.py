"""Which command prepares a recipe's data."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects import harness, interpreter, prepared
from autoresearch_mcp.effects.prepared import PreparedData
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.rooms import Rooms


def command(rooms: Rooms, arguments: Sequence[str]) -> list[str]:
    """Return the command line that runs the recipe's prepare.py in the recipe's interpreter.

    Raises:
        Fault: The recipe cannot be used, or prepares its data in another way.
    """
    root = rooms.repository.root
    recipe = recipe_at(rooms.repository, rooms.repository.head().commit)
    if not recipe.reads_run_file or recipe.harness_entry not in recipe.harness:
        steps = [
            step if isinstance(step, str) else " ".join([step.kind, *step.args])
            for step in recipe.protocol.environment.setup_commands
        ]
        how = (
            f"run `autoresearch-mcp setup` (its protocol's setupCommands in {root}: "
            f"{'; '.join(steps)})"
            if steps
            else ("its protocol names no setupCommands, so there may be nothing to prepare")
        )
        raise Fault(f"this recipe's harness takes no data from the server; {how}")
    if not (root / recipe.harness_entry).is_file():
        raise Fault(f"{root / recipe.harness_entry} is missing: git restore {recipe.harness_entry}")
    python = interpreter.choose(root, rooms.options.python, recipe.folder)
    if not python.exists():
        raise Fault(f"there is no interpreter {python}: name another with --python")
    return harness.command(python, root / recipe.harness_entry, arguments)


def embedded(rooms: Rooms, profile: str, cache: Path) -> PreparedData:
    """Prepare the corpus that every machine has, quietly, and return it.

    Raises:
        Fault: It could not be prepared.
    """
    arguments = ["--source", "embedded", "--profile", profile, "--cache", str(cache), "--json"]
    done = subprocess.run(
        command(rooms, arguments),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip().splitlines()
        raise Fault(f"the data could not be prepared: {said[-1] if said else done.returncode}")
    return prepared.load(Path(json.loads(done.stdout)["folder"]))
