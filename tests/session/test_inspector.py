"""A client that is not ours: the command line of the MCP Inspector."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from .conftest import RecipeRepo

Inspect = Callable[..., dict[str, Any]]


@pytest.fixture
def inspect(recipe: RecipeRepo, bare_python: Path) -> Inspect:
    program = shutil.which("mcp-inspector")
    if program is None:
        pytest.skip("not run: mcp-inspector is not installed (./run npm ci)")

    def call(*options: str) -> dict[str, Any]:
        server = [sys.executable, "-m", "autoresearch_mcp", "serve", "--repo", str(recipe.path)]
        command = [program, "--cli", *server, "--python", str(bare_python), *options]
        done = subprocess.run(
            [*command, "--format", "json", "-q"],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout)["result"]

    return call


def test_the_inspector_lists_the_tools_without_complaint(inspect: Inspect) -> None:
    listed = inspect("--method", "tools/list", "--strict")

    assert len(listed["tools"]) == 8


def test_the_inspector_calls_the_tools(inspect: Inspect, recipe: RecipeRepo) -> None:
    arguments = json.dumps({"hypothesis": "baseline", "wait_s": 60})
    call = ("--method", "tools/call", "--tool-args-json")
    trial = inspect(*call, arguments, "--tool-name", "run_trial")
    results = inspect(*call, "{}", "--tool-name", "get_metrics")

    assert trial["structuredContent"]["outcome"]["value"] == 2.0
    assert results["structuredContent"]["total"] == 1
    assert len(recipe.log_rows()) == 1


def test_the_inspector_calls_500_times_without_an_error(
    recipe: RecipeRepo, bare_python: Path, tmp_path: Path
) -> None:
    program = shutil.which("mcp-inspector")
    if program is None:
        pytest.skip("not run: mcp-inspector is not installed (./run npm ci)")
    options = ("--repo", str(recipe.path), "--python", str(bare_python))
    token = tmp_path / "token"
    command = [sys.executable, "-m", "autoresearch_mcp", "serve", "--http", "--port", "0"]
    with subprocess.Popen(
        [*command, "--token-file", str(token), *options],
        env=dict(os.environ),
        stderr=subprocess.PIPE,
        text=True,
    ) as server:
        assert server.stderr is not None
        url = server.stderr.readline().split()[1].rstrip(";")
        header = f"Authorization: Bearer {token.read_text().strip()}"
        call = ("--method", "tools/call", "--tool-name", "get_metrics", "--tool-args-json", "{}")
        load = ("--load", "--load-requests", "500", "--load-concurrency", "5", "-q")
        done = subprocess.run(
            [program, "--cli", url, "--transport", "http", "--header", header, *call, *load],
            env=dict(os.environ),
            capture_output=True,
            text=True,
            check=False,
        )
        server.kill()

    assert done.returncode == 0, done.stdout + done.stderr
    assert "500" in done.stdout
