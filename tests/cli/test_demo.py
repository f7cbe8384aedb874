import re
import signal
import subprocess
from pathlib import Path
from typing import Any

import psutil

from autoresearch_mcp.cli.demo import throwaway
from autoresearch_mcp.effects.repository import Repository
from autoresearch_mcp.session.recipe import Recipe as Contract

from .conftest import TOP, Cli

# The story itself is told once, by the README's command in .ci/run: it checks itself.


def test_the_throw_away_recipe_is_committed_valid_and_tightened(tmp_path: Path) -> None:
    made = throwaway.make(tmp_path / "recipe", budget=7.0)
    repository = Repository.discover(made.repository)
    contract = Contract.at(repository, repository.head().commit)
    assert contract.protocol.execution.stop_condition.training_seconds_budget == 7.0
    assert contract.files == ("train.py",)
    assert contract.reads_run_file


def test_the_handicap_is_one_line_and_the_better_edit_takes_it_away(tmp_path: Path) -> None:
    made = throwaway.make(tmp_path / "recipe", budget=7.0)
    handicapped = (made.repository / "train.py").read_text()
    own = (TOP / "train.py").read_text()
    pairs = zip(handicapped.splitlines(), own.splitlines(), strict=True)
    assert len([pair for pair in pairs if pair[0] != pair[1]]) == 1
    assert handicapped.replace(made.better.old, made.better.new) == own


def test_without_mlx_the_demo_says_what_to_install_and_leaves_nothing(
    cli: Cli, bare_python: Path
) -> None:
    done = cli("demo", "--python", bare_python)
    assert done.returncode == 3
    assert "pip install 'autoresearch-mcp[cpu]'" in done.stderr
    assert done.stderr.count("\n") == 1
    assert list(Path(cli.environment["TMPDIR"]).iterdir()) == []


def test_a_budget_out_of_range_is_wrong_usage(cli: Cli) -> None:
    assert cli("demo", "--budget", "300").returncode == 2


def test_ctrl_c_ends_the_trial_and_leaves_the_persons_choice_of_data(
    cli: Cli, prepared: tuple[Path, dict[str, Any]]
) -> None:
    cache, chosen = prepared
    environment = {**cli.environment, "AUTORESEARCH_CACHE": str(cache)}
    with subprocess.Popen(
        cli.argv("demo", "--budget", "30"),
        cwd=cli.folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as demo:
        assert demo.stdout is not None
        said = next(line for line in demo.stdout if re.search(r"trial 1: run 1 of .*step \d", line))
        demo.send_signal(signal.SIGINT)
        rest, _ = demo.communicate()
    assert said
    assert demo.returncode == 130
    assert "Traceback" not in rest
    assert _processes_in(Path(environment["TMPDIR"])) == []
    assert [folder.name for folder in cache.iterdir()] == [chosen["data_id"]]


def _processes_in(folder: Path) -> list[list[str]]:
    """Return the command lines of processes that have to do with a folder."""
    found: list[dict[str, Any]] = [p.info for p in psutil.process_iter(["cmdline"])]
    lines: list[list[str]] = [info["cmdline"] or [] for info in found]
    return [line for line in lines if any(str(folder) in word for word in line)]
