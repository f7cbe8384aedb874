"""MCP over streamable HTTP: this machine alone, with a secret, for named hosts and origins."""

import hmac
import ipaddress
import socket
from collections.abc import Generator
from contextlib import contextmanager

import anyio
import uvicorn
from mcp.server.mcpserver import MCPServer
from mcp.server.transport_security import TransportSecuritySettings
from starlette.datastructures import Headers
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from autoresearch_mcp.core.errors import Fault

PATH = "/mcp"
_MOST_BYTES = 512 * 1024
"""Of one request: an edit of the largest file that anybody reads."""


def listen(host: str, port: int, *, public: bool) -> socket.socket:
    """Open the server's socket.

    Args:
        host: The address to listen at.
        port: The port; 0 for any free one.
        public: Whether others than this machine may reach it.

    Raises:
        Fault: The address is public or all of them, or it cannot be had.
    """
    address = ipaddress.ip_address("127.0.0.1" if host == "localhost" else _literal(host))
    if address.is_unspecified:
        raise Fault(f"{host} is every address of this machine: name the one to listen at")
    if not address.is_loopback and not public:
        raise Fault(
            f"{host} can be reached from other machines: whoever has the token runs code here. "
            "Stay with 127.0.0.1 and use an SSH tunnel, or say --public and put TLS before it"
        )
    family = socket.AF_INET6 if address.version == 6 else socket.AF_INET
    # Named TCP, because asyncio switches Nagle's delay off for nothing else: 40 ms a call.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((str(address), port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise Fault(f"cannot listen at {host}, port {port}: {error.strerror}") from error
    return listener


def url_of(listener: socket.socket) -> str:
    """Return the address that clients are given."""
    return f"http://{_names(listener)[0]}{PATH}"


def application(server: MCPServer, listener: socket.socket, token: str | None) -> ASGIApp:
    """Return the web application: token, then size, host and origin, then MCP.

    Args:
        server: What it serves.
        listener: Where it will listen: the only hosts and origins that it answers to.
        token: What clients must show; None for none, in tests alone.
    """
    names = _names(listener)
    app = server.streamable_http_app(
        streamable_http_path=PATH,
        max_request_body_size=_MOST_BYTES,
        transport_security=TransportSecuritySettings(
            allowed_hosts=names, allowed_origins=[f"http://{name}" for name in names]
        ),
    )
    return app if token is None else _Guarded(app, token)


def serve(app: ASGIApp, listener: socket.socket) -> None:
    """Serve until a signal ends the process."""
    config = uvicorn.Config(app, log_level="warning", access_log=False, server_header=False)
    anyio.run(_Server(config).serve, [listener])


class _Server(uvicorn.Server):
    @contextmanager
    def capture_signals(self) -> Generator[None]:
        """Leave signals alone: they end the process at once, as over stdio."""
        yield


class _Guarded:
    """An application that answers only who shows the token.

    Not the SDK's own check: that one invites clients to an authorization server.
    """

    def __init__(self, app: ASGIApp, token: str) -> None:
        self._app, self._expected = app, f"Bearer {token}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            shown = Headers(scope=scope).get("authorization", "").encode()
            if not hmac.compare_digest(shown, self._expected):
                headers = {"WWW-Authenticate": "Bearer"}
                response = PlainTextResponse("token missing or wrong", 401, headers)
                return await response(scope, receive, send)
        return await self._app(scope, receive, send)


def _literal(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError as error:
        raise Fault(f"{host} is not an IP address: give one, such as 127.0.0.1") from error


def _names(listener: socket.socket) -> list[str]:
    """Return the Host headers that mean this listener, its own address first."""
    host, port = listener.getsockname()[:2]
    own = f"[{host}]" if ":" in host else host
    names = [own, "localhost"] if ipaddress.ip_address(host).is_loopback else [own]
    return [f"{name}:{port}" for name in names]
