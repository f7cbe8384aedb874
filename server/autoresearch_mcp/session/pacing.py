"""The machine's pace beside every run, and what a slow machine makes of a run."""

from autoresearch_mcp.core.case import Rule
from autoresearch_mcp.core.pace import marked
from autoresearch_mcp.core.trial import Outcome, Pace
from autoresearch_mcp.effects import pace
from autoresearch_mcp.effects.ledger import Ledger
from autoresearch_mcp.session.bench import Bench

_GPUS = frozenset({"metal", "cuda"})
_LATEST_TRIALS = 20


class Pacer:
    """Measures the pace before and after the runs of a research run.

    Args:
        bench: Where they happen.
        ledger: What earlier runs say.
        research: The research run.
        rule: The evidence rule: `single` takes every run as it comes.
    """

    def __init__(self, bench: Bench, ledger: Ledger, research: str, rule: Rule) -> None:
        self._bench, self._ledger, self._research = bench, ledger, research
        self._wanted = rule.preset != "single"

    def now(self) -> float | None:
        """Return the seconds of the fixed work; None where it is not wanted or not possible."""
        if not self._wanted:
            return None
        interpreter = self._bench.interpreter
        if interpreter.device_kind in _GPUS:
            return pace.on_gpu(interpreter.path)
        return pace.on_cpu()

    def marked(self, outcome: Outcome, before: float | None, *, repeats: int) -> Outcome:
        """Return a run's outcome with the pace beside it, void where that was slow.

        Args:
            outcome: What the run came to.
            before: The pace before it.
            repeats: How often it may still be repeated.
        """
        after = self.now()
        if before is None or after is None:
            return outcome
        seen = Pace(before=before, after=after)
        return marked(outcome, seen, self._earlier(), repeats=repeats)

    def _earlier(self) -> list[float]:
        """Return the figures of the latest runs, oldest first."""
        trials = self._ledger.newest(self._research, _LATEST_TRIALS)
        runs = (run for trial in trials for run in trial.runs)
        paces = [run.outcome.pace for run in runs if run.outcome and run.outcome.pace]
        return [seconds for pace in paces for seconds in (pace.before, pace.after)]
