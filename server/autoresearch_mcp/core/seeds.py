"""The seed of a run: `execution.determinism.seedDerivation`.

Whatever the mode, the harness owns the seeds (effects/launcher.py mixes this one into what the
code asks for); the modes say which seed it is, and under which name the run finds it.
"""

import hashlib
from collections.abc import Mapping

from autoresearch_mcp.core.protocol_schema import SeedDerivation


def seed_of(rule: SeedDerivation | None, repeat: int, sources: Mapping[str, bytes]) -> int:
    """Return the seed of a run.

    fixed        the protocol's fixedSeed, for every run
    fiat_shamir  the first bytes of SHA-256 over salt, repeat and every source with its name and
                 length: no candidate can choose its seed, and each repeat has another one
    otherwise    1 for the first run of a candidate, 2 for the second, and so on

    Args:
        rule: The protocol's; None where it names none.
        repeat: How many runs this code has had.
        sources: Path -> content of what the seed is derived from.
    """
    if rule is not None and rule.mode == "fixed" and rule.fixed_seed is not None:
        return rule.fixed_seed
    if rule is None or rule.mode != "fiat_shamir":
        return 1 + repeat
    digest = hashlib.sha256()
    for part in (rule.salt or "", str(repeat), *_spelled(sources)):
        data = part if isinstance(part, bytes) else part.encode("utf-8", "surrogatepass")
        digest.update(b"%d:%b" % (len(data), data))
    return int.from_bytes(digest.digest()[: rule.seed_bits // 8], "big")


def _spelled(sources: Mapping[str, bytes]) -> list[str | bytes]:
    return [part for path in sorted(sources) for part in (path, sources[path])]
