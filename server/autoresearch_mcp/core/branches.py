"""Names for the branches of research runs, made from the protocol's branchPattern."""

import re

DEFAULT_PATTERN = "autoresearch/"
_PLACE = re.compile(r"<tag>|\{tag\}|\*")
_SEPARATORS = ("/", "-", "_")
_UNUSABLE = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//")
_MAX_BYTES = 200


def branch_name(pattern: str, tag: str) -> str:
    """Return the branch for a tag.

    The tag goes where the pattern has `<tag>`, `{tag}` or `*`, else behind it, after a slash
    unless the pattern ends in a separator already.

    Example:
        >>> branch_name("autoresearch/", "2026-11-23"), branch_name("autoresearch", "2026-11-23")
        ('autoresearch/2026-11-23', 'autoresearch/2026-11-23')
        >>> branch_name("lab/<tag>/mlx", "2026-11-23")
        'lab/2026-11-23/mlx'
    """
    if _PLACE.search(pattern):
        return _PLACE.sub(tag, pattern, count=1)
    return pattern + ("" if pattern.endswith(_SEPARATORS) else "/") + tag


def pattern_problem(pattern: str) -> str | None:
    """Say why a pattern makes no branch that git accepts, or return None if it does.

    The rules are those of `git check-ref-format --branch`.

    Example:
        >>> pattern_problem("lab/")
        >>> pattern_problem("a..b")
        "has '..', which git allows in no branch"
    """
    if not pattern:
        return "is empty"
    name = branch_name(pattern, "2026-11-23-99")
    if found := _UNUSABLE.search(name):
        return f"has {found.group()!r}, which git allows in no branch"
    if name.startswith(("-", "/", "refs/")) or name.endswith(("/", ".")):
        return f"makes a branch {name!r}, which git does not allow"
    if any(part.startswith(".") or part.endswith(".lock") for part in name.split("/")):
        return "has a part that begins with '.' or ends in '.lock', which git does not allow"
    if not name.isprintable() or len(name.encode("utf-8", "replace")) > _MAX_BYTES:
        return f"must be printable and at most {_MAX_BYTES} bytes long"
    return None
