"""The court's decision, in words and in the figures that it rests on."""

from enum import StrEnum

from autoresearch_mcp.core.case import Preset
from autoresearch_mcp.core.value import Value


class VerdictStatus(StrEnum):
    """What the court decided."""

    KEEP = "keep"
    DISCARD = "discard"
    INCONCLUSIVE = "inconclusive"


class Evidence(Value):
    """The figures that a verdict rests on: core/case.py says what each is."""

    preset: Preset
    odds: float | None = None
    noise: float | None = None
    noise_df: float = 0.0
    runs: int = 0
    incumbent_runs: int = 0
    simpler: bool = False
    pull: float = 0.0


class Verdict(Value):
    """The decision on a trial, in plain words and in figures."""

    status: VerdictStatus
    reason: str
    gain: float | None = None
    """Improvement over the incumbent in metric units; positive is better in both directions."""
    evidence: Evidence | None = None
    """None where no runs were weighed."""
    operator: str | None = None
    """Why the operator decided otherwise than the rule; None where the rule decided."""
