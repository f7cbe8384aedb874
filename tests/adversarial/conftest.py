"""Arenas: one for each sandbox, shared by the cases."""

import json
import shutil
import subprocess
import sys
import sysconfig
import venv
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import pytest

from autoresearch_mcp.effects.sandbox import probe
from tests.driving import TOP, clean_environment

from .arena import Arena, arena_at
from .variants import SOME, TRAIN, brief

Builder = Callable[..., AbstractAsyncContextManager[Arena]]
LEVELS = ("bubblewrap+landlock+seccomp", "bubblewrap+seccomp", "landlock+seccomp", "seatbelt")
"""Every sandbox there is; `none` comes besides."""


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    return "asyncio"


@pytest.fixture(scope="session")
def sandboxes() -> tuple[str, ...]:
    """The sandboxes that work here, best first, `none` last."""
    return tuple(found.name for found in probe.available() if found.works)


@pytest.fixture(scope="session")
def sandbox(sandboxes: tuple[str, ...]) -> str:
    """The best sandbox here."""
    return sandboxes[0]


@pytest.fixture(scope="session")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Nothing of the person who runs the tests; the server's own cache is shared."""
    cache = str(tmp_path_factory.mktemp("cache"))
    return {**clean_environment(), "XDG_CACHE_HOME": cache}


@pytest.fixture(scope="session")
def prepared(tmp_path_factory: pytest.TempPathFactory, environment: dict[str, str]) -> Path:
    """The data of profile `tiny`, made once by the recipe's own command."""
    folder = tmp_path_factory.mktemp("prepared")
    command = [sys.executable, str(TOP / "prepare.py"), "--profile", "tiny", "--json"]
    done = subprocess.run(
        [*command, "--cache", str(folder)], env=environment, capture_output=True, check=True
    )
    assert Path(json.loads(done.stdout)["folder"]).parent == folder.resolve()
    return folder


@pytest.fixture(scope="session")
def build(
    tmp_path_factory: pytest.TempPathFactory,
    sandboxes: tuple[str, ...],
    environment: dict[str, str],
    prepared: Path,
) -> Builder:
    """Builds worlds around copies of the data, each with a venv of its own.

    The server's options may name the world's own {folder}.
    """

    def built(*options: str, baseline: str = TRAIN) -> AbstractAsyncContextManager[Arena]:
        folder = tmp_path_factory.mktemp("arena").resolve()
        shutil.copytree(prepared, folder / "data")
        _make_venv(folder / "venv")
        sandbox, *more = options or (sandboxes[0],)
        more = [one.format(folder=folder) for one in more]
        return arena_at(folder, environment, sandbox, *more, baseline=baseline)

    return built


@pytest.fixture(scope="session")
async def arena(
    request: pytest.FixtureRequest, sandboxes: tuple[str, ...], build: Builder
) -> AsyncGenerator[Arena]:
    """A world to attack, in the sandbox that the parameter names; `best` for the best here."""
    name: str = sandboxes[0] if request.param == "best" else request.param
    if name not in sandboxes:
        pytest.skip(f"not run: {name} is not available here")
    async with build(name) as found:
        yield found


@pytest.fixture(scope="session")
async def fort(build: Builder) -> AsyncGenerator[Arena]:
    """A world in the best sandbox here, with a baseline that few steps of training went into."""
    async with build(baseline=brief(SOME)) as found:
        yield found


@pytest.fixture(scope="session")
async def lab(sandboxes: tuple[str, ...], build: Builder) -> AsyncGenerator[Arena]:
    """A world in the best sandbox here whose server audits every trial."""
    async with build(sandboxes[0], "--audit", "all") as found:
        yield found


def _make_venv(folder: Path) -> None:
    """Make an environment of its own to attack, which borrows this one's packages."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    (packages / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
