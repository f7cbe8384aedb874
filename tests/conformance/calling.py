"""Fixtures of the conformance suite that call the client back, as before 2026-07-28."""

import json
from collections.abc import Awaitable, Callable
from typing import Any

import anyio
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    ElicitResult,
    EmptyResult,
    SamplingMessage,
    SetLevelRequestParams,
    TextContent,
)

_OPTIONS = ["option1", "option2", "option3"]
_TITLED = [{"const": f"value{n}", "title": f"{t} Option"} for n, t in enumerate(("A", "B", "C"), 1)]
ELICITED: dict[str, dict[str, Any]] = {
    "test_elicitation_sep1034_defaults": {
        "name": {"type": "string", "default": "John Doe"},
        "age": {"type": "integer", "default": 30},
        "score": {"type": "number", "default": 95.5},
        "status": {
            "type": "string",
            "enum": ["active", "inactive", "pending"],
            "default": "active",
        },
        "verified": {"type": "boolean", "default": True},
    },
    "test_elicitation_sep1330_enums": {
        "untitledSingle": {"type": "string", "enum": _OPTIONS},
        "titledSingle": {"type": "string", "oneOf": _TITLED},
        "legacyEnum": {
            "type": "string",
            "enum": ["opt1", "opt2", "opt3"],
            "enumNames": ["Option One", "Option Two", "Option Three"],
        },
        "untitledMulti": {"type": "array", "items": {"type": "string", "enum": _OPTIONS}},
        "titledMulti": {"type": "array", "items": {"anyOf": _TITLED}},
    },
}


def logs(server: MCPServer) -> None:
    """Add the logging of the eras before 2026-07-28, which this project itself does not use."""
    low: Any = server._lowlevel_server  # pyright: ignore[reportPrivateUsage]

    async def level(*_: object) -> EmptyResult:
        return EmptyResult()

    low.add_request_handler("logging/setLevel", SetLevelRequestParams, level)

    @server.tool(structured_output=False)
    async def test_tool_with_logging(ctx: Context) -> str:
        """Log what it does."""
        log: Any = ctx.info  # pyright: ignore[reportDeprecated]
        for what in ("started", "processing data", "completed"):
            await log(f"Tool {what}" if " " in what else f"Tool execution {what}")
            await anyio.sleep(0.05)
        return "done"


def callbacks(server: MCPServer) -> None:
    """Add tools that call the client back, as before 2026-07-28."""

    @server.tool(structured_output=False)
    async def test_sampling(prompt: str, ctx: Context) -> str:
        """Ask the client's model."""
        message = SamplingMessage(role="user", content=TextContent(text=prompt))
        session: Any = ctx.session
        answer = await session.create_message([message], max_tokens=100)
        return f"LLM response: {answer.content.text}"

    async def elicit(ctx: Context, message: str, schema: dict[str, Any]) -> ElicitResult:
        session: Any = ctx.session
        return await session.elicit_form(message, schema, related_request_id=ctx.request_id)

    @server.tool(structured_output=False)
    async def test_elicitation(message: str, ctx: Context) -> str:
        """Ask the person for a name."""
        fields = {name: {"type": "string"} for name in ("username", "email")}
        schema = {"type": "object", "properties": fields, "required": list(fields)}
        answer = await elicit(ctx, message, schema)
        return f"User response: action={answer.action}, content={answer.content}"

    for name, fields in ELICITED.items():
        schema = {"type": "object", "properties": fields}
        server.tool(name=name, structured_output=False)(_elicitor(elicit, schema))


def _elicitor(
    elicit: Callable[..., Awaitable[ElicitResult]], schema: dict[str, Any]
) -> Callable[..., Awaitable[str]]:
    async def ask_for(ctx: Context) -> str:
        """Ask the person to fill in a form."""
        answer = await elicit(ctx, "Please fill in", schema)
        content = json.dumps(answer.content)
        return f"Elicitation completed: action={answer.action}, content={content}"

    return ask_for
