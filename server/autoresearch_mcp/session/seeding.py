"""The seed of a trial's next run, as the protocol derives it."""

from autoresearch_mcp.core.paths import matches
from autoresearch_mcp.core.seeds import seed_of
from autoresearch_mcp.effects.repository import Repository
from autoresearch_mcp.session.recipe import Recipe


def next_seed(repository: Repository, recipe: Recipe, commit: str, repeat: int) -> int:
    """Return the seed of a run.

    Args:
        repository: Where the candidate is.
        recipe: Its rules.
        commit: The candidate's.
        repeat: How many runs this code has had.
    """
    rule = recipe.protocol.execution.determinism.seed_derivation
    if rule is None or rule.mode != "fiat_shamir":
        return seed_of(rule, repeat, {})
    paths = recipe.files
    if rule.source_paths:
        tracked = [entry.path for entry in repository.tree(commit)]
        paths = tuple(p for p in tracked if any(matches(g, p) for g in rule.source_paths))
    sources = {path: repository.read(commit, path) or b"" for path in paths}
    return seed_of(rule, repeat, sources)
