"""Hold a candidate to the dependencies that its recipe declares."""

import sys
from functools import lru_cache
from pathlib import PurePosixPath

from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.imports import declared, imported, normal
from autoresearch_mcp.effects import interpreter
from autoresearch_mcp.effects.repository import Repository
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.state import State


def check(state: State, path: str, source: str) -> None:
    """Return if a source imports nothing that the recipe does not declare or import already.

    Raises:
        Refusal: `edit.dependency`, naming module and line.
    """
    constraints = state.recipe.protocol.environment.constraints
    if not constraints.no_new_dependencies or not path.endswith(".py"):
        return
    known = sys.stdlib_module_names | _own(state.rooms.repository, state.recipe.commit)
    new = {name: line for name, line in imported(source).items() if name not in known}
    if not new:
        return
    allowed = _declared(state)
    # Only the interpreter knows that `sklearn` is what scikit-learn brings along.
    bringers = interpreter.distributions(Bench(state.rooms, state.recipe).interpreter.path)
    for name, line in new.items():
        if not allowed & {normal(name), *map(normal, bringers.get(name, ()))}:
            raise Refusal(
                "edit.dependency",
                f"{path} imports {name} in line {line}, which the recipe does not declare; new "
                "dependencies are not allowed: do without it",
            )


@lru_cache(maxsize=8)  # of a commit, which never changes
def _own(repository: Repository, commit: str) -> frozenset[str]:
    """Return the recipe's own modules and all that its committed sources import."""
    recipe = recipe_at(repository, commit)
    paths = [entry.path for entry in repository.tree(commit) if entry.path.endswith(".py")]
    names = {PurePosixPath(path).stem for path in paths}
    names |= {part for path in paths for part in PurePosixPath(path).parts[:-1]}
    for path in {*recipe.files, *recipe.harness} & {*paths}:
        content = repository.read(commit, path) or b""
        try:
            names |= imported(content.decode(errors="replace")).keys()
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            continue  # what is committed there is not for Python
    return frozenset(names)


def _declared(state: State) -> frozenset[str]:
    repository, commit = state.rooms.repository, state.recipe.commit

    def text(path: str) -> str:
        return (repository.read(commit, path) or b"").decode(errors="replace")

    tracked = [entry.path for entry in repository.tree(commit)]
    requirements = [p for p in tracked if "requirements" in p and p.endswith(".txt")]
    folder = state.recipe.protocol.execution.cwd.rstrip("/")
    own = state.recipe.folder
    projects = {f"{own}pyproject.toml", f"{folder}/pyproject.toml"}
    return declared("", map(text, requirements)).union(*(declared(text(p), ()) for p in projects))
