"""The throw-away recipe of the demo: the packaged one, with a handicap and a short budget."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from importlib.resources import files
from pathlib import Path

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository.plumbing import Plumbing

BRANCH = "main"

_KNOB = "UNEMBEDDING_LR"
_KNOB_LINE = re.compile(rf"^{_KNOB} = ([0-9.]+)(?=\s)", re.MULTILINE)
_SLOWER = 20
"""Far enough from both ends: slower still is clearly worse, and the recipe's own clearly better."""
_BETTER = "Let the output layer learn faster"
_WORSE = "Let the output layer learn more slowly"
_NAME, _EMAIL = "autoresearch-mcp demo", "autoresearch-mcp@localhost"


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """One replacement that the scripted agent makes, and why it says so."""

    path: str = "train.py"
    hypothesis: str
    old: str
    new: str


_FORBIDDEN = Change(
    path="prepare.py",
    hypothesis="An easier evaluation would look like progress",
    old='"cpu": Profile(',
    new='"easy": Profile(',
)
_CRASH = Change(
    hypothesis="Give attention an output twice as wide",
    old="self.c_proj = nn.Linear(width, width, bias=False)",
    new="self.c_proj = nn.Linear(width, 2 * width, bias=False)",
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Throwaway:
    """The demo's repository and the changes that are to be tried on it.

    Args:
        repository: The git repository, one commit on `main`.
        handicap: The line that was put in place of the recipe's own.
        healthy: The recipe's own train.py.
        budget: Training seconds of a run.
        protocol_budget: The same as the packaged protocol has it.
        forbidden: An edit to the harness.
        crash: An edit that cannot run.
        worse: An edit that makes the metric worse.
        better: An edit that takes the handicap away.
    """

    repository: Path
    handicap: Change
    healthy: bytes
    budget: float
    protocol_budget: float
    forbidden: Change
    crash: Change
    worse: Change
    better: Change


def make(folder: Path, budget: float) -> Throwaway:
    """Write the throw-away repository into a new folder and commit it.

    Raises:
        Fault: The packaged recipe is not as this script knows it.
    """
    packaged = _packaged()
    train = packaged["train.py"].decode()
    handicap, worse = _handicap(train)
    protocol = json.loads(packaged["protocol.json"])
    stop = protocol["execution"]["stopCondition"]
    usual, stop["trainingSecondsBudget"] = stop["trainingSecondsBudget"], budget
    slowed = train.replace(handicap.old, handicap.new)
    made = Throwaway(
        repository=folder,
        handicap=handicap,
        healthy=packaged["train.py"],
        budget=budget,
        protocol_budget=usual,
        forbidden=_FORBIDDEN,
        crash=_CRASH,
        worse=worse,
        better=Change(hypothesis=_BETTER, old=handicap.new, new=handicap.old),
    )
    for change in (made.crash, made.worse, made.better):
        _check_once(slowed, change)
    _check_once(packaged["prepare.py"].decode(), made.forbidden)
    contents = {
        **packaged,
        "train.py": slowed.encode(),
        "protocol.json": json.dumps(protocol, indent=2).encode() + b"\n",
        "results.tsv": "\t".join(protocol["provenance"]["resultsLog"]["columns"]).encode() + b"\n",
        ".gitignore": b"__pycache__/\n.autoresearch/\n",
    }
    _commit(folder, contents)
    return made


_CHANGED = (
    "the recipe of this installation was changed, so the demo's script does not fit it (in a "
    "checkout that is the working tree: use a fresh clone)"
)


def _packaged() -> dict[str, bytes]:
    names = ("protocol.json", "prepare.py", "train.py")
    recipe = files("autoresearch_mcp") / "recipe"
    try:
        return {name: (recipe / name).read_bytes() for name in names}
    except OSError as error:
        raise Fault(
            f"this installation lacks the packaged recipe ({error.filename}): "
            "install autoresearch-mcp again"
        ) from error


def _handicap(train: str) -> tuple[Change, Change]:
    """Return the change that slows the recipe down, and one that slows it down further."""
    found = _KNOB_LINE.findall(train)
    if len(found) != 1:
        raise Fault(f"{_CHANGED}: it has {len(found)} lines that set {_KNOB}, not one")
    rates = [Decimal(found[0]) / _SLOWER**n for n in range(3)]
    lines = [f"{_KNOB} = {rate.normalize():f}" for rate in rates]
    lines[0] = f"{_KNOB} = {found[0]}"
    slow = Change(hypothesis=f"the recipe: {found[0]}", old=lines[0], new=lines[1])
    slower = Change(hypothesis=_WORSE, old=lines[1], new=lines[2])
    return slow, slower


def _check_once(source: str, change: Change) -> None:
    if (count := source.count(change.old)) != 1:
        raise Fault(f"{_CHANGED}: {change.path} has {change.old!r} {count} times, not once")


def _commit(folder: Path, contents: Mapping[str, bytes]) -> None:
    """Make a repository with one commit, whatever git set-up the user has."""
    folder.mkdir()
    for name, content in contents.items():
        (folder / name).write_bytes(content)
    git = Plumbing(folder)
    git.run("init", "--quiet", "--template=", f"--initial-branch={BRANCH}")
    git.run("add", "--all")
    tree = git.run("write-tree").decode().strip()
    date = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S+0000")
    person = {
        f"GIT_{role}_{part}": value
        for role in ("AUTHOR", "COMMITTER")
        for part, value in (("NAME", _NAME), ("EMAIL", _EMAIL), ("DATE", date))
    }
    message = b"The recipe, with a handicap\n"
    commit = git.run("commit-tree", tree, stdin=message, environment=person).decode().strip()
    git.run("update-ref", f"refs/heads/{BRANCH}", commit, environment=person)
