"""What the protocol has an agent try after a crash: `safety.oomPolicy` and `safety.crashStatus`."""

from autoresearch_mcp.core.batches import next_batch
from autoresearch_mcp.core.crash import MEMORY_WORDS, memory_kind
from autoresearch_mcp.core.trial import OutcomeKind, TrialRecord
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.recipe import Recipe, recipe_of
from autoresearch_mcp.session.rooms import Rooms

_AFTER_CRASH = {
    "crash": "",
    "discard": " This protocol discards what crashes: go on to another idea.",
    "retry": " It was tried again, as this protocol asks, and crashed again.",
}


def hint(rooms: Rooms, trial: TrialRecord) -> str | None:
    """Return what to try after a trial that crashed; None where its outcome says enough."""
    outcome = trial.outcome
    if outcome is None or outcome.kind is not OutcomeKind.CRASH:
        return None
    recipe = recipe_of(rooms, trial.research)
    safety = recipe.protocol.safety
    memory = memory_kind(outcome.error_class, outcome.reason, outcome.exit_code)
    if memory is None:
        return f"{outcome.hint or ''}{_AFTER_CRASH[safety.crash_status]}".strip() or None
    told = MEMORY_WORDS[memory]
    if safety.oom_policy == "fail":
        return f"{told}. This protocol lets that fail: drop the idea."
    smaller = _smaller_batch(rooms, recipe, trial)
    if safety.oom_policy == "reduce_batch" and smaller:
        return f"{told}. {smaller} Then run the trial again."
    return f"{told}. {outcome.hint or ''}".strip()


def _smaller_batch(rooms: Rooms, recipe: Recipe, trial: TrialRecord) -> str | None:
    paths = [path for path in (*recipe.files, *recipe.harness) if path.endswith(".py")]
    contents = [rooms.repository.read(trial.candidate, path) or b"" for path in paths]
    bench = Bench(rooms, recipe)
    context = bench.data.manifest.profile.max_seq_len if bench.data else None
    texts = [content.decode(errors="replace") for content in contents]
    batch = next_batch(texts, context, bench.interpreter.device_kind)
    if batch is None:
        return None
    return (
        f"Set {batch.name} = {batch.next} (now {batch.now}): the next smaller size that divides "
        "the total batch."
    )
