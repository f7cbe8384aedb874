"""The official conformance suite, against our server factory with the suite's own fixtures."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.driving import TOP, RecipeRepo, clean_environment

TASKS = (
    *("tasks-lifecycle", "tasks-capability-negotiation", "tasks-wire-fields"),
    *("tasks-request-state-removal", "tasks-request-headers", "tasks-dispatch-and-envelope"),
    "tasks-required-task-error",
)
EXPECTED_FAILURES = Path(__file__).parent / "expected-failures.yml"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Generator[str]:
    folder = tmp_path_factory.mktemp("conformance")
    recipe = RecipeRepo.fast(folder / "recipe")
    command = [sys.executable, "-m", "tests.conformance.fixtures", str(recipe.path)]
    environment = {**clean_environment(), "HOME": str(folder)}
    with subprocess.Popen(
        command, cwd=TOP, env=environment, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()
        server.kill()


def suite(url: str, folder: Path, *options: str) -> str:
    """Run the suite and return its summary; a failure that nobody expects fails the test."""
    program = shutil.which("conformance")
    if program is None:
        pytest.skip("not run: conformance is not installed (./run npm ci)")
    command = [program, "server", "--url", url, *options, "--output-dir", str(folder)]
    done = subprocess.run(
        command, env=dict(os.environ), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.parametrize(("revision", "least"), [("2025-11-25", 70), ("2026-07-28", 160)])
def test_it_passes_what_a_revision_requires(
    url: str, tmp_path: Path, revision: str, least: int
) -> None:
    flags = ("--requirements", revision, "--expected-failures", str(EXPECTED_FAILURES))
    said = suite(url, tmp_path, *flags)
    total = re.search(r"Total: (\d+) passed", said)

    assert total is not None
    assert int(total[1]) >= least


@pytest.mark.parametrize("scenario", TASKS)
def test_it_passes_the_scenarios_of_tasks(url: str, tmp_path: Path, scenario: str) -> None:
    said = suite(url, tmp_path, "--scenario", scenario)

    assert re.search(r"Passed: ([1-9]\d*)/\1, 0 failed", said)
