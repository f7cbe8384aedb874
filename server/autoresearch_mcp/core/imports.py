"""`environment.constraints.noNewDependencies`: what a source imports, and what is declared."""

import ast
import contextlib
import re
import tomllib
import warnings
from collections.abc import Iterable, Iterator
from typing import cast

DEPENDENCY_FILES = re.compile(
    r"(?:.*/)?(?:pyproject\.toml|setup\.(?:py|cfg)|uv\.lock|poetry\.lock|Pipfile(?:\.lock)?"
    r"|[\w.-]*requirements[\w.-]*\.txt|environment\.ya?ml|package(?:-lock)?\.json|Cargo\.(?:toml|lock))"
)
"""Files that say what a recipe depends on."""

_REQUIREMENT = re.compile(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)")
_FUNCTIONS = frozenset({"__import__", "import_module"})


def imported(source: str) -> dict[str, int]:
    r"""Return the top-level modules that a source imports, each with the first line that does.

    Calls of `__import__` and `import_module` with a literal name count as well.

    Example:
        >>> imported("import os.path\nfrom . import own\nfrom scipy import stats")
        {'os': 1, 'scipy': 3}
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.parse(source)
    found: dict[str, int] = {}
    for name, line in sorted(_imports(tree), key=lambda pair: pair[1]):
        found.setdefault(name.partition(".")[0], line)
    return found


def _imports(tree: ast.AST) -> Iterator[tuple[str, int]]:
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names):
                yield from ((alias.name, node.lineno) for alias in names)
            case ast.ImportFrom(module=str(module), level=0):
                yield module, node.lineno
            case ast.Call(
                func=ast.Name(id=function) | ast.Attribute(attr=function),
                args=[ast.Constant(value=str(name)), *_],
            ) if function in _FUNCTIONS and not name.startswith("."):
                yield name, node.lineno
            case _:
                pass


def declared(pyproject: str, requirements: Iterable[str]) -> frozenset[str]:
    """Return the distributions that a project declares, their names in normal form.

    Args:
        pyproject: pyproject.toml's text; empty where there is none. One that is not TOML
            declares nothing.
        requirements: Texts of requirements files.
    """
    lines = [line for text in requirements for line in text.splitlines()]
    with contextlib.suppress(tomllib.TOMLDecodeError):
        lines += _of_pyproject(tomllib.loads(pyproject))
    found = (_REQUIREMENT.match(line) for line in lines)
    return frozenset(normal(match.group(1)) for match in found if match)


def normal(name: str) -> str:
    """Return a distribution's name in the form in which two spellings are equal (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def _of_pyproject(document: dict[str, object]) -> Iterator[str]:
    project = _table(document.get("project"))
    lists = [
        project.get("dependencies"),
        *_table(project.get("optional-dependencies")).values(),
        *_table(document.get("dependency-groups")).values(),
    ]
    for items in lists:
        if isinstance(items, list):
            yield from (item for item in cast("list[object]", items) if isinstance(item, str))


def _table(value: object) -> dict[str, object]:
    return cast("dict[str, object]", value) if isinstance(value, dict) else {}
