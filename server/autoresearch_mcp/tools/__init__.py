"""The door: MCP over one research session. Thin: parse, one call inwards, translate."""

from autoresearch_mcp.tools.server import build_server

__all__ = ["build_server"]
