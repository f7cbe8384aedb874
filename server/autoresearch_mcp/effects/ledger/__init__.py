"""The book: an append-only record of every event, in SQLite.

    book.py        append, verify, rebuild: what may be done with a ledger
    reading.py     what may be asked of it
    schema.py      tables, and the way from an older version's to these
    projecting.py  what an event makes of the tables beside it
    checking.py    the chain of hashes, checkpoints, and the digest of those tables
    changed.py     what a person is told of a ledger that is not what was written
    opening.py     connections, and what a person is told when there is none to be had

Each event carries the hash of the one before it, so that a change made behind the ledger's back
shows. The tables beside the events are projections of them, written in the same transaction, so
that reading is fast and can never disagree.
"""

from autoresearch_mcp.effects.ledger.book import Ledger, Rebuilt, append
from autoresearch_mcp.effects.ledger.changed import Changed
from autoresearch_mcp.effects.ledger.checking import Progress
from autoresearch_mcp.effects.ledger.opening import connected
from autoresearch_mcp.effects.ledger.reading import EndedRun

__all__ = ["Changed", "EndedRun", "Ledger", "Progress", "Rebuilt", "append", "connected"]
