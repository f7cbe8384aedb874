import signal
import socket
import subprocess
from pathlib import Path
from typing import Any

import pytest

from .conftest import Cli, Recipe


def test_prepare_runs_the_recipes_own_harness_and_answers_one_json_object(
    prepared: tuple[Path, dict[str, Any]],
) -> None:
    cache, answer = prepared
    assert answer["profile"] == "tiny"
    assert Path(answer["folder"]).parent == cache
    assert (Path(answer["folder"]) / "manifest.json").is_file()


def test_prepare_says_where_trials_look_when_the_data_goes_elsewhere(
    cli: Cli, recipe: Recipe, prepared: tuple[Path, dict[str, Any]]
) -> None:
    cache, _ = prepared
    done = cli("prepare", "--repo", recipe.path, "--profile", "tiny", "--cache", cache)
    assert done.returncode == 0
    assert f"set AUTORESEARCH_CACHE={cache}" in done.stderr
    assert "profile:  tiny" in done.stdout


def test_prepare_passes_its_options_on(cli: Cli, recipe: Recipe) -> None:
    done = cli("prepare", "--repo", recipe.path, "--source", "climbmix", "--num-shards", 0)
    assert done.returncode == 3
    assert done.stderr == "autoresearch-mcp prepare: --num-shards is 1 to 6541, not 0\n"


def test_an_unknown_profile_is_wrong_usage(cli: Cli, recipe: Recipe) -> None:
    done = cli("prepare", "--repo", recipe.path, "--profile", "huge")
    assert done.returncode == 2
    assert "'huge'" in done.stderr


def test_a_harness_that_prepares_itself_names_the_protocols_setup_commands(
    cli: Cli, foreign: Recipe
) -> None:
    done = cli("prepare", "--repo", foreign.path)
    assert done.returncode == 3
    assert f"setupCommands in {foreign.path}: uv sync; uv run prepare.py)" in done.stderr


def test_an_interpreter_without_mlx_is_told_what_to_install(
    cli: Cli, recipe: Recipe, bare_python: Path
) -> None:
    done = cli("prepare", "--repo", recipe.path, "--python", bare_python)
    assert done.returncode == 3
    assert f"{bare_python} cannot import mlx: install autoresearch-mcp[cpu]" in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_missing_interpreter_is_a_plain_error(cli: Cli, recipe: Recipe) -> None:
    done = cli("prepare", "--repo", recipe.path, "--python", "nowhere/python")
    assert done.returncode == 3
    assert "name another with --python" in done.stderr


def test_a_cache_that_cannot_be_written_is_a_plain_error(
    cli: Cli, recipe: Recipe, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    cache = str(tmp_path / "file" / "cache")
    done = cli("prepare", "--repo", recipe.path, "--profile", "tiny", AUTORESEARCH_CACHE=cache)
    assert done.returncode == 3
    assert f"Not a directory ({cache}): choose a folder with --cache DIR" in done.stderr
    assert "Traceback" not in done.stderr


def test_ctrl_c_ends_a_download_without_a_traceback(cli: Cli, recipe: Recipe) -> None:
    pytest.importorskip("pyarrow")
    with socket.create_server(("127.0.0.1", 0)) as server:
        url = f"http://127.0.0.1:{server.getsockname()[1]}"
        command = cli.argv(
            "prepare", "--repo", recipe.path, "--source", "climbmix", "--base-url", url
        )
        with subprocess.Popen(
            command, env=cli.environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        ) as process:
            connection, _ = server.accept()  # it waits for an answer now
            with connection:
                process.send_signal(signal.SIGINT)
                out, errors = process.communicate()
    assert process.returncode == 130
    assert out == ""
    assert "the same command goes on from here" in errors
    assert "Traceback" not in errors
