"""The tools, resources and prompts that the official conformance suite asks a server to have.

They are registered on our own server factory and served by our own HTTP, so that the suite proves
our server. Run as a program: `python -m tests.conformance.fixtures REPOSITORY`.
"""

import base64
import json
import sys
from pathlib import Path

import anyio
from mcp import MCPError
from mcp.server.mcpserver import Context, MCPServer, require_client_extension
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.prompts.base import UserMessage
from mcp.types import (
    INTERNAL_ERROR,
    AudioContent,
    Completion,
    EmbeddedResource,
    ImageContent,
    TextContent,
    TextResourceContents,
)

from autoresearch_mcp.core.chart import draw
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.tools import build_server, http
from autoresearch_mcp.tools.server import LONG
from autoresearch_mcp.tools.tasks import TASKS

from . import asking, calling

PNG = base64.b64encode(draw([])).decode()
WAV = base64.b64encode(
    b"RIFF$\0\0\0WAVEfmt \x10\0\0\0\1\0\1\0D\xac\0\0\x88X\1\0\2\0\x10\0data\0\0\0\0"
)
SLOW_TOOLS = frozenset({"slow_compute", "failing_job", "protocol_error_job"})


def contents(server: MCPServer) -> None:
    """Add tools that answer with every kind of content."""
    image = ImageContent(data=PNG, mime_type="image/png")

    @server.tool(structured_output=False)
    def test_simple_text() -> str:
        """Return a text."""
        return "This is a simple text response for testing."

    @server.tool(structured_output=False)
    def greet(name: str) -> str:
        """Return a greeting."""
        return f"Hello, {name}!"

    @server.tool()
    def test_image_content() -> ImageContent:
        """Return an image."""
        return image

    @server.tool()
    def test_audio_content() -> AudioContent:
        """Return a sound."""
        return AudioContent(data=WAV.decode(), mime_type="audio/wav")

    @server.tool()
    def test_embedded_resource() -> EmbeddedResource:
        """Return a resource."""
        return embedded("test://embedded-resource", "This is an embedded resource content.")

    @server.tool(structured_output=False)
    def test_multiple_content_types() -> list[TextContent | ImageContent | EmbeddedResource]:
        """Return a text, an image and a resource."""
        data = json.dumps({"test": "data", "value": 123})
        mixed = embedded("test://mixed-content-resource", data, "application/json")
        return [TextContent(text="Multiple content types test:"), image, mixed]

    @server.tool()
    def test_error_handling() -> str:
        """Refuse."""
        raise ToolError("This tool intentionally returns an error for testing")

    @server.tool(structured_output=False)
    async def test_tool_with_progress(ctx: Context) -> str:
        """Tell how it is getting on."""
        for done in (0, 50, 100):
            await ctx.report_progress(done, 100)
            await anyio.sleep(0.05)
        return "done"


def embedded(uri: str, text: str, kind: str = "text/plain") -> EmbeddedResource:
    return EmbeddedResource(resource=TextResourceContents(uri=uri, mime_type=kind, text=text))


def documents(server: MCPServer) -> None:
    """Add resources and prompts."""

    @server.resource("test://static-text", description="A text.", mime_type="text/plain")
    def static_text() -> str:
        return "This is the content of the static text resource."

    @server.resource("test://static-binary", description="A picture.", mime_type="image/png")
    def static_binary() -> bytes:
        return base64.b64decode(PNG)

    @server.resource("test://watched-resource", description="To watch.", mime_type="text/plain")
    def watched() -> str:
        return "unchanged"

    @server.resource("test://template/{id}/data", mime_type="application/json")
    def template(id: str) -> str:  # noqa: A002 - the suite's name
        return json.dumps({"id": id, "templateTest": True, "data": f"Data for ID: {id}"})

    @server.prompt()
    def test_simple_prompt() -> str:
        """Return a text."""
        return "This is a simple prompt for testing."

    @server.prompt()
    def test_prompt_with_arguments(arg1: str, arg2: str) -> str:
        """Return its arguments."""
        return f"Prompt with arguments: arg1='{arg1}', arg2='{arg2}'"

    @server.prompt()
    def test_prompt_with_embedded_resource(resourceUri: str) -> list[UserMessage]:  # noqa: N803
        """Return a resource."""
        content = embedded(resourceUri, "Embedded resource content for testing.")
        return [UserMessage(content), UserMessage("Please process the embedded resource above.")]

    @server.prompt()
    def test_prompt_with_image() -> list[UserMessage]:
        """Return an image."""
        image = ImageContent(data=PNG, mime_type="image/png")
        return [UserMessage(image), UserMessage("Please analyze the image above.")]

    @server.completion()
    async def complete(*_: object) -> Completion:
        return Completion(values=["paris", "park", "party"], total=3, has_more=False)


def tasks(server: MCPServer) -> None:
    """Add tools that take long, or go wrong, as tasks."""

    @server.tool(structured_output=False)
    async def slow_compute(seconds: float, label: str = "") -> str:
        """Take some seconds."""
        await anyio.sleep(seconds)
        return f"computed {label}"

    @server.tool(structured_output=False)
    async def failing_job(ctx: Context) -> str:
        """Refuse after a second, and only as a task."""
        require_client_extension(ctx.request_context, TASKS)
        await anyio.sleep(1)
        raise ToolError("this job always fails")

    @server.tool(structured_output=False)
    async def protocol_error_job() -> str:
        """Break the protocol."""
        raise MCPError(INTERNAL_ERROR, "this job breaks")


def main() -> None:
    rooms = Rooms.open(Path(sys.argv[1]), Options())
    server = build_server(rooms, tasks=LONG | SLOW_TOOLS)
    asked = (asking.tools, asking.more, asking.capabilities, asking.changes)
    for register in (contents, documents, tasks, *asked, calling.logs, calling.callbacks):
        register(server)
    listener = http.listen("127.0.0.1", 0, public=False)
    print(http.url_of(listener), flush=True)  # noqa: T201
    http.serve(http.application(server, listener, None), listener)


if __name__ == "__main__":
    main()
