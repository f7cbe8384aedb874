"""Which numbers of a source are seeds: those that a library's own seed functions are given.

What is no seed must never be taken for one, or two ideas would be measured as one. So a function
counts by what was imported, not by its name, and only while nothing in the file gives that name,
or a part of it, another meaning. A seed that is not recognised does no harm: the trial's seed is
mixed into it all the same, where random, numpy or mlx is asked (effects/launcher.py). A generator's
state or key that is set directly is out of reach: what such luck is worth shows on the holdout.
"""

import ast
from collections.abc import Iterator

_BIT_GENERATORS = ("PCG64", "PCG64DXSM", "MT19937", "Philox", "SFC64")
_FUNCTIONS = frozenset(
    {
        *("random.seed", "random.Random", "mlx.core.random.seed", "mlx.core.random.key"),
        *("numpy.random.seed", "numpy.random.default_rng", "numpy.random.RandomState"),
        *("numpy.random.SeedSequence", *(f"numpy.random.{one}" for one in _BIT_GENERATORS)),
        *("torch.manual_seed", "torch.random.manual_seed"),
        *("torch.cuda.manual_seed", "torch.cuda.manual_seed_all"),
        *("jax.random.PRNGKey", "jax.random.key"),
    }
)
_KEYWORDS = frozenset({"seed", "a", "x", "entropy", "key"})
_LITERAL = (
    *(ast.Constant, ast.UnaryOp, ast.BinOp, ast.List, ast.Tuple),
    *(ast.operator, ast.unaryop, ast.expr_context),
)
"""What a literal is made of; nothing among it can give the number to anything else."""


def seed_literals(tree: ast.AST) -> frozenset[int]:
    """Return the ids of the nodes that are seeds, or parts of one."""
    nodes = list(ast.walk(tree))
    imported, defined = _imported(nodes), frozenset(_defined(nodes))
    return frozenset(
        id(part)
        for node in nodes
        if isinstance(node, ast.Call) and _takes_a_seed(node.func, imported, defined)
        for argument in _seeds(node)
        for part in ast.walk(argument)
    )


def _imported(nodes: list[ast.AST]) -> dict[str, set[str]]:
    """Return what each name may stand for by the file's imports, in full."""
    found: dict[str, set[str]] = {}
    for node in nodes:
        if isinstance(node, ast.Import):
            for one in node.names:
                name = one.asname or one.name.partition(".")[0]
                found.setdefault(name, set()).add(one.name if one.asname else name)
        elif isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            for one in node.names:
                found.setdefault(one.asname or one.name, set()).add(f"{module}.{one.name}")
    return found


def _defined(nodes: list[ast.AST]) -> Iterator[str]:
    """Yield every name, of a variable or an attribute, that the file gives a meaning of its own."""
    for node in nodes:
        match node:
            case ast.Name(id=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.Attribute(attr=name, ctx=ast.Store() | ast.Del()):
                yield name
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.arg(arg=name):
                yield name
            case (
                ast.ExceptHandler(name=str(name))
                | ast.MatchAs(name=str(name))
                | ast.MatchStar(name=str(name))
                | ast.MatchMapping(rest=str(name))
            ):
                yield name
            case _:
                pass


def _takes_a_seed(
    function: ast.expr, imported: dict[str, set[str]], defined: frozenset[str]
) -> bool:
    parts: list[str] = []
    while isinstance(function, ast.Attribute):
        parts.insert(0, function.attr)
        function = function.value
    # What a star brings, nobody sees here.
    if not isinstance(function, ast.Name) or "*" in imported:
        return False
    if not defined.isdisjoint({function.id, *parts}):
        return False
    stands_for = imported.get(function.id, set())
    return bool(stands_for) and all(".".join([one, *parts]) in _FUNCTIONS for one in stands_for)


def _seeds(call: ast.Call) -> Iterator[ast.expr]:
    """Yield the arguments that are a seed, written as a literal."""
    named = [one.value for one in call.keywords if one.arg in _KEYWORDS]
    for argument in (*call.args[:1], *named):
        if all(isinstance(part, _LITERAL) for part in ast.walk(argument)):
            yield argument
