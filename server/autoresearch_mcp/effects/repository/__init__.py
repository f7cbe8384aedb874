"""The recipe's git repository, read and written by plumbing alone.

    plumbing.py   how git is called: nothing of the user's set-up in force, errors as Faults
    heads.py      what is checked out, without a process where that is plain to read
    reading.py    Repository: where it is, what HEAD, refs, commits and the index hold
    trees.py      a commit's tree, listed and written out as files, byte for byte
    vault.py      Vault: commits, refs, HEAD and index entries, every change compare-and-swap

The user's working tree is never read or written here; that is `effects.workspace`.
"""

from autoresearch_mcp.effects.repository.heads import Head
from autoresearch_mcp.effects.repository.reading import Repository
from autoresearch_mcp.effects.repository.trees import Entry
from autoresearch_mcp.effects.repository.vault import Vault

__all__ = ["Entry", "Head", "Repository", "Vault"]
