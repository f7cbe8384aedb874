"""Calls that no agent should make: by the tools' own schemas, and against JSON-RPC itself."""

import json
import random
from collections.abc import Iterator
from typing import Any

Json = Any

_TEXTS = (
    *("", " ", "x", "baseline", "train.py", "prepare.py", "../../etc/passwd", "/etc/passwd", "\0"),
    *(".git/config", "VALUE = 2.0", "VALUE = 1.5\n", "import os", "\u202e", "é" * 300),
    *("x" * 10_000, "%s%n", "${HOME}", "'; DROP TABLE trial; --", "\r\n", "\x1b[2J", "null"),
    *("NaN", "1e999", "-0", '{"a": 1}', "[1]", "true", "0", "print('" + "a" * 2000 + "')\n"),
)
_NUMBERS = (0, 1, -1, 2, 3, 20, 21, 100, 101, 2**31, 2**31 + 1, 2**63, 2**64, -(2**63), 10**30)
_FLOATS = (0.0, -0.0, 0.5, 1e308, -1e308, 1e-320, 3600.0, 3601.0)
_METHODS = (
    *("tools/list", "tools/call", "resources/list", "resources/read", "prompts/list", "ping"),
    *("prompts/get", "resources/templates/list", "completion/complete", "logging/setLevel"),
    *("resources/subscribe", "resources/unsubscribe", "tasks/get", "tasks/cancel", "nonsense", ""),
    *("notifications/cancelled", "notifications/progress", "server/discover", "sampling/x"),
)
_URIS = (
    *("recipe://train.py", "recipe://../x", "protocol://", "results://", "results://chart.png"),
    *("trial://1", "trial://99", "trial://-1", "trial://1/log", "trial://%2e%2e/log", "trial://"),
    *("file:///etc/passwd", "http://example.org", "", "not a uri", "trial://1/log/../../x"),
)


class Fuzzer:
    """Makes messages; the same ones for the same seed.

    Args:
        seed: The seed.
        tools: The tools as the server lists them.
    """

    def __init__(self, seed: int, tools: list[dict[str, Any]]) -> None:
        self._random = random.Random(seed)
        self._schemas = {tool["name"]: tool["inputSchema"] for tool in tools}

    def messages(self, count: int, first: int) -> Iterator[tuple[int | None, bytes]]:
        """Yield messages, each with the id of the answer that must come, or None."""
        for number in range(first, first + count):
            if self._random.random() < 0.8:
                params = {"name": self._name(), "arguments": self._arguments()}
                yield number, _line("tools/call", number, params)
            elif self._random.random() < 0.5:
                params = self._params()
                proper = isinstance(params, dict)  # the SDK's reader drops anything else
                yield number if proper else None, _line(self._pick(_METHODS[:14]), number, params)
            else:
                yield None, self._broken(number)

    def _name(self) -> str:
        self._tool = self._pick([*self._schemas] * 4 + ["nonsense", "", "read_recipe "])
        return self._tool

    def _arguments(self) -> Json:
        properties = self._schemas.get(self._tool, {}).get("properties", {})
        if self._random.random() < 0.03:
            return self._anything(2)
        chosen = [name for name in properties if self._random.random() < 0.4]
        found = {name: self._of(properties[name]) for name in chosen}
        if self._random.random() < 0.05:
            found[self._pick(_TEXTS)] = self._anything(1)
        return found

    def _of(self, schema: dict[str, Any]) -> Json:
        """Return a value that fits, is on the edge, or does not fit at all."""
        if self._random.random() < 0.15:
            return self._anything(2)
        if "anyOf" in schema:
            return self._of(self._pick(schema["anyOf"]))
        match schema.get("type"):
            case "integer":
                return self._pick(_NUMBERS)
            case "number":
                return self._pick((*_FLOATS, *_NUMBERS[:6]))
            case "boolean":
                return self._pick((True, False))
            case "array":
                items = [{"old": self._text(), "new": self._text()} for _ in range(3)]
                return items[: self._random.randrange(4)]
            case "null":
                return None
            case _:
                return self._text()

    def _anything(self, depth: int) -> Json:
        kind = self._random.randrange(7 if depth else 5)
        if kind == 5:
            return [self._anything(depth - 1) for _ in range(self._random.randrange(4))]
        if kind == 6:
            return {self._text()[:20]: self._anything(depth - 1) for _ in range(2)}
        choices: tuple[Json, ...] = (None, True, *_NUMBERS[:4], self._text())
        return self._pick(choices)

    def _params(self) -> Json:
        uri, name = self._pick(_URIS), self._pick(("research", "review"))
        choices: tuple[Json, ...] = (
            *({"uri": uri}, {"uri": uri}, {"name": name}, {"name": name, "arguments": {}}),
            *({}, {"taskId": self._text()}, {"cursor": self._text()}, self._anything(2)),
        )
        return self._pick(choices)

    def _broken(self, number: int) -> bytes:
        """Return what is no proper request."""
        proper = _line(self._pick(_METHODS), number, {}).rstrip(b"\n")
        choices = (
            *(
                b"",
                b"{",
                b"null",
                b"[]",
                b"[[]]",
                b"1",
                b'"x"',
                b"\xff\xfe",
                b"\0" * 10,
                proper[:20],
            ),
            *(b"[" * 900 + b"]" * 900, b'{"jsonrpc": "2.0"}', b'{"jsonrpc": "1.0", "id": 1}'),
            json.dumps({"jsonrpc": "2.0", "id": self._anything(1), "method": "ping"}).encode(),
            json.dumps({"jsonrpc": "2.0", "id": number, "method": self._anything(1)}).encode(),
            json.dumps({"jsonrpc": "2.0", "id": number, "result": {}}).encode(),
            json.dumps({"jsonrpc": "2.0", "method": "notifications/" + self._text()[:20]}).encode(),
            b"[" + proper + b"]",
            # Half a surrogate pair is no text: the SDK's reader takes the line for no JSON at all.
            _line("ping", number, {"x": "\ud800"}).rstrip(b"\n"),
        )
        return self._pick(choices).replace(b"\n", b" ") + b"\n"

    def _text(self) -> str:
        return self._pick(_TEXTS)

    def _pick(self, choices: Any) -> Any:
        return self._random.choice(choices)


def _line(method: str, number: int, params: Json) -> bytes:
    message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    return json.dumps(message).encode() + b"\n"
