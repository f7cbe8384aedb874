"""What a protocol of the right shape must also be before a trial may run under it.

Each rule yields lines `JSON path: what was found; what is allowed`. Nothing is raised here.
"""

import re
from collections.abc import Iterator

from autoresearch_mcp.core.command import parse_command
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.metrics import extract_problem
from autoresearch_mcp.core.paths import glob_problem, is_literal, matches, path_problem
from autoresearch_mcp.core.protocol_schema import Protocol
from autoresearch_mcp.core.surface import CONTRACT, Surface, covering

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
    yield from _command(protocol)
    yield from _metrics(protocol)
    yield from _seed(protocol)


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


def _records(protocol: Protocol) -> Iterator[str]:
    records = (*Surface.of(protocol).records, CONTRACT)
    for index, allowed in enumerate(protocol.mutable_surface.allowed_globs):
        if allowed in records:
            yield (
                f"mutableSurface.allowedGlobs[{index}]: {allowed!r} is kept by the server; "
                "no edit may touch it"
            )


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
    extracts = {"measurement.primaryMetric.extract": measurement.primary_metric.extract}
    for index, metric in enumerate(measurement.secondary_metrics):
        if metric.extract:
            extracts[f"measurement.secondaryMetrics[{index}].extract"] = metric.extract
    for name, extract in extracts.items():
        if found := extract_problem(extract):
            field, problem = found
            yield f"{name}.{field}: {problem}"


def _seed(protocol: Protocol) -> Iterator[str]:
    seed = protocol.execution.determinism.seed_derivation
    if seed and not _ENVIRONMENT_NAME.fullmatch(seed.env_var):
        yield (
            f"execution.determinism.seedDerivation.envVar: found {seed.env_var!r}; "
            "allowed: letters, digits and '_', not beginning with a digit"
        )
