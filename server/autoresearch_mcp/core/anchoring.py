"""A recipe in a folder of a larger repository: `provenance.gitWorkflow.pathPrefix`.

The protocol's paths are then relative to that folder. Everything behind the door of the document
knows paths from the repository's top only, so they are rewritten once, here.
"""

from autoresearch_mcp.core.protocol_schema import Protocol

_HERE = "."


def prefix_of(protocol: Protocol) -> str:
    """Return the recipe's folder with a slash behind it, empty for the repository's top."""
    folder = (protocol.provenance.git_workflow.path_prefix or _HERE).rstrip("/")
    return "" if folder in {_HERE, ""} else f"{folder}/"


def anchored(protocol: Protocol) -> Protocol:
    """Return the protocol with every path from the top of the repository.

    A path that begins with the prefix is from the top already.
    """
    prefix = prefix_of(protocol)
    if not prefix:
        return protocol

    def top(path: str) -> str:
        return path if path.startswith(prefix) else f"{prefix}{path}"

    def tops(paths: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(map(top, paths))

    surface, harness = protocol.mutable_surface, protocol.immutable_harness
    execution, provenance = protocol.execution, protocol.provenance
    seed, artifact = execution.determinism.seed_derivation, provenance.baseline_artifact_path
    if seed is not None:
        seed = seed.model_copy(update={"source_paths": tops(seed.source_paths)})
    cwd = prefix.rstrip("/") if execution.cwd.rstrip("/") == _HERE else top(execution.cwd)
    log = provenance.results_log
    return protocol.model_copy(
        update={
            "mutable_surface": surface.model_copy(
                update={
                    "allowed_globs": tops(surface.allowed_globs),
                    "forbidden_globs": tops(surface.forbidden_globs),
                }
            ),
            "immutable_harness": harness.model_copy(update={"paths": tops(harness.paths)}),
            "execution": execution.model_copy(
                update={
                    "cwd": cwd,
                    "determinism": execution.determinism.model_copy(
                        update={"seed_derivation": seed}
                    ),
                }
            ),
            "provenance": provenance.model_copy(
                update={
                    "results_log": log.model_copy(update={"path": top(log.path)}),
                    "baseline_artifact_path": None if artifact is None else top(artifact),
                }
            ),
        }
    )
