"""What a person should know of a protocol that is valid: what is only shown, and what is missing.

Nothing here keeps a trial from running. Each note is `(JSON path, text)`.
"""

from collections.abc import Iterator

from autoresearch_mcp.core.command import parse_command
from autoresearch_mcp.core.document import size_bytes
from autoresearch_mcp.core.protocol_schema import Protocol

Note = tuple[str, str]
_COLUMNS = frozenset({"commit", "memory_gb", "status", "description"})


def notes(protocol: Protocol) -> Iterator[Note]:
    """Yield what to know before relying on the protocol."""
    yield from _network(protocol)
    yield from _run(protocol)
    yield from _measurement(protocol)
    yield from _shown_only(protocol)


def _network(protocol: Protocol) -> Iterator[Note]:
    constraints, path = protocol.environment.constraints, "environment.constraints"
    if constraints.network_policy == "full":
        yield f"{path}.networkPolicy", "runs have no network unless the operator allows it too"
    if constraints.network_allowlist and constraints.network_policy == "full":
        yield (
            f"{path}.networkAllowlist",
            "no sandbox can hold a run to single hosts: with --allow-network trials are refused",
        )


def _run(protocol: Protocol) -> Iterator[Note]:
    execution = protocol.execution
    if parse_command(execution.command).kind == "argv":
        yield (
            "execution.command",
            "not a Python script: the run must take its seed from the environment itself",
        )
    if execution.stop_condition.type in {"max_steps", "epochs"}:
        yield (
            "execution.stopCondition.type",
            f"'{execution.stop_condition.type}' is checked on what the log says; give "
            "trainingSecondsBudget as well to have it held by the server's clock",
        )
    if execution.determinism.seed_derivation and execution.determinism.seed_derivation.mode in {
        "fixed",
        "none",
    }:
        mode = execution.determinism.seed_derivation.mode
        yield (
            "execution.determinism.seedDerivation.mode",
            f"'{mode}': noise between seeds cannot be told from a gain",
        )


def _measurement(protocol: Protocol) -> Iterator[Note]:
    measurement = protocol.measurement
    known = {*_COLUMNS, measurement.primary_metric.name}
    known |= {metric.name for metric in measurement.secondary_metrics}
    for index, column in enumerate(protocol.provenance.results_log.columns):
        if column not in known:
            path = f"provenance.resultsLog.columns[{index}]"
            yield path, f"{column!r} is no metric and nothing the server knows: it stays empty"
    sampling = measurement.sampling
    if sampling and sampling.aggregator != "mean":
        path = "measurement.sampling.aggregator"
        yield path, f"the log shows the {sampling.aggregator}; the verdict compares means"
    if measurement.primary_metric.extract.example_stdout is None:
        path = "measurement.primaryMetric.extract.exampleStdout"
        yield path, "missing: the pattern is not proved before the first trial"
    for index, metric in enumerate(measurement.secondary_metrics):
        if metric.extract is None:
            yield f"measurement.secondaryMetrics[{index}].extract", "missing: nothing is read"


def _shown_only(protocol: Protocol) -> Iterator[Note]:
    sandbox = protocol.environment.sandbox
    if sandbox and sandbox.image:
        yield "environment.sandbox.image", "shown only: runs use the recipe's own interpreter"
    if sandbox and sandbox.cpus:
        yield "environment.sandbox.cpus", "shown only: a run gets every core"
    if sandbox and sandbox.memory and size_bytes(sandbox.memory) is None:
        yield "environment.sandbox.memory", f"{sandbox.memory!r} is no size, as in '4g'"
    if protocol.provenance.github_mirror:
        yield "provenance.githubMirror", "shown only: the server publishes nothing"
    if protocol.mining_loop.stop_after_successful_pr:
        yield "miningLoop.stopAfterSuccessfulPr", "shown only: the server opens no pull request"
