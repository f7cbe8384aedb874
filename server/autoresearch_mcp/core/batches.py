"""The next smaller batch that a recipe accepts, read from its own source.

A recipe that accumulates gradients needs its total batch to be a whole number of device batches.
A smaller size that breaks this costs a trial, so the advice must be legal.
"""

import ast
import operator
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

_IN_ROWS = ("DEVICE_BATCH_SIZE", "MICRO_BATCH_SIZE", "BATCH_SIZE")
_IN_TOKENS = "DEVICE_TOKENS"
_TOTALS = ("TOTAL_BATCH_SIZE", "BATCH_TOKENS")
_CONTEXT = ("MAX_SEQ_LEN", "SEQUENCE_LEN", "SEQ_LEN", "CONTEXT_LEN", "BLOCK_SIZE")
_MOST = 1 << 40
_LARGEST_BASE, _LARGEST_EXPONENT = 16, 30
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


@dataclass(frozen=True, slots=True)
class Batch:
    """A constant of the source, what it is, and the next smaller value that is legal."""

    name: str
    now: int
    next: int


def next_batch(
    sources: Iterable[str], context: int | None = None, device: str = ""
) -> Batch | None:
    r"""Return the next smaller device batch; None where none is named, or it is one row.

    Of rows a divisor of the present number always fits. Where the total batch (tokens) and the
    context are known, the largest smaller number that divides the total is returned.

    Args:
        sources: Python sources, the candidate's first.
        context: Tokens per row, where the harness sets it.
        device: Which entry of a table of constants by device counts: cpu, metal or cuda.

    Example:
        >>> next_batch(["TOTAL_BATCH_SIZE = 12 * 256\nDEVICE_BATCH_SIZE = 4\n"], 256)
        Batch(name='DEVICE_BATCH_SIZE', now=4, next=3)
    """
    known: dict[str, int] = {}
    for source in sources:
        known = _constants(source, device) | known
    tokens = context or next((known[n] for n in _CONTEXT if known.get(n, 0) > 0), None)
    total = next((known[n] for n in _TOTALS if known.get(n, 0) > 0), None)
    if name := next((n for n in _IN_ROWS if n in known), None):
        unit, now = 1, known[name]
    elif _IN_TOKENS in known and tokens:
        name, unit, now = _IN_TOKENS, tokens, known[_IN_TOKENS] // tokens
    else:
        return None
    whole = total // tokens if total and tokens and total % tokens == 0 else now
    smaller = next((rows for rows in range(now - 1, 0, -1) if whole % rows == 0), None)
    return None if smaller is None else Batch(name, known[name], smaller * unit)


def _constants(source: str, device: str) -> dict[str, int]:
    """Return the whole numbers that a module's top level gives names to; the last one counts."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            body = ast.parse(source).body
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return {}
    found: dict[str, int] = {}
    for node in body:
        for name, value in _assigned(node, device):
            number = _number(value, found)
            if number is not None:
                found[name] = number
    return found


def _assigned(node: ast.stmt, device: str) -> Iterator[tuple[str, ast.expr]]:
    """Yield name and value of `A = 1`, `A: int = 1` and `A, B = {"cpu": (1, 2), ...}[DEVICE]`."""
    match node:
        case ast.Assign(targets=[ast.Name(id=name)], value=value):
            yield name, value
        case ast.AnnAssign(target=ast.Name(id=name), value=ast.expr() as value):
            yield name, value
        case ast.Assign(
            targets=[ast.Tuple(elts=names)], value=ast.Subscript(value=ast.Dict() as table)
        ):
            for key, row in zip(table.keys, table.values, strict=True):
                match key, row:
                    case ast.Constant(value=str(entry)), ast.Tuple(elts=values) if entry == device:
                        for target, value in zip(names, values, strict=False):
                            if isinstance(target, ast.Name):
                                yield target.id, value
                    case _:
                        pass
        case _:
            pass


def _number(node: ast.expr, known: dict[str, int], depth: int = 8) -> int | None:
    """Work out an expression of whole numbers, as in `2**15` or `16 * ROWS`; None for any other."""
    match node:
        case ast.Constant(value=int(value)) if not isinstance(value, bool):
            result = value
        case ast.Name(id=name):
            return known.get(name)
        case ast.BinOp(left=left, op=sign, right=right) if depth:
            one, two = _number(left, known, depth - 1), _number(right, known, depth - 1)
            if one is None or two is None:
                return None
            result = _worked_out(one, sign, two)
        case _:
            return None
    return result if 0 <= result < _MOST else None


def _worked_out(one: int, sign: ast.operator, two: int) -> int:
    if isinstance(sign, ast.Pow) and one <= _LARGEST_BASE and two <= _LARGEST_EXPONENT:
        return int(one**two)
    if isinstance(sign, ast.FloorDiv) and two:
        return one // two
    return _OPERATORS[type(sign)](one, two) if type(sign) in _OPERATORS else -1
