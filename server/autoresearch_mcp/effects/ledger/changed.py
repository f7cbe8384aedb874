"""What a person is told of a ledger that is not what was written."""

from pathlib import Path

from autoresearch_mcp.core.errors import Fault


class Changed(Fault):
    """Raised when a ledger was changed behind its own back.

    Args:
        where: What shows it.
        chain: Whether the events themselves are in doubt, not only what they add up to.
        path: The ledger's file, where it is known.
    """

    def __init__(self, where: str, *, chain: bool, path: Path | None = None) -> None:
        way_out = (
            "keep the file and put a copy from before back, or start anew by moving it away"
            if chain
            else "`autoresearch-mcp ledger rebuild` makes its views anew from the events"
        )
        super().__init__(f"the ledger {path or ''} was changed {where}; {way_out}")
        self.where = where
        self.chain = chain

    def of(self, path: Path) -> "Changed":
        """Return the same, told of a file."""
        return Changed(self.where, chain=self.chain, path=path)
