"""Fixtures of the conformance suite that ask the client for something, as since 2026-07-28."""

import json
from typing import Any

from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer
from mcp.types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    CreateMessageRequest,
    CreateMessageRequestParams,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    ListRootsRequest,
    Request,
    SamplingMessage,
    TextContent,
)


def ask(message: str, **properties: dict[str, Any]) -> ElicitRequest:
    schema = {"type": "object", "properties": properties, "required": list(properties)}
    return ElicitRequest(params=ElicitRequestFormParams(message=message, requested_schema=schema))


NAME = ask("What is your name?", name={"type": "string"})


def tools(server: MCPServer) -> None:
    """Add tools that need an answer first."""

    @server.tool(structured_output=False)
    async def test_input_required_result_elicitation(ctx: Context) -> str | InputRequiredResult:
        """Ask for a name."""
        answer = answered(ctx, "user_name")
        name = answer.get("content", {}).get("name") if answer else None
        if not isinstance(name, str):
            return InputRequiredResult(input_requests={"user_name": NAME})
        return f"Hello, {name}!"

    @server.tool(structured_output=False)
    async def test_input_required_result_request_state(ctx: Context) -> str | InputRequiredResult:
        """Ask for a yes, and know the question again."""
        return await confirmed(ctx)

    @server.tool(structured_output=False)
    async def test_input_required_result_tampered_state(ctx: Context) -> str | InputRequiredResult:
        """Ask for a yes, and refuse a forged question."""
        return await confirmed(ctx)

    @server.tool(structured_output=False)
    async def test_input_required_result_multi_round(ctx: Context) -> str | InputRequiredResult:
        """Ask twice."""
        if ctx.request_state == "2" and answered(ctx, "step2"):
            return "done"
        if ctx.request_state == "1" and answered(ctx, "step1"):
            color = ask("Step 2: What is your favorite color?", color={"type": "string"})
            return InputRequiredResult(input_requests={"step2": color}, request_state="2")
        name = ask("Step 1: What is your name?", name={"type": "string"})
        return InputRequiredResult(input_requests={"step1": name}, request_state="1")


def more(server: MCPServer) -> None:
    """Add tools that need other things first, and a prompt that does."""

    @server.tool(structured_output=False)
    async def test_input_required_result_sampling(ctx: Context) -> str | InputRequiredResult:
        """Ask the client's model."""
        return gathered(ctx, capital_question=sample("What is the capital of France?", 100))

    @server.tool(structured_output=False)
    async def test_input_required_result_list_roots(ctx: Context) -> str | InputRequiredResult:
        """Ask for the client's roots."""
        return gathered(ctx, client_roots=ListRootsRequest())

    @server.tool(structured_output=False)
    async def test_input_required_result_multiple_inputs(
        ctx: Context,
    ) -> str | InputRequiredResult:
        """Ask for three things at once."""
        greeting = sample("Generate a greeting", 50)
        return gathered(ctx, user_name=NAME, greeting=greeting, client_roots=ListRootsRequest())

    @server.prompt()
    async def test_input_required_result_prompt(ctx: Context) -> str | InputRequiredResult:
        """Ask for a context."""
        if answer := answered(ctx, "user_context"):
            return f"Use this: {answer.get('content')}"
        question = ask("What context should the prompt use?", context={"type": "string"})
        return InputRequiredResult(input_requests={"user_context": question})


def capabilities(server: MCPServer) -> None:
    """Add tools that mind what the client can do."""

    @server.tool(structured_output=False)
    async def test_input_required_result_capabilities(ctx: Context) -> str | InputRequiredResult:
        """Ask for what the client can give, and nothing else."""
        declared = ctx.client_capabilities
        can: dict[str, Request[Any, Any]] = {}
        if declared and declared.elicitation:
            can["user_name"] = NAME
        if declared and declared.sampling is not None:
            can["greeting"] = sample("Generate a greeting", 50)
        return gathered(ctx, **can) if can else "nothing to ask with"

    @server.tool(structured_output=False)
    async def test_missing_capability(ctx: Context) -> str:
        """Insist on a client that has a model."""
        if ctx.client_capabilities is None or ctx.client_capabilities.sampling is None:
            data: dict[str, Any] = {"requiredCapabilities": {"sampling": {}}}
            raise MCPError(MISSING_REQUIRED_CLIENT_CAPABILITY, "sampling is required", data)
        return "the client has a model"


def changes(server: MCPServer) -> None:
    """Add tools that say that a list has changed."""

    @server.tool(structured_output=False)
    async def test_trigger_tool_change(ctx: Context) -> str:
        """Say that the tools have changed."""
        await ctx.notify_tools_changed()
        return "done"

    @server.tool(structured_output=False)
    async def test_trigger_prompt_change(ctx: Context) -> str:
        """Say that the prompts have changed."""
        await ctx.notify_prompts_changed()
        return "done"


def sample(text: str, most: int) -> CreateMessageRequest:
    message = SamplingMessage(role="user", content=TextContent(text=text))
    params = CreateMessageRequestParams(messages=[message], max_tokens=most)
    return CreateMessageRequest(params=params)


def gathered(ctx: Context, **asked: Request[Any, Any]) -> str | InputRequiredResult:
    """Ask for everything at once, and answer with what came."""
    answers = {name: answered(ctx, name) for name in asked}
    if all(answers.values()):
        return json.dumps(answers)
    requests: Any = asked
    return InputRequiredResult(input_requests=requests, request_state="gathering")


async def confirmed(ctx: Context) -> str | InputRequiredResult:
    if ctx.request_state == "asked" and answered(ctx, "confirm"):
        return "state-ok"
    question = ask("Please confirm", ok={"type": "boolean"})
    return InputRequiredResult(input_requests={"confirm": question}, request_state="asked")


def answered(ctx: Context, key: str) -> dict[str, Any] | None:
    answer: Any = (ctx.input_responses or {}).get(key)
    return None if answer is None else answer.model_dump(by_alias=True, mode="json")
