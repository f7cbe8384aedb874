"""The protocol's command, parsed here and never given to a shell.

`uv run X.py ARGS` and `python X.py ARGS` mean: the recipe environment's Python runs X.py. Any other
command is an argument vector. What only a shell could do is refused when the protocol is loaded,
since a trial that silently runs something else than was written is worse than none.
"""

import re
import shlex
from dataclasses import dataclass
from typing import Literal

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.paths import path_problem

_PYTHON = re.compile(r"python(3(\.[0-9]+)?)?")
_ASSIGNMENT = re.compile(r"[A-Za-z_][A-Za-z0-9_]*=")
_SHELLS = frozenset({"sh", "bash", "dash", "zsh", "ksh", "fish"})
_OPERATORS = {
    "|": "a pipe",
    "&": "'&'",
    ";": "';'",
    "<": "a redirection",
    ">": "a redirection",
    "(": "a subshell",
    ")": "a subshell",
    "\n": "a second line",
}
_EXPANSIONS = {"*": "a glob", "?": "a glob", "[": "a glob", "{": "a brace list"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """One command line, understood.

    Attributes:
        kind: `recipe_python` (the recipe environment's Python runs `script`) or `argv`.
        script: The script's path relative to the protocol's cwd; empty for `argv`.
        args: The script's arguments, or the whole argument vector for `argv`.
    """

    kind: Literal["recipe_python", "argv"]
    script: str = ""
    args: tuple[str, ...]


def parse_command(text: str) -> Command:
    """Parse the protocol's command line.

    `uv run TOOL ARGS` becomes the vector `TOOL ARGS`: the environment is already prepared.

    Raises:
        Fault: The line needs a shell, or flags that would change the environment; says which.

    Example:
        >>> parse_command("uv run train.py --depth 4")
        Command(kind='recipe_python', script='train.py', args=('--depth', '4'))
    """
    if reason := shell_syntax(text):
        raise _fault(text, f"{reason}; no shell runs it: put such steps into a script")
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise _fault(text, f"it cannot be split into words ({error})") from error
    if not words or not all(word.isprintable() for word in words) or not words[0]:
        raise _fault(text, "it is empty or has control characters")
    if _ASSIGNMENT.match(words[0]):
        raise _fault(text, "it sets an environment variable; the server makes the environment")
    if words[0].rpartition("/")[2] in _SHELLS and any(w.startswith("-") for w in words[1:2]):
        raise _fault(text, "it hands a line to a shell; put such steps into a script")
    if words[0] == "uv":
        return _uv(text, words[1:])
    return _program(text, words)


def _uv(text: str, words: list[str]) -> Command:
    if words[:1] != ["run"]:
        raise _fault(text, "of uv's commands only 'uv run' can be a trial")
    rest = words[2:] if words[1:2] == ["--"] else words[1:]
    if not rest:
        raise _fault(text, "'uv run' is given nothing to run")
    if rest[0].startswith("-"):
        raise _fault(
            text,
            f"'{rest[0]}' would change the environment for the trial alone; declare dependencies "
            "in pyproject.toml and write 'uv run X.py'",
        )
    if rest[0].endswith(".py"):
        return _recipe(text, rest)
    return _program(text, rest)


def _program(text: str, words: list[str]) -> Command:
    name = words[0].rpartition("/")[2]
    if not _PYTHON.fullmatch(name):
        return Command(kind="argv", args=tuple(words))
    if name != words[0]:
        raise _fault(text, "it names one Python; write 'python', the recipe environment's is used")
    # Runs are unbuffered anyway, and this flag is common by habit.
    rest = words[2:] if words[1:2] == ["-u"] else words[1:]
    if rest[:1] == ["-m"] and len(rest) > 1:
        return Command(kind="argv", args=("python", *rest))
    if not rest or not rest[0].endswith(".py") or rest[0].startswith("-"):
        raise _fault(text, "after 'python' comes a script (X.py) or '-m MODULE', no other flag")
    return _recipe(text, rest)


def _recipe(text: str, words: list[str]) -> Command:
    script = words[0].removeprefix("./")
    if problem := path_problem(script):
        raise _fault(text, f"the script's path {problem}")
    return Command(kind="recipe_python", script=script, args=tuple(words[1:]))


def shell_syntax(text: str) -> str | None:
    """Name the first thing in the line that only a shell could do; quotes are honoured."""
    quote = ""
    previous = " "
    skip = False
    for index, char in enumerate(text):
        if skip:
            skip = False
        elif char == "\\" and quote != "'":
            skip = True
        elif char in "'\"" and quote in ("", char):
            quote = "" if quote else char
        elif quote != "'" and (char == "`" or (char == "$" and text[index + 1 : index + 2] != " ")):
            return "it has a substitution (backtick or '$')"
        elif not quote and char in _OPERATORS:
            return f"it has {_OPERATORS[char]}"
        elif not quote and char in _EXPANSIONS:
            return f"it has {_EXPANSIONS[char]} ('{char}'; quote it if it is meant as it is)"
        elif not quote and char in "#~" and previous.isspace():
            return f"it has a word that begins with '{char}'"
        previous = char
    return None


def _fault(text: str, reason: str) -> Fault:
    return Fault(f"the command {text[:200]!r} is not supported: {reason}")
