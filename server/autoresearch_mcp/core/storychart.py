"""The chart of a research run as SVG: every trial's value, and the line of what was kept."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

_WIDTH, _HEIGHT = 760, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 20, 20, 30
_COLOURS = {"keep": "#1b8e4b", "crash": "#c83c32"}
_OTHER = "#999999"


@dataclass(frozen=True, slots=True)
class Dot:
    """One trial: its value, None for a crash, and the results log's word for it."""

    value: float | None
    status: str


def svg(dots: Sequence[Dot], *, maximize: bool) -> str:
    """Draw the trials from left to right, the better ones higher up.

    Far outliers are drawn at the edge: one bad edit must not flatten the rest.

    Args:
        dots: The trials, oldest first.
        maximize: Whether a larger value is the better one.
    """
    values = [dot.value for dot in dots if dot.value is not None]
    if not values:
        return "<p>No trial has a value yet.</p>"
    best, usual = (max if maximize else min)(values), sorted(values)[len(values) // 2]
    # As far below the middle as the best is above it, and twice that.
    worst = usual - 2 * (best - usual) if best != usual else (min if maximize else max)(values)
    return "\n".join(_drawn(dots, best, worst))


def _drawn(dots: Sequence[Dot], best: float, worst: float) -> Iterator[str]:
    span = (best - worst) or 1.0
    inner = _HEIGHT - _TOP - _BOTTOM

    def x(number: int) -> float:
        return _LEFT + (number + 0.5) * (_WIDTH - _LEFT - _RIGHT) / len(dots)

    def y(value: float) -> float:
        return _TOP + inner * min(1.0, max(0.0, (best - value) / span))

    yield f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="Trials by value">'
    for share in (0.0, 0.5, 1.0):
        height, value = _TOP + share * inner, best - share * span
        yield f'<path d="M{_LEFT} {height:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd"/>'
        yield (
            f'<text x="{_LEFT - 8}" y="{height + 4:.1f}" text-anchor="end" font-size="12">'
            f"{value:.4g}</text>"
        )
    kept = [(x(n), y(d.value)) for n, d in enumerate(dots) if d.status == "keep" and d.value]
    line = "".join(f"H{a:.1f}V{b:.1f}" for a, b in kept[1:])
    if kept:
        start = f"M{kept[0][0]:.1f} {kept[0][1]:.1f}"
        end = f"{start}{line}H{_WIDTH - _RIGHT}"
        yield f'<path d="{end}" fill="none" stroke="{_COLOURS["keep"]}" stroke-width="2"/>'
    for number, dot in enumerate(dots):
        height = _HEIGHT - _BOTTOM + 12 if dot.value is None else y(dot.value)
        colour = _COLOURS.get(dot.status, _OTHER)
        value = "" if dot.value is None else f" {dot.value:.6f}"
        yield (
            f'<circle cx="{x(number):.1f}" cy="{height:.1f}" r="4" fill="{colour}">'
            f"<title>{number + 1}: {dot.status}{value}</title></circle>"
        )
    yield "</svg>"
