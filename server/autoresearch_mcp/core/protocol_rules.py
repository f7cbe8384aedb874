"""What a protocol of the right shape must also be before a trial may run under it.

Each rule yields lines `JSON path: what was found; what is allowed`. Nothing is raised here.
"""

import re
from collections.abc import Iterator

from autoresearch_mcp.core.branches import pattern_problem
from autoresearch_mcp.core.command import parse_command
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.imports import DEPENDENCY_FILES
from autoresearch_mcp.core.measurement import PrimaryMetric, SecondaryMetric
from autoresearch_mcp.core.metrics import extract_problem
from autoresearch_mcp.core.paths import glob_problem, is_literal, matches, path_problem
from autoresearch_mcp.core.protocol_schema import Protocol
from autoresearch_mcp.core.setupsteps import parse_step
from autoresearch_mcp.core.surface import CONTRACT, Surface, covering

_RESERVED = frozenset({"PATH", "HOME", "TMPDIR", "LANG", "IFS", "ENV", "SHELL", "USER"})
_RESERVED_STARTS = ("AUTORESEARCH_", "BASH_", "DYLD_", "LD_", "PYTHON")
_ENVIRONMENT_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def problems(protocol: Protocol) -> Iterator[str]:
    """Yield every reason why no trial may run under the protocol, one line each."""
    if protocol.meta.eligibility != "eligible":
        found = protocol.meta.eligibility
        yield f"meta.eligibility: found '{found}'; only 'eligible' protocols run trials"
    yield from _globs(protocol)
    yield from _paths(protocol)
    yield from _overlaps(protocol)
    yield from _harness(protocol)
    yield from _records(protocol)
    yield from _dependencies(protocol)
    yield from _columns(protocol)
    yield from _command(protocol)
    yield from _setup(protocol)
    yield from _stop(protocol)
    yield from _metrics(protocol)
    yield from _seed(protocol)
    yield from _branch(protocol)


def _globs(protocol: Protocol) -> Iterator[str]:
    seed = protocol.execution.determinism.seed_derivation
    lists = {
        "mutableSurface.allowedGlobs": protocol.mutable_surface.allowed_globs,
        "mutableSurface.forbiddenGlobs": protocol.mutable_surface.forbidden_globs,
        "immutableHarness.paths": protocol.immutable_harness.paths,
        "execution.determinism.seedDerivation.sourcePaths": seed.source_paths if seed else (),
    }
    for name, globs in lists.items():
        for index, glob in enumerate(globs):
            if problem := glob_problem(glob):
                yield f"{name}[{index}]: {glob!r} {problem}"


def _paths(protocol: Protocol) -> Iterator[str]:
    provenance = protocol.provenance
    paths = {
        "execution.cwd": protocol.execution.cwd,
        "provenance.resultsLog.path": provenance.results_log.path,
        "provenance.baselineArtifactPath": provenance.baseline_artifact_path,
        "provenance.gitWorkflow.pathPrefix": provenance.git_workflow.path_prefix,
    }
    here = {"execution.cwd", "provenance.gitWorkflow.pathPrefix"}
    for name, path in paths.items():
        if path is None or (name in here and path == "."):
            continue
        directory = path.removesuffix("/") if name in here else path
        if problem := path_problem(directory):
            yield f"{name}: {path!r} {problem}"


def _overlaps(protocol: Protocol) -> Iterator[str]:
    for index, glob in enumerate(protocol.mutable_surface.forbidden_globs):
        for allowed in protocol.mutable_surface.allowed_globs:
            if _overlap(glob, allowed):
                yield (
                    f"mutableSurface.forbiddenGlobs[{index}]: {glob!r} overlaps the allowed glob "
                    f"{allowed!r}; a path may be in one list only"
                )


def _harness(protocol: Protocol) -> Iterator[str]:
    for index, path in enumerate(protocol.immutable_harness.paths):
        for allowed in protocol.mutable_surface.allowed_globs:
            if any(_overlap(glob, allowed) for glob in covering((path,))):
                yield (
                    f"immutableHarness.paths[{index}]: {path!r} lies in the surface (allowed glob "
                    f"{allowed!r}); the harness may never be editable"
                )


def _dependencies(protocol: Protocol) -> Iterator[str]:
    if not protocol.environment.constraints.no_new_dependencies:
        return
    for index, allowed in enumerate(protocol.mutable_surface.allowed_globs):
        if DEPENDENCY_FILES.fullmatch(allowed):
            yield (
                f"mutableSurface.allowedGlobs[{index}]: {allowed!r} says what is depended on, and "
                "noNewDependencies is true; only one of the two can hold"
            )


def _records(protocol: Protocol) -> Iterator[str]:
    records = (*Surface.of(protocol).records, CONTRACT)
    for index, allowed in enumerate(protocol.mutable_surface.allowed_globs):
        if allowed in records:
            yield (
                f"mutableSurface.allowedGlobs[{index}]: {allowed!r} is kept by the server; "
                "no edit may touch it"
            )


def _columns(protocol: Protocol) -> Iterator[str]:
    columns = protocol.provenance.results_log.columns
    for index, column in enumerate(columns):
        path = f"provenance.resultsLog.columns[{index}]"
        if not column.isprintable() or not column.strip():
            yield f"{path}: {column!r} must be a name in printable characters"
        elif column in columns[:index]:
            yield f"{path}: {column!r} is named twice"


def _overlap(one: str, other: str) -> bool:
    """Tell whether a path that one of the two globs spells out is matched by both.

    Two wildcards may still meet in a file nobody named; there the stronger list wins.
    """
    return (
        one == other
        or (is_literal(one) and matches(other, one))
        or (is_literal(other) and matches(one, other))
    )


def _command(protocol: Protocol) -> Iterator[str]:
    try:
        parse_command(protocol.execution.command)
    except Fault as fault:
        yield f"execution.command: {fault}"


def _metrics(protocol: Protocol) -> Iterator[str]:
    measurement = protocol.measurement
    names = [measurement.primary_metric.name]
    metrics: dict[str, PrimaryMetric | SecondaryMetric] = {
        "measurement.primaryMetric": measurement.primary_metric
    }
    for index, metric in enumerate(measurement.secondary_metrics):
        metrics[f"measurement.secondaryMetrics[{index}]"] = metric
        if metric.name in names:
            yield f"measurement.secondaryMetrics[{index}].name: {metric.name!r} is taken already"
        names.append(metric.name)
    for path, metric in metrics.items():
        if metric.extract and (found := extract_problem(metric.extract, metric.name)):
            field, problem = found
            yield f"{path}.extract.{field}: {problem}"


def _setup(protocol: Protocol) -> Iterator[str]:
    for index, command in enumerate(protocol.environment.setup_commands):
        step = parse_step(command)
        if isinstance(step, str):
            yield f"environment.setupCommands[{index}]: {step}"


def _stop(protocol: Protocol) -> Iterator[str]:
    """Hold a stop condition to saying when it stops."""
    stop, hard = protocol.execution.stop_condition, protocol.execution.hard_timeout_seconds
    path = "execution.stopCondition"
    if stop.type == "wall_clock" and not stop.training_seconds_budget:
        found = "missing" if stop.training_seconds_budget is None else "found 0"
        yield f"{path}.trainingSecondsBudget: {found}; type 'wall_clock' needs seconds above 0"
    if stop.type == "max_steps" and stop.max_steps is None:
        yield f"{path}.maxSteps: missing; type 'max_steps' needs it"
    if stop.type == "epochs" and stop.epochs is None:
        yield f"{path}.epochs: missing; type 'epochs' needs it"
    budget = stop.training_seconds_budget or 0
    if hard < budget:
        yield (
            f"execution.hardTimeoutSeconds: found {hard:g}; must not be below the training "
            f"budget of {budget:g} s"
        )


def _seed(protocol: Protocol) -> Iterator[str]:
    determinism = protocol.execution.determinism
    seed, path = determinism.seed_derivation, "execution.determinism.seedDerivation"
    if seed is None:
        return
    if not _ENVIRONMENT_NAME.fullmatch(seed.env_var):
        yield (
            f"{path}.envVar: found {seed.env_var!r}; "
            "allowed: letters, digits and '_', not beginning with a digit"
        )
    elif seed.env_var in _RESERVED or seed.env_var.startswith(_RESERVED_STARTS):
        yield f"{path}.envVar: found {seed.env_var!r}, which means something else to every program"
    if seed.mode == "fixed" and seed.fixed_seed is None:
        yield f"{path}.fixedSeed: missing; mode 'fixed' needs it"
    if seed.fixed_seed is not None and seed.fixed_seed >= 1 << seed.seed_bits:
        yield f"{path}.fixedSeed: found {seed.fixed_seed}; must be below 2^{seed.seed_bits}"
    if seed.mode == "none" and determinism.seed_policy == "required":
        yield f"{path}.mode: found 'none', but seedPolicy is 'required'; name a mode that sets one"


def _branch(protocol: Protocol) -> Iterator[str]:
    pattern = protocol.provenance.git_workflow.branch_pattern
    if pattern is not None and (problem := pattern_problem(pattern)):
        yield f"provenance.gitWorkflow.branchPattern: {pattern!r} {problem}"
