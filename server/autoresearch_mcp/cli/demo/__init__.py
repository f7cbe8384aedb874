"""`autoresearch-mcp demo`: the whole loop on this machine, driven by a scripted agent."""

from autoresearch_mcp.cli.demo.command import register

__all__ = ["register"]
