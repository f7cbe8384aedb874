"""`autoresearch-mcp tools`: what an agent can call."""

import argparse
import json
from collections.abc import Iterator
from dataclasses import dataclass

from autoresearch_mcp.cli.options import Commands, add_json, rooms_of


def register(commands: Commands, common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "tools",
        parents=[common],
        help="list the tools that an agent gets",
        description="List the tools that the server offers an agent, with their arguments.",
    )
    parser.add_argument(
        "--markdown", action="store_true", help="print the table that the README has"
    )
    add_json(parser)
    parser.set_defaults(command=_tools)


def _tools(options: argparse.Namespace) -> int:
    # Loading the SDK takes most of a second: commands that need no MCP do without it.
    import anyio  # noqa: PLC0415

    from autoresearch_mcp.tools import build_server  # noqa: PLC0415

    tools = anyio.run(build_server(rooms_of(options)).list_tools)
    rows = [
        _Row(tool.name, list(tool.input_schema.get("properties", {})), tool.description or "")
        for tool in tools
    ]
    if options.json:
        print(json.dumps({"tools": [row.as_dict() for row in rows]}, indent=2))
    else:
        print("\n".join(_markdown(rows) if options.markdown else _plain(rows)))
    return 0


@dataclass(frozen=True, slots=True)
class _Row:
    """One tool."""

    name: str
    arguments: list[str]
    description: str

    @property
    def about(self) -> str:
        """Return the description's first sentence."""
        paragraph = " ".join(self.description.partition("\n\n")[0].split())
        return paragraph.partition(". ")[0].rstrip(".") + "."

    def as_dict(self) -> dict[str, object]:
        """Return it for a program."""
        return {"tool": self.name, "arguments": self.arguments, "about": self.about}


def _plain(rows: list[_Row]) -> Iterator[str]:
    for row in rows:
        yield f"{row.name}({', '.join(row.arguments)})\n    {row.about}"


def _markdown(rows: list[_Row]) -> Iterator[str]:
    yield "| Tool | Arguments | What it does |\n|---|---|---|"
    for row in rows:
        arguments = ", ".join(f"`{name}`" for name in row.arguments)
        yield f"| `{row.name}` | {arguments} | {row.about} |"
