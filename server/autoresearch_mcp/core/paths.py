"""Paths inside a repository, and globs that match them whole.

A path is relative to the repository's root, with `/` between its segments, in one spelling only.
Anything with a second spelling for the same file is refused rather than repaired, so that the text
an agent sent, the text git stores and the file on disk can never mean three things.

The globs are our own twenty lines because every ready-made dialect differs where it matters:
gitignore-style libraries let `train.py` match `anything/train.py`, `fnmatch` lets `*` cross `/`,
and `PurePath.full_match` needs Python 3.13. Matching inside one segment is the standard library's.
"""

import unicodedata
from fnmatch import fnmatchcase

MAX_PATH_BYTES = 1024
MAX_SEGMENT_BYTES = 255


def path_problem(path: str) -> str | None:
    """Say what keeps a text from being a plain relative path, or return None if nothing does.

    Example:
        >>> path_problem("src/train.py")
        >>> path_problem("../train.py")
        "has a '..' segment"
    """
    if not path:
        return "is empty"
    if not path.isprintable():
        return "has a control, invisible or unusual space character"
    if "\\" in path:
        return "has a backslash; segments are separated by '/'"
    if path.startswith("/"):
        return "is absolute; paths are relative to the repository"
    if path.endswith("/"):
        return "ends in '/'; name a file"
    if unicodedata.normalize("NFC", path) != path:
        return "is not in Unicode normal form NFC"
    return _segments_problem(path.split("/"))


def glob_problem(glob: str) -> str | None:
    """Say what keeps a text from being a glob of the dialect of `matches`, or return None.

    Example:
        >>> glob_problem("src/**.py")
        "has '**' inside a segment; it must be a whole segment, as in 'src/**/*.py'"
    """
    if problem := path_problem(glob):
        return problem
    for segment in glob.split("/"):
        if "**" in segment and segment != "**":
            return "has '**' inside a segment; it must be a whole segment, as in 'src/**/*.py'"
        if "[" in segment and "]" not in segment.partition("[")[2]:
            return "has a '[' that is not closed"
    if "{" in glob:
        return "has '{'; alternatives are not supported, list each glob"
    return None


def is_literal(glob: str) -> bool:
    """Tell whether a glob names exactly one path."""
    return not any(char in glob for char in "*?[")


def matches(glob: str, path: str) -> bool:
    """Match a whole path against a glob, never its basename, with case.

    `*`, `?` and `[...]` stay within one segment; `**` stands for any number of whole segments,
    and at the end for everything below. Time is linear in the number of segments.

    Example:
        >>> matches("train.py", "copy/train.py")
        False
        >>> matches("src/**/*.py", "src/a/b/model.py")
        True
    """
    wanted = glob.split("/")
    if wanted[-1] == "**":
        wanted.append("*")
    places = _past_stars(wanted, {0})
    for segment in path.split("/"):
        places = _past_stars(
            wanted,
            {
                place if wanted[place] == "**" else place + 1
                for place in places
                if place < len(wanted)
                and (wanted[place] == "**" or fnmatchcase(segment, wanted[place]))
            },
        )
    return len(wanted) in places


def _past_stars(wanted: list[str], places: set[int]) -> set[int]:
    """Add the places reached by letting `**` stand for no segment at all."""
    reached = set(places)
    for place in range(len(wanted)):
        if place in reached and wanted[place] == "**":
            reached.add(place + 1)
    return reached


def _segments_problem(segments: list[str]) -> str | None:
    if len("/".join(segments).encode()) > MAX_PATH_BYTES:
        return f"is longer than {MAX_PATH_BYTES} bytes"
    for segment in segments:
        if not segment:
            return "has an empty segment ('//')"
        if segment in (".", ".."):
            return f"has a {segment!r} segment"
        if len(segment.encode()) > MAX_SEGMENT_BYTES:
            return f"has a segment longer than {MAX_SEGMENT_BYTES} bytes"
    return None
