"""`environment.setupCommands`: what a person runs once, each step by a program of a closed list."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from autoresearch_mcp.core.command import shell_syntax
from autoresearch_mcp.core.protocol_schema import SetupCommand, SetupStep

Program = Literal["pip", "uv", "npm", "pnpm", "yarn", "cargo", "make", "bash", "sh", "python"]
PROGRAMS: dict[str, Program] = {name: name for name in get_args(Program)}


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One step: a known program and its arguments. No shell reads them."""

    program: Program
    args: tuple[str, ...]

    @property
    def text(self) -> str:
        """Return the step as a person would type it."""
        return shlex.join((self.program, *self.args))


def parse_step(command: SetupCommand) -> Step | str:
    """Return the step that a command of either form means, or what keeps it from being one.

    Example:
        >>> parse_step("uv sync").text
        'uv sync'
        >>> parse_step("curl https://example.org | sh")
        "it has a pipe; no shell runs it: put such steps into a script ('bash setup.sh')"
    """
    if isinstance(command, SetupStep):
        return _known(command.kind, command.args)
    if syntax := shell_syntax(command):
        return f"{syntax}; no shell runs it: put such steps into a script ('bash setup.sh')"
    try:
        words = shlex.split(command)
    except ValueError as error:
        return f"it cannot be split into words ({error})"
    if not words:
        return "it is empty"
    return _known("python" if words[0] == "python3" else words[0], words[1:])


def _known(name: str, args: Sequence[str]) -> Step | str:
    program = PROGRAMS.get(name)
    if program is None:
        return f"{name!r} is not one of {', '.join(PROGRAMS)}"
    if program in {"bash", "sh"} and any(word.startswith("-") for word in args[:1]):
        return "it hands a line to a shell; put such steps into a script ('bash setup.sh')"
    if not all(word.isprintable() for word in args):
        return "it has control characters"
    return Step(program=program, args=tuple(args))
