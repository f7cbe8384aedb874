"""The protocol's command is understood or refused; it never meets a shell."""

import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.command import Command, parse_command
from autoresearch_mcp.core.errors import Fault


def recipe(script: str, *args: str) -> Command:
    return Command(kind="recipe_python", script=script, args=args)


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("uv run train.py", recipe("train.py")),
        ("uv run -- train.py --depth 4", recipe("train.py", "--depth", "4")),
        ("uv run python train.py", recipe("train.py")),
        ("python train.py", recipe("train.py")),
        ("python3 -u ./src/train.py 'a b'", recipe("src/train.py", "a b")),
        ("python3.12 train.py", recipe("train.py")),
        (r"python train.py --re '^\d+;$' ", recipe("train.py", "--re", r"^\d+;$")),
        ("python -m pytest -q", Command(kind="argv", args=("python", "-m", "pytest", "-q"))),
        ("uv run pytest -q", Command(kind="argv", args=("pytest", "-q"))),
        ("make bench", Command(kind="argv", args=("make", "bench"))),
        ("bash run.sh", Command(kind="argv", args=("bash", "run.sh"))),
    ],
)
def test_a_plain_command_is_understood(text: str, command: Command) -> None:
    assert parse_command(text) == command


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("python train.py | tee log", "a pipe"),
        ("python train.py && echo done", "'&'"),
        ("python train.py; rm -rf x", "';'"),
        ("python train.py > run.log 2>&1", "a redirection"),
        ("python train.py < in", "a redirection"),
        ("python train.py `id`", "a substitution"),
        ("python train.py $(id)", "a substitution"),
        ('python train.py "$(id)"', "a substitution"),
        ("python train.py $HOME", "a substitution"),
        ("python train.py *.txt", "a glob"),
        ("python train.py ~/x", "begins with '~'"),
        ("python train.py # fast", "begins with '#'"),
        ("(python train.py)", "a subshell"),
        ("python train.py\npython other.py", "a second line"),
        ("SEED=1 python train.py", "environment variable"),
        ("uv run --with torch train.py", "'--with'"),
        ("uv run --no-sync train.py", "'--no-sync'"),
        ("uv run -p 3.12 train.py", "'-p'"),
        ("uv run", "nothing to run"),
        ("uv sync", "only 'uv run'"),
        ("uv", "only 'uv run'"),
        ("python", "comes a script"),
        ("python -c 'print(1)'", "comes a script"),
        ("python -m", "comes a script"),
        ("python -O train.py", "comes a script"),
        (".venv/bin/python train.py", "names one Python"),
        ("bash -c 'python train.py'", "to a shell"),
        ("python /abs/train.py", "absolute"),
        ("python ../train.py", "'..' segment"),
        ("python 'train.py", "split into words"),
        ("", "empty"),
        ("''", "empty"),
        ("python train.py \x00", "control characters"),
    ],
)
def test_what_needs_a_shell_or_another_environment_is_refused_with_the_reason(
    text: str, reason: str
) -> None:
    with pytest.raises(Fault) as caught:
        parse_command(text)
    assert reason in str(caught.value)


ARGUMENTS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S"]), min_size=1)


@given(st.lists(ARGUMENTS))
def test_quoted_arguments_arrive_as_they_were(args: list[str]) -> None:
    assert parse_command(f"uv run train.py {shlex.join(args)}").args == tuple(args)


@given(st.text())
def test_any_text_is_a_command_or_a_fault(text: str) -> None:
    try:
        command = parse_command(text)
    except Fault:
        return
    assert command.script.endswith(".py") if command.kind == "recipe_python" else command.args
