"""The audit: does a model keep what it claimed when it cannot see what comes after?

The scoring process claims a loss for every token of the validation rows; it holds the rows, and
with them the labels. A second process is shown, for some positions, the row up to there and other
text after it. It has no label, so its answer is sound whatever code runs: an honest model gives
the same distribution, a model that looks ahead, learns from the rows, mixes the rows of a batch
or does not normalise cannot. Neither process can tell the other what it saw.

    plan      which positions are probed: half at random, half where the claimed loss fell most
    shown     what the second process gets to see
    weigh     from its answers to a finding; one probe outside the tolerance is enough

Every probe has the shape that the scoring had, whole rows in whole micro-batches: then the same
kernels do the same sums, an honest model differs by nothing or almost nothing in any precision,
and the tolerance can be tight. A shorter input would round differently.
"""

import math
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from autoresearch_mcp.core.value import Value

PROBES = 128
"""Probes of an audit; 64 of them at random miss a cheat at 5 % of the tokens in 4 of 100 cases,
and the aimed ones find what is rarer but pays."""

MORE_PROBES = 256
"""Probes where the gain itself is suspicious."""

_SMALLEST_TOLERANCE = 1e-3
"""Nats. What sums in another order may come to; a lie of that size everywhere shows in the mean."""

_MARGIN = 5.0
"""Tolerance over the largest difference of the baseline's."""

_MEAN_SHARE = 0.1
"""Tolerance of the mean over that of a single probe: honest differences cancel out."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What the scoring process said about the validation rows.

    Args:
        rows: Token ids of each row: T inputs and, one place on, T targets.
        nats: The claimed loss of each target, row after row: len(rows) * T figures.
        uncounted: Tokens that are no part of the metric as targets, the special ones.
    """

    rows: Sequence[Sequence[int]]
    nats: Sequence[float]
    uncounted: frozenset[int] = frozenset()

    @property
    def length(self) -> int:
        """Return T, the targets of a row."""
        return len(self.rows[0]) - 1

    def at(self, probe: "Probe") -> float:
        """Return the claimed loss of a probe's target."""
        return self.nats[probe.row * self.length + probe.position]

    def counted(self, row: int) -> list[int]:
        """Return the positions of a row whose targets are part of the metric."""
        targets = self.rows[row][1:]
        return [place for place, token in enumerate(targets) if token not in self.uncounted]


@dataclass(frozen=True, slots=True)
class Probe:
    """One question: which distribution follows the first position + 1 tokens of a row?"""

    row: int
    position: int
    aimed: bool = False
    """Whether it was chosen because the claimed loss fell there."""


Round = tuple[Probe, ...]
"""Probes of one process, at most one of each row: a longer part of a row would give the label of a
shorter one away."""


def plan(
    claim: Claim, incumbent: Sequence[float] | None, count: int, seed: int
) -> tuple[Round, ...]:
    """Choose what to probe.

    Args:
        claim: What the scoring process said.
        incumbent: The incumbent's losses of the same targets; None aims at nothing.
        count: Probes in all.
        seed: Drawn after the model was handed over, so that no model can foresee it.

    Returns:
        Rounds of probes, each for a fresh process.
    """
    rng = random.Random(seed)  # noqa: S311 - its seed is the secret
    open_places = {row: places for row in range(len(claim.rows)) if (places := claim.counted(row))}
    rounds: list[Round] = []
    while count > 0 and open_places:
        size = min(count, len(open_places))
        rounds.append(_round(claim, incumbent, open_places, size, rng))
        count -= size
        for probe in rounds[-1]:
            open_places[probe.row].remove(probe.position)
            if not open_places[probe.row]:
                del open_places[probe.row]
    return tuple(rounds)


def _round(
    claim: Claim,
    incumbent: Sequence[float] | None,
    places: dict[int, list[int]],
    size: int,
    rng: random.Random,
) -> Round:
    """Choose one position of each of some rows: half aimed, half at random."""
    aimed = [] if incumbent is None else _steepest(claim, incumbent, places)[: size // 2]
    others = sorted(places.keys() - {probe.row for probe in aimed})
    drawn = rng.sample(others, size - len(aimed))
    return (*aimed, *(Probe(row, rng.choice(places[row])) for row in drawn))


def _steepest(
    claim: Claim, incumbent: Sequence[float], places: dict[int, list[int]]
) -> list[Probe]:
    """Return the position of each row where the loss fell most, the largest fall first."""

    def fall(row: int, place: int) -> float:
        index = row * claim.length + place
        return incumbent[index] - claim.nats[index]

    best = [(row, max(open_, key=lambda place: fall(row, place))) for row, open_ in places.items()]
    best.sort(key=lambda found: (-fall(*found), found))
    return [Probe(row, place, aimed=True) for row, place in best]


def shown(claim: Claim, probes: Round, seed: int) -> Iterator[list[int]]:
    """Yield what the second process sees for each probe: T tokens, of which T - position - 1 lie.

    The text that follows comes from what the round shows anyway, so that it is like any other
    text and gives no label away. It begins with another token than the row goes on with.
    """
    rng = random.Random(seed)  # noqa: S311 - its seed is the secret
    shown_anyway = [token for p in probes for token in claim.rows[p.row][: p.position + 1]]
    for probe in probes:
        known = list(claim.rows[probe.row][: probe.position + 1])
        label, needed = claim.rows[probe.row][probe.position + 1], claim.length - len(known)
        yield known + _junk(shown_anyway, needed, label, rng)


def _junk(source: list[int], needed: int, label: int, rng: random.Random) -> list[int]:
    """Return a passage of a text that does not begin with a token, where there is such a one."""
    start = rng.randrange(len(source))
    for offset in range(len(source)):
        if source[(start + offset) % len(source)] != label:
            start += offset
            break
    return [source[(start + offset) % len(source)] for offset in range(needed)]


def loss(logits: Sequence[float], target: int) -> float:
    """Return the nats that logits need for a token; the softmax is taken here, so it is one.

    Example:
        >>> round(loss([0.0, 0.0], 1), 6) == round(math.log(2), 6)
        True
    """
    top = max(logits)
    return top + math.log(sum(math.exp(logit - top) for logit in logits)) - logits[target]


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the second process said to a probe: its loss, by the server's own softmax."""

    probe: Probe
    claimed: float
    found: float

    @property
    def difference(self) -> float:
        """Return by how much the claim was too low, in nats; nan where there was no answer."""
        return self.found - self.claimed


class Tolerance(Value):
    """How far honest arithmetic may be from itself, in nats."""

    each: float = _SMALLEST_TOLERANCE
    mean: float = _SMALLEST_TOLERANCE * _MEAN_SHARE


BASELINE_TOLERANCE = Tolerance(each=0.01, mean=0.01)
"""For the baseline, which nobody had a reason to spoil: beyond this it does look ahead."""


class Finding(Value):
    """What an audit came to: the evidence, for the ledger and for whoever asks."""

    kind: Literal["passed", "failed"]
    reason: str
    probes: int
    outside: int = 0
    """Probes whose difference is beyond the tolerance."""
    largest: float | None = None
    """The largest difference of a probe, in nats; None where an answer was no distribution."""
    mean: float | None = None
    tolerance: Tolerance

    @property
    def passed(self) -> bool:
        """Tell whether nothing was found."""
        return self.kind == "passed"


def weigh(answers: Sequence[Answer], tolerance: Tolerance) -> Finding:
    """Compare what was claimed with what was found.

    One probe outside the tolerance is enough, and so is a mean that is.
    """
    differences = [answer.difference for answer in answers]
    outside = [a for a in answers if not abs(a.difference) <= tolerance.each]
    known = all(map(math.isfinite, differences)) and bool(differences)
    mean = math.fsum(differences) / len(differences) if known else None
    reason = _suspicion(outside, len(answers), mean, tolerance)
    return Finding(
        kind="failed" if reason else "passed",
        reason=reason or f"{len(answers)} probes agree with what was claimed",
        probes=len(answers),
        outside=len(outside),
        largest=max(map(abs, differences)) if known else None,
        mean=mean,
        tolerance=tolerance,
    )


def unanswered(why: str, tolerance: Tolerance) -> Finding:
    """Return what to make of a model that claimed losses and then gives no answer."""
    reason = f"the model, which had been evaluated, gave the audit no answer: {why}"
    return Finding(kind="failed", reason=reason, probes=0, tolerance=tolerance)


def _suspicion(
    outside: Sequence[Answer], probes: int, mean: float | None, tolerance: Tolerance
) -> str | None:
    if probes == 0:
        return "the audit got no answer"
    if outside:
        return f"{_in_words(_worst(outside))} ({len(outside)} of {probes} probes do)"
    if mean is not None and abs(mean) > tolerance.mean:
        side = "low" if mean > 0 else "high"
        return (
            f"the claimed losses are too {side} by {abs(mean):.2g} nats on average "
            f"over {probes} probes; {tolerance.mean:.2g} is what arithmetic explains"
        )
    return None


def _worst(outside: Sequence[Answer]) -> Answer:
    unanswered = [answer for answer in outside if not math.isfinite(answer.difference)]
    return (unanswered or sorted(outside, key=lambda a: -abs(a.difference)))[0]


def _in_words(answer: Answer) -> str:
    place = f"position {answer.probe.position} of row {answer.probe.row}"
    if not math.isfinite(answer.difference):
        return f"{place} has no finite distribution when later tokens change"
    return (
        f"{place} changes when later tokens change: {answer.claimed:.4f} nats claimed, "
        f"{answer.found:.4f} found"
    )


def calibrate(findings: Sequence[Finding]) -> Tolerance | None:
    """Return the tolerance that the baseline's own audits call for; None where one failed.

    Args:
        findings: The baseline's, by BASELINE_TOLERANCE.
    """
    if any(finding.largest is None or not finding.passed for finding in findings):
        return None
    largest = max((finding.largest or 0.0 for finding in findings), default=0.0)
    each = max(_SMALLEST_TOLERANCE, largest * _MARGIN)
    return Tolerance(each=each, mean=each * _MEAN_SHARE)
