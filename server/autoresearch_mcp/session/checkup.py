"""A check-up of machine and recipe: each finding with what mends it."""

import sys
from collections.abc import Iterator
from pathlib import Path

from pydantic import computed_field

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.imports import imported
from autoresearch_mcp.effects import assets, interpreter, prepared
from autoresearch_mcp.effects.interpreter import Interpreter
from autoresearch_mcp.session import machine, surroundings
from autoresearch_mcp.session.answers import Answer
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.machine import Check, failed, ok, warning
from autoresearch_mcp.session.recipe import PROTOCOL_FILE
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.state import State, look

_EXTRAS = "autoresearch-mcp[cpu] (on NVIDIA GPUs [cuda12] or [cuda13])"


class Checkup(Answer):
    """Everything that was looked at."""

    repository: str | None
    """The recipe's repository, where there is one that can be used."""
    checks: list[Check]

    @computed_field
    @property
    def failed(self) -> list[str]:
        """Return the names of what failed."""
        return [check.name for check in self.checks if check.state == "failed"]


def examine(path: Path, options: Options) -> Checkup:
    """Look at the machine and at the recipe; whatever is wrong with either is a finding.

    Args:
        path: A folder of the recipe's repository.
        options: The operator's choices.
    """
    rooms = state = None
    try:
        rooms = Rooms.open(path, options)
        state = look(rooms)
        recipe = list(_recipe(state))
    except Fault as fault:
        recipe = [failed("recipe", str(fault))]
    root = rooms.repository.root if rooms else path
    folder = state.recipe.folder if state else ""
    python = interpreter.choose(root, options.python, folder)
    checks = [*machine.system(), *machine.git(path), *recipe, *_interpreter(python, state)]
    if state is not None:
        bench = Bench(state.rooms, state.recipe)
        checks += [*_blas(bench), _data(bench), *_assets(bench)]
        checks += surroundings.environment(bench, root)
    places = {"cache": prepared.cache_folder(), "temporary": machine.temporary_folder()}
    if rooms is not None:
        checks.append(_ledger(rooms))
        places = {"state": rooms.repository.state, **places}
    checks += [*machine.disk(places), machine.lease(), machine.sandbox(options.sandbox)]
    return Checkup(repository=str(root) if rooms else None, checks=checks)


def _recipe(state: State) -> Iterator[Check]:
    """Look at what is committed, and at how the working tree differs from it."""
    recipe, repository = state.recipe, state.rooms.repository
    branch = state.head.branch or "no branch"
    yield ok("recipe", f"{repository.root} on {branch}: {PROTOCOL_FILE} is valid")
    yield ok("surface", f"{', '.join(recipe.files)} may be edited, all tracked")
    for path, digest in recipe.harness.items():
        if state.rooms.workspace.digest(path) != digest:
            fix = f"commit it to a new branch, or undo it: git restore {path}"
            yield warning("harness", f"{path} differs from the commit, which is what runs use", fix)
    try:
        changed = ", ".join(state.candidate())
    except Refusal as refusal:
        yield failed("working tree", refusal.message)
        return
    if operation := repository.in_progress():
        yield failed("working tree", f"a git {operation} is in progress", "finish or abort it")
    elif not changed:
        yield ok("working tree", "the surface is as committed")
    elif state.started is None:
        fix = "commit the change or undo it: the first trial measures what is committed"
        yield failed("working tree", f"{changed} differs from the commit", fix)
    else:
        yield ok("working tree", f"{changed} holds a candidate")


def _interpreter(python: Path, state: State | None) -> Iterator[Check]:
    """Look at the recipe's interpreter and its MLX."""
    try:
        found = interpreter.probe(python)
    except Fault as fault:
        yield failed("interpreter", str(fault))
        return
    yield ok("interpreter", f"the recipe's Python {found.python} at {python}")
    yield _mlx(found, is_needed=state is None or _imports_mlx(state))
    if len(found.backends) > 1:
        fix = f"keep one of them and install that again: {_EXTRAS}"
        yield failed("back ends", f"{', '.join(found.backends)} overwrite each other", fix)
    if found.device_kind == "cpu" and sys.platform == "linux":
        yield ok("mx.compile", "off in trials: on a CPU it would run g++ for half a minute a run")


def _imports_mlx(state: State) -> bool:
    """Tell whether a tracked file imports MLX, or cannot be read as Python."""
    repository = state.rooms.repository
    tracked = repository.tree(state.recipe.commit)
    sources = (repository.content(entry) for entry in tracked if entry.path.endswith(".py"))
    try:
        return any(
            name.startswith("mlx") for source in sources for name in imported(source.decode())
        )
    except (SyntaxError, ValueError):
        return True


def _mlx(found: Interpreter, *, is_needed: bool) -> Check:
    if found.mlx is None and not is_needed:
        return ok("mlx", "not installed in the recipe's interpreter, and the recipe imports none")
    if found.mlx is None:
        return failed("mlx", "not installed in the recipe's interpreter", f"install {_EXTRAS}")
    if found.problem:
        return failed("mlx", f"{found.mlx} does not load: {found.problem}", f"install {_EXTRAS}")
    return ok("mlx", f"{found.mlx} on {found.device_kind}: {found.device}")


def _blas(bench: Bench) -> Iterator[Check]:
    """Look at what multiplies matrices; without MLX there is nothing to look at."""
    try:
        if bench.interpreter.mlx is None:
            return
        slow = bench.blas.route == "none"
        yield (warning if slow else ok)("blas", bench.blas.detail)
    except Fault as fault:
        yield failed("blas", str(fault))


def _data(bench: Bench) -> Check:
    data = bench.data
    if data is None and not bench.recipe.needs_data:
        steps = len(bench.recipe.protocol.environment.setup_commands)
        return ok("data", f"the recipe brings its own ({steps} setupCommands in its protocol)")
    if data is None:
        return failed("data", f"none under {prepared.cache_folder()}", "autoresearch-mcp prepare")
    name, budget = data.manifest.profile.name, bench.budget
    text = f"{data.manifest.data_id}, profile {name}: {budget.training_seconds:g} s a run"
    if damage := prepared.damage(data):
        return failed("data", f"{text}; {damage}", "autoresearch-mcp prepare")
    if not data.manifest.rankable:
        fix = "autoresearch-mcp prepare --source climbmix, or --profile cpu"
        return warning("data", f"{text}; a smoke test, its results are not ranked", fix)
    return ok("data", text)


def _assets(bench: Bench) -> Iterator[Check]:
    """Look at the data outside the repository that runs may read."""
    for asset in bench.assets:
        try:
            assets.check(asset)
            yield ok("asset", f"{asset} is lent to runs, read-only")
        except Fault as fault:
            yield failed("asset", str(fault))


def _ledger(rooms: Rooms) -> Check:
    try:
        count = rooms.ledger.verify()
    except Fault as fault:
        return failed("ledger", str(fault))
    return ok("ledger", f"{count} events, their chain of hashes is whole")
