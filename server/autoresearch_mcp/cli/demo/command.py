"""The demo from its first line to its last, and nothing left running however it ends."""

import argparse
import json
import os
import shutil
import signal
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from autoresearch_mcp.cli.demo import throwaway
from autoresearch_mcp.cli.demo.throwaway import Throwaway
from autoresearch_mcp.cli.options import Commands
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.effects import interpreter, prepared
from autoresearch_mcp.effects.prepared import CACHE_VARIABLE, PreparedData
from autoresearch_mcp.session import preparing, trials
from autoresearch_mcp.session.recipe import HARNESS_ENTRY
from autoresearch_mcp.session.rooms import Options, Rooms
from autoresearch_mcp.session.state import look

if TYPE_CHECKING:
    from autoresearch_mcp.cli.demo.screen import Screen

_NEGATIVE = 1
_PROFILE = "cpu"
_BUDGET_SECONDS = 15.0
_BUDGET_LIMITS = (3.0, 30.0)


def register(commands: Commands, _common: argparse.ArgumentParser) -> None:
    """Add the command."""
    parser = commands.add_parser(
        "demo",
        help="see the whole loop on this machine, a few minutes, no network",
        description=(
            "See the whole loop on this machine: a scripted agent drives the real server through "
            "a baseline, a refused edit, a crash, a worse edit and a better one, each trial a real "
            "training run. It works in a throw-away git repository, whose path it prints; your "
            "own files are not touched. Takes a few minutes on two CPU cores and no network."
        ),
        epilog="Exit status: 0 as scripted, 1 something differed, 3 a person must act.",
    )
    parser.add_argument(
        "--budget",
        type=_budget,
        default=_BUDGET_SECONDS,
        metavar="SECONDS",
        help="training time of a run, 3 to 30 (default: %(default)g)",
    )
    parser.add_argument(
        "--python",
        type=Path,
        metavar="PATH",
        help="the interpreter that has MLX (default: the server's own)",
    )
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object at the end; the story goes to standard error",
    )
    parser.set_defaults(command=_demo)


def _budget(text: str) -> float:
    least, most = _BUDGET_LIMITS
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(f"{text} is not a number from {least:g} to {most:g}")
    return value


def _demo(options: argparse.Namespace) -> int:
    # rich and the MCP SDK take a second to load: only this command pays for them.
    import anyio  # noqa: PLC0415

    from autoresearch_mcp.cli.demo.ending import end  # noqa: PLC0415
    from autoresearch_mcp.cli.demo.screen import Screen  # noqa: PLC0415
    from autoresearch_mcp.cli.demo.story import tell  # noqa: PLC0415

    began = time.monotonic()
    screen = Screen(to_stderr=options.json)
    python = options.python and options.python.absolute()
    _check_mlx(python)
    folder = _new_folder()
    try:
        stage = throwaway.make(folder / "recipe", options.budget)
        rooms = Rooms.open(stage.repository, Options(python=python))
        data = _prepare(rooms, folder)
    except Fault:
        shutil.rmtree(folder)
        raise
    _introduce(screen, stage, data)
    with _leaving_nothing_running(rooms, screen):
        story = anyio.run(tell, stage, screen, folder / "server.log", python)
    report = end(screen, stage, rooms, story, time.monotonic() - began)
    if options.json:
        print(json.dumps(report))
    return 0 if report["as_scripted"] else _NEGATIVE


def _new_folder() -> Path:
    try:
        return Path(tempfile.mkdtemp(prefix="autoresearch-demo-"))
    except OSError as error:
        raise Fault(f"no temporary folder can be made ({error.strerror}): set TMPDIR") from error


def _check_mlx(override: Path | None) -> None:
    # The throw-away recipe has no .venv of its own, wherever it will be.
    python = interpreter.choose(Path(os.devnull), override)
    found = interpreter.probe(python)
    if found.mlx is None:
        raise Fault(
            f"{python} has no MLX to train with: install autoresearch-mcp with the extra cpu (on "
            "macOS that is Metal), cuda12 or cuda13, as in pip install 'autoresearch-mcp[cpu]'"
        )
    if found.problem is not None:
        raise Fault(
            f"MLX does not load in {python}: {found.problem}; run `autoresearch-mcp doctor`"
        )


def _prepare(rooms: Rooms, folder: Path) -> PreparedData:
    """Prepare the data in the usual cache, unless that would replace what the person chose.

    Runs take the newest data set of their harness, and the demo's harness is the recipe's own.
    """
    recipe = look(rooms).recipe
    present = prepared.find(recipe.harness[HARNESS_ENTRY], prepared.cache_folder())
    if present is not None:
        chosen = (present.manifest.source, present.manifest.profile.name)
        if chosen != ("embedded", _PROFILE):
            os.environ[CACHE_VARIABLE] = str(folder / "data")
    return preparing.embedded(rooms, _PROFILE, prepared.cache_folder())


def _introduce(screen: "Screen", stage: Throwaway, data: PreparedData) -> None:
    screen.say("A scripted agent drives the real server. Every trial is a real training run.")
    screen.say()
    screen.fact("recipe", f"{stage.repository} (a throw-away git repository)")
    screen.fact("handicap", f"train.py says {stage.handicap.new} ({stage.handicap.hypothesis}),")
    screen.fact("", "so that there is a gain to find, far above the noise")
    budget = f"{stage.budget:g} s of training a run, tightened in protocol.json"
    screen.fact("budget", f"{budget} from {stage.protocol_budget:g} s")
    screen.fact("data", f"{data.manifest.data_id}, Python's own sources")


@contextmanager
def _leaving_nothing_running(rooms: Rooms, screen: "Screen") -> Generator[None]:
    """End the trial under way when the block ends early, by a signal or by a mistake.

    Raises:
        SystemExit: A signal ended the block; 128 + its number.
    """
    received = [signal.SIGINT]

    def interrupt(number: int, _frame: FrameType | None) -> None:
        # Ctrl-C is the one signal on which asyncio winds everything up.
        received.append(signal.Signals(number))
        signal.raise_signal(signal.SIGINT)

    for number in (signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, interrupt)
    try:
        yield
    except KeyboardInterrupt:
        raise SystemExit(128 + received[-1]) from None
    finally:
        # The trial is a process of its own, and ends a moment after its server: wait for that.
        if trial := look(rooms).under_way:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            screen.say(f"\nending trial {trial.id} ...")
            with suppress(Refusal):  # it has just ended
                trials.cancel(rooms, trial.id)
            screen.say(f"nothing is left running; what was done is in {rooms.repository.root}")
