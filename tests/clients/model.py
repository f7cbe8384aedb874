"""A scripted model behind the two interfaces that coding agents speak, on loopback.

It answers `POST /v1/messages` (Anthropic Messages) and `POST /v1/responses` (OpenAI Responses) with
one server-sent answer a request: the tool call that the script asks for next, or a closing text.
"""

import json
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

SERVER = "autoresearch"
PREFIX = f"mcp__{SERVER}"


@dataclass(frozen=True)
class Call:
    """A tool call of the model."""

    tool: str
    arguments: dict[str, Any] = field(default_factory=dict[str, Any])


@dataclass(frozen=True)
class Result:
    """What the client showed the model of a call's result."""

    text: str

    @property
    def json(self) -> dict[str, Any]:
        """The structured content, without the words that a client puts before it."""
        return json.loads(self.text[self.text.index("{") :])


Script = Generator[Call, Result, None]
"""Yields what to call, gets what the model saw of the result."""


class Model:
    """Plays a script, and records every request of the client.

    Args:
        script: What the model does.
    """

    def __init__(self, script: Script) -> None:
        self._script = script
        self._replies: list[Call | None] = []
        self._lock = threading.Lock()
        self.requests: list[dict[str, Any]] = []
        self.results: list[Result] = []
        self.error: BaseException | None = None

    @property
    def calls(self) -> list[Call]:
        """What was called, in order."""
        return [reply for reply in self._replies if reply is not None]

    def next(self, results: list[Result]) -> Call | None:
        """Return what follows so many results; the same again where a client asks again."""
        with self._lock:
            if len(results) == len(self._replies):
                self.results = results
                self._replies.append(self._advance(results))
            return self._replies[len(results)]

    def _advance(self, results: list[Result]) -> Call | None:
        try:
            return self._script.send(results[-1]) if results else next(self._script)
        except StopIteration:
            return None
        except Exception as error:  # noqa: BLE001 - a script's failed assertion, shown by the test
            self.error = error
            return None


@contextmanager
def serving_model(script: Script) -> Generator[tuple[Model, str]]:
    """Serve a script on loopback; gives the model and the address of the endpoint."""
    model = Model(script)

    class Handler(_Handler):
        played = model

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield model, f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    played: Model

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        path = self.path.partition("?")[0]
        self.played.requests.append(body)
        if path == "/v1/messages":
            self._stream(_messages(self.played, body))
        elif path == "/v1/responses":
            self._stream(_responses(self.played, body))
        else:
            self._answer(b"{}")

    def do_GET(self) -> None:
        self._answer(b'{"data": [], "models": []}')

    def _stream(self, events: Iterator[dict[str, Any]]) -> None:
        lines = (f"event: {event['type']}\ndata: {json.dumps(event)}\n\n" for event in events)
        self._answer("".join(lines).encode(), "text/event-stream")

    def _answer(self, body: bytes, kind: str = "application/json") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base's name
        """Say nothing: the model keeps the requests."""


def _messages(model: Model, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Answer in the words of the Anthropic Messages API."""
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": body["model"]}
    usage = {"input_tokens": 1, "output_tokens": 1}
    start: dict[str, Any] = {
        **message,
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": usage,
    }
    yield {"type": "message_start", "message": start}
    ours = any(tool.get("name", "").startswith(PREFIX) for tool in body.get("tools", []))
    results = _anthropic_results(body)
    call = model.next(results) if ours else None
    if call is None:
        block: dict[str, Any] = {"type": "text", "text": ""}
        delta: dict[str, Any] = {"type": "text_delta", "text": "Done."}
    else:
        name = f"{PREFIX}__{call.tool}"
        block = {"type": "tool_use", "id": f"toolu_{len(results)}", "name": name, "input": {}}
        delta = {"type": "input_json_delta", "partial_json": json.dumps(call.arguments)}
    yield {"type": "content_block_start", "index": 0, "content_block": block}
    yield {"type": "content_block_delta", "index": 0, "delta": delta}
    yield {"type": "content_block_stop", "index": 0}
    reason = "end_turn" if call is None else "tool_use"
    end = {"stop_reason": reason, "stop_sequence": None}
    yield {"type": "message_delta", "delta": end, "usage": {"output_tokens": 1}}
    yield {"type": "message_stop"}


def _anthropic_results(body: dict[str, Any]) -> list[Result]:
    blocks = [
        block
        for message in body["messages"]
        if isinstance(message["content"], list)
        for block in message["content"]
    ]
    return [Result(_text(b["content"])) for b in blocks if b["type"] == "tool_result"]


def _responses(model: Model, body: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Answer in the words of the OpenAI Responses API."""
    yield {"type": "response.created", "response": {"id": "resp_1"}}
    outputs = [i for i in body["input"] if i.get("type") == "function_call_output"]
    results = [Result(_text(item["output"])) for item in outputs]
    ours = PREFIX in json.dumps(body.get("tools", []))
    call = model.next(results) if ours else None
    if call is None:
        content = [{"type": "output_text", "text": "Done."}]
        item = {"type": "message", "role": "assistant", "id": "msg_1", "content": content}
    else:
        item = {
            "type": "function_call",
            "call_id": f"call_{len(results)}",
            "namespace": PREFIX,
            "name": call.tool,
            "arguments": json.dumps(call.arguments),
        }
    yield {"type": "response.output_item.done", "item": item}
    usage = {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}
    yield {"type": "response.completed", "response": {"id": "resp_1", "usage": usage}}


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "\n".join(block.get("text", "") for block in content)
