"""Names for sources: by their bytes, and by what they compute apart from the seed.

Two candidates that differ in comments, layout, docstrings or a seed are the same arm of the
comparison: their runs are repeats of one thing, not two ideas.
"""

import ast
import hashlib
import warnings
from collections.abc import Iterator
from typing import cast

from autoresearch_mcp.core.seedliterals import seed_literals

_WITH_DOCSTRING = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)
_MASK = "int:seed"


def fingerprint(source: str) -> str:
    """Return the SHA-256 of the source's UTF-8 bytes, in hex."""
    return hashlib.sha256(source.encode()).hexdigest()


def arm_fingerprint(source: str) -> str:
    """Return the SHA-256 of the code without comments, layout, docstrings and seed literals.

    Seed literals are the integers that a library's own seed function is given (seedliterals.py).
    A source that is not Python has its plain fingerprint.

    Example:
        >>> a, b = "import random; random.seed(42)", "import random; random.seed( 137 )  # luckier"
        >>> arm_fingerprint(a) == arm_fingerprint(b)
        True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
    except SyntaxError:
        return fingerprint(source)
    digest = hashlib.sha256()
    for token in _tokens(tree):
        digest.update(f"{len(token)}:{token}".encode("utf-8", "backslashreplace"))
    return digest.hexdigest()


def _tokens(tree: ast.AST) -> Iterator[str]:
    """Spell the tree in a fixed order, without recursion: legal code nests deeper than the stack.

    Empty fields are left out, so that fields which later versions of Python add change nothing.
    """
    seeds = seed_literals(tree)
    stack: list[object] = [tree]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Constant):
            yield _constant(node.value, id(node) in seeds)
        elif isinstance(node, ast.AST):
            yield f"({type(node).__name__}"
            stack.append(")")
            stack.extend(reversed(list(_fields(node))))
        elif isinstance(node, list):
            yield "["
            stack.append("]")
            stack.extend(reversed(cast("list[object]", node)))
        else:
            yield str(node)


def _fields(node: ast.AST) -> Iterator[object]:
    for name, value in ast.iter_fields(node):
        if value is None or value == []:
            continue
        yield f".{name}"
        if name == "body" and isinstance(node, _WITH_DOCSTRING) and ast.get_docstring(node, False):
            yield node.body[1:]
        else:
            yield value


def _constant(value: object, masked: bool) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        # Hex, since Python limits the length of decimal conversions.
        return _MASK if masked else f"int:{value:x}"
    return f"{type(value).__name__}:{value!r}"
