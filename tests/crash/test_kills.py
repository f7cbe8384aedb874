"""kill -9 before every change of the world that a server or a trial makes.

The points are not listed anywhere: mortal/dying.py lets a process die before its n-th change, and n
is counted up until the process comes to its end alive.

The short form takes a few points of each case, other ones for each; the long form every point 20
times, and every point of every recovery once.
"""

import itertools
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from .conftest import Lab, source
from .lives import Act, Baseline, Death, Finish, Recovery, Restoration, Turn, live

_REPETITIONS = 20
_STRIDE = 15

pytestmark = pytest.mark.anyio


@dataclass(frozen=True)
class Case:
    """Something an agent or a person does, and what must have come of it.

    Args:
        start: The fixture that it begins from.
        act: What is done; doing it again goes on with it.
        ends: How the last trial ends.
    """

    start: str
    act: Act
    ends: str


CASES = {
    "keep": Case("measured", Turn(source("1.5"), 1), "keep"),
    "discard": Case("measured", Turn(source("3.0"), 1), "discard"),
    "crash": Case("measured", Turn(source("1 / 0"), 1), "crash"),
    "cancel": Case(
        "measured", Turn("import time; time.sleep(3600)\n", 1, cancelled=True), "cancelled"
    ),
    "baseline": Case("untouched", Baseline(), "keep"),
    "restore": Case("tried", Restoration(3), "discard"),
    "finish": Case("tried", Finish(), "discard"),
}
BOTH = [(name, who) for name in CASES for who in ("server", "trial")]
TRIALS = [pair for pair in BOTH if pair not in {("restore", "trial"), ("finish", "trial")}]
"""Those two start no trial."""


@pytest.mark.parametrize(("name", "who"), TRIALS)
async def test_a_death_at_any_change_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, full: bool, name: str, who: str
) -> None:
    case = CASES[name]
    start: Lab = request.getfixturevalue(case.start)
    deaths = 0
    for lab in killed(case, who, start, tmp_path, full, times=_REPETITIONS):
        live(lab.world, case.act)
        await check(lab, start, case)
        deaths += 1
    assert deaths
    print(f"{name}, {who}: {deaths} deaths mended")  # noqa: T201 - the figure


@pytest.mark.parametrize(("name", "who"), [pair for pair in TRIALS if pair[0] != "cancel"])
async def test_a_death_at_any_change_of_the_recovery_loses_and_doubles_nothing(
    request: pytest.FixtureRequest, tmp_path: Path, full: bool, name: str, who: str
) -> None:
    case = CASES[name]
    start: Lab = request.getfixturevalue(case.start)
    deaths = 0
    step = 1 if full else _STRIDE // 3
    for lab in killed(case, who, start, tmp_path, full, few=slice(1, 3)):
        await lab.at_rest()
        image = lab.copy(tmp_path / "image")
        for point in itertools.count(1, step):
            if not live(lab.world, Recovery(), Death(server=point)).died:
                break
            live(lab.world, case.act)
            await check(lab, start, case)
            deaths += 1
            shutil.rmtree(lab.folder)
            image.copy(lab.folder)
        shutil.rmtree(image.folder)
    print(f"{name}, {who}: {deaths} deaths in the recovery mended")  # noqa: T201


def killed(  # noqa: PLR0913 - one experiment in one line
    case: Case,
    who: str,
    start: Lab,
    tmp_path: Path,
    full: bool,
    *,
    few: slice = slice(4),
    times: int = 1,
) -> Iterator[Lab]:
    """Yield labs in which somebody has just died, each at another point; in full, so many times."""
    times = times if full else 1
    for time in range(times):
        print(f"{who}: {time} of {times} times done", flush=True)  # noqa: T201 - hours, else silent
        for point in itertools.count(1) if full else _few(case, who)[few]:
            lab = start.copy(tmp_path / "lab")
            live(lab.world, case.act, Death(**{who: point}))
            came = lab.world.killed(who)
            if came:
                yield lab
            shutil.rmtree(lab.folder)
            if not came:
                break


async def check(lab: Lab, start: Lab, case: Case) -> None:
    """All invariants, and a last trial that ended as it should, tried once or once more."""
    await lab.at_rest()
    lab.check()
    *earlier, last = lab.trials()
    assert last.verdict
    assert last.outcome
    assert case.ends in {last.verdict.status, last.outcome.kind}
    new = earlier[len(start.trials()) if case.start != "untouched" else 0 :]
    assert len(new) <= 1
    assert all(trial.outcome and trial.outcome.kind == "interrupted" for trial in new)
    assert lab.has_the_incumbent() == (not isinstance(case.act, Restoration))


def _few(case: Case, who: str) -> range:
    """Return a few points, others for each case: together they cover most."""
    number = [*CASES.values()].index(case)
    stride = _STRIDE if isinstance(case.act, Turn | Baseline) else _STRIDE // 4
    return range(1 + (2 * number + (who == "trial")) % 5, 60, stride)
