"""The command line: flags, exit statuses and what goes to stderr."""

from autoresearch_mcp.cli.main import main

__all__ = ["main"]
