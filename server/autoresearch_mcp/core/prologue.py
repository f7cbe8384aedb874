"""A few lines put at the beginning of a function of somebody's harness; every other byte stays.

What is evaluated is handed over to the server, and what gives the batches starts its clock. Both
do nothing in a process that no server started.
"""

import ast
import codecs
import platform
import posixpath
import re
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from textwrap import indent

from autoresearch_mcp.core.errors import Fault

RUN_FILE_VARIABLE = "AUTORESEARCH_RUN"
_MARK = "# by init"
_HANDOVER = "autoresearch_handover"
_BEGUN = "AUTORESEARCH_BEGUN"
_OWN = "_server_"
"""How the names begin that the lines bring into the function."""

_SETTINGS = f"""\
with open(_server_os.environ["{RUN_FILE_VARIABLE}"]) as _server_file:
    _server_given = _server_json.load(_server_file)
"""
# One statement, which gives the function no name unless there is a server; and no line so long that
# somebody's formatter would break it.
_EVALUATION = f"""\
if "{RUN_FILE_VARIABLE}" in __import__("os").environ:  {_MARK}
    import json as _server_json, os as _server_os, sys as _server_sys

{indent(_SETTINGS, "    ")}\
    _server_os.write(_server_given["handover_fd"], b"handover\\n")
    if _server_given["lent"]:
        _server_sys.path.append(_server_given["lent"])
        from {_HANDOVER} import hand_over as _server_hand_over

        return _server_hand_over(_server_given["handover_fd"], {{model}})
"""
_FIRST_BATCH = f"""\
if "{RUN_FILE_VARIABLE}" in __import__("os").environ:  {_MARK}
    import json as _server_json, os as _server_os

    if "{_BEGUN}" not in _server_os.environ:
        _server_os.environ["{_BEGUN}"] = "yes"
{indent(_SETTINGS, "        ")}\
        _server_os.write(_server_given["handover_fd"], b"batch\\n")
"""

# By their text, because a harness file may be no Python, or of a newer one than the server's; with
# any quotes and blanks, because somebody's formatter may have set the lines anew.
_INSERTED = re.compile(
    rf"""
    (["']){RUN_FILE_VARIABLE}\1 \s+ in \s+ __import__\(\s* (["'])os\2 \s*\) \s*\.\s* environ
    | {_OWN}os\s*\.\s*environ \s*(?:\[|\.\s*get\s*\()\s* (["']){RUN_FILE_VARIABLE}\3
    """.encode(),
    re.VERBOSE,
)

_Function = ast.FunctionDef | ast.AsyncFunctionDef
_KINDS = (ast.FunctionDef, ast.AsyncFunctionDef)


@dataclass(frozen=True, slots=True)
class Target:
    """A function of the harness.

    Args:
        path: Its file, relative to the repository.
        function: Its name.
        parameter: The one that is the model; None for the first.
    """

    path: str
    function: str
    parameter: str | None = None

    def __str__(self) -> str:
        """Return it as messages name it."""
        return f"{self.path}: {self.function}"

    @classmethod
    def parse(cls, text: str) -> "Target":
        """Read FILE:FUNCTION or FILE:FUNCTION:PARAMETER.

        Raises:
            ValueError: It is neither.

        Example:
            >>> Target.parse("eval/loss.py:evaluate")
            Target(path='eval/loss.py', function='evaluate', parameter=None)
        """
        path, *names = text.split(":")
        if not path or not 1 <= len(names) <= 2 or not all(name.isidentifier() for name in names):
            raise ValueError(text)
        return cls(posixpath.normpath(path), *names)


def needs_settings(source: bytes) -> bool:
    """Tell whether a harness file asks for the run's settings, beside what is inserted here."""
    return RUN_FILE_VARIABLE.encode() in _INSERTED.sub(b"", source)


def handing_over(source: bytes, target: Target) -> bytes:
    """Return a file whose function hands its model over; unchanged where it does so already.

    Raises:
        Fault: The function is not there, or not one that lines can be put into.
    """
    function = _find(source, target)
    if any(isinstance(node, ast.Yield | ast.YieldFrom) for node in _own_nodes(function)):
        raise Fault(f"{target} has a yield; name a function that returns the number")
    if any(map(_imports_handover, ast.walk(function))):
        return source
    return _with(source, target, _EVALUATION.format(model=_model(function, target)))


def telling_first_batch(source: bytes, target: Target) -> bytes:
    """Return a file whose function tells of its first call; unchanged where it does so already.

    Raises:
        Fault: As `handing_over`; a generator is welcome.
    """
    nodes = _own_nodes(_find(source, target))
    if any(isinstance(node, ast.Constant) and node.value == _BEGUN for node in nodes):
        return source
    return _with(source, target, _FIRST_BATCH)


def _parsed(source: bytes, path: str) -> ast.Module:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(source)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            version = platform.python_version()
            raise Fault(f"the server's Python {version} cannot parse {path}: {error}") from error


def _find(source: bytes, target: Target) -> ast.FunctionDef:
    """Return the one function of that name at the file's top."""
    tree = _parsed(source, target.path)
    named = _functions(tree, target.function)
    top = [node for node in named if node in tree.body]
    if not named:
        raise Fault(f"{target.path} has no function {target.function}")
    if not top:
        raise Fault(f"{target} is a method or an inner function; name one at the file's top")
    if len(top) > 1:
        raise Fault(f"{target} is defined {len(top)} times; leave one")
    if not isinstance(top[0], ast.FunctionDef):
        raise Fault(f"{target} is async; name a plain function")
    return top[0]


def _own_nodes(function: ast.FunctionDef) -> Iterator[ast.AST]:
    """Yield the nodes of a function's body, nothing of functions and classes in it."""
    waiting: list[ast.AST] = list(function.body)
    while waiting:
        node = waiting.pop()
        yield node
        if not isinstance(node, (*_KINDS, ast.Lambda, ast.ClassDef)):
            waiting += ast.iter_child_nodes(node)


def _imports_handover(node: ast.AST) -> bool:
    """Tell whether it is an import of the module that hands models over, in either form."""
    if isinstance(node, ast.ImportFrom):
        return node.module == _HANDOVER
    return isinstance(node, ast.Import) and any(one.name == _HANDOVER for one in node.names)


def _model(function: ast.FunctionDef, target: Target) -> str:
    """Return the parameter that is the model."""
    given = function.args
    names = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
    if not names:
        raise Fault(f"{target} takes no model: it has no parameter with a name")
    if target.parameter not in (None, *names):
        raise Fault(f"{target} has no parameter {target.parameter}, but {', '.join(names)}")
    return target.parameter or names[0]


def _with(source: bytes, target: Target, lines: str) -> bytes:
    """Return a file with lines at the beginning of a function, behind its docstring."""
    function = _find(source, target)
    if taken := re.search(rf"'({_OWN}\w+)'", ast.dump(function)):
        raise Fault(f"{target} uses the name {taken[1]}, which this would take: rename it")
    before = ast.dump(_parsed(source, target.path))
    mark = codecs.BOM_UTF8 if source.startswith(codecs.BOM_UTF8) else b""  # no column counts it
    rest = source.removeprefix(mark)
    wrapped = mark + _insert(rest, function, lines.encode().splitlines())
    start = int(ast.get_docstring(function) is not None)
    try:
        tree = _parsed(wrapped, target.path)
        del _functions(tree, target.function)[0].body[start]
    except (Fault, IndexError):
        tree = None
    if tree is None or ast.dump(tree) != before:
        raise Fault(
            f"{target} is written in a way that no lines can be put into: put its body on lines "
            "of its own"
        )
    return wrapped


def _functions(tree: ast.Module, name: str) -> list[_Function]:
    nodes = (node for node in ast.walk(tree) if isinstance(node, _KINDS))
    return [node for node in nodes if node.name == name]


def _insert(source: bytes, function: ast.FunctionDef, lines: list[bytes]) -> bytes:
    """Put lines before the first statement that is no docstring, or behind a lonely docstring."""
    rows, body = source.splitlines(keepends=True), function.body
    documented = ast.get_docstring(function) is not None
    row = rows[function.lineno - 1]
    end = row[len(row.rstrip(b"\r\n")) :] or b"\n"
    margin = _before(rows, body[0])
    shares_line = bool(margin.strip())
    indent = b"    " if shares_line else margin
    block = end.join(indent + line if line else b"" for line in lines)
    if documented and len(body) == 1:
        pieces = [
            (_offset(rows, body[0].end_lineno or 0, body[0].end_col_offset or 0), end + block)
        ]
    else:
        first = body[int(documented)]
        alone = not _before(rows, first).strip()
        text = block.removeprefix(indent) if alone else end + block
        pieces = [(_offset(rows, _line(first), first.col_offset), text + end + indent)]
    if documented and shares_line:
        pieces.append((_offset(rows, body[0].lineno, body[0].col_offset), end + indent))
    for at, text in pieces:  # from the back
        source = source[:at] + text + source[at:]
    return source


def _line(node: ast.stmt) -> int:
    """Return the line that a statement begins in, its decorators with it."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(one.lineno for one in decorators)])


def _before(rows: list[bytes], node: ast.stmt) -> bytes:
    return rows[_line(node) - 1][: node.col_offset]


def _offset(rows: list[bytes], line: int, column: int) -> int:
    return sum(map(len, rows[: line - 1])) + column
