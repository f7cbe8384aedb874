"""Lines put into a function of a harness: where they go, and that nothing else changes."""

import ast
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.prologue import (
    Target,
    handing_over,
    needs_settings,
    telling_first_batch,
)

Wrap = Callable[[bytes, Target], bytes]

TARGET = Target("h.py", "evaluate")
WAYS = (handing_over, telling_first_batch)
SHAPES = {
    "plain": "def evaluate(model, rows):\n    return 1.5\n",
    "docstring": 'def evaluate(model):\n    """Score.\n\n    All.\n    """\n    return 1.5\n',
    "docstring and comment": 'def evaluate(model):\n    "Score."\n\n    # why\n    return 1.5\n',
    "docstring alone": 'def evaluate(model):\n    """Score."""  # later\n\n\nx = 1\n',
    "docstring shares a line": 'def evaluate(model):\n    "Score."; x = 1; return 1.5\n',
    "one line": "def evaluate(model): return 1.5\n\n\nx = 1\n",
    "one line, two statements": "def evaluate(model): x = 1; return x\n",
    "one line and a docstring": 'def evaluate(model): "Score."; return 1.5\n',
    "one line, docstring alone": 'def evaluate(model): "Score."\nx = 1\n',
    "no last newline": "def evaluate(model): return 1.5",
    "tabs": "def evaluate(model):\n\tif model:\n\t\treturn 1.5\n\treturn 2.5\n",
    "carriage returns": "x = 1\r\ndef evaluate(model):\r\n    return 1.5\r\n",
    "decorators": "@keep\n@no_grad()\ndef evaluate(\n    model,\n    rows=(),\n):\n  return 1.5\n",
    "decorated inside": "def evaluate(model):\n    @keep\n    def inner():\n        pass\n",
    "byte order mark": '\ufeffdef evaluate(model):\n    "Score."\n    return 1.5\n',
    "umlauts": '"Ä"; y = "ß"\ndef evaluate(model): "Ä"; return "ß"\n',
    "byte order mark, one line": "\ufeffdef evaluate(model): return 1.5\n",
    "inner generator": "def evaluate(model):\n    def f():\n        yield 1\n    return sum(f())\n",
    "the word in its docstring": 'def evaluate(model):\n    "Score, by autoresearch_handover."\n',
    "positional only": "def evaluate(model, /, *, rows):\n    return 1.5\n",
}


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("wrap", WAYS)
def test_every_other_byte_stays_and_the_function_begins_with_the_lines(
    shape: str, wrap: Wrap
) -> None:
    source = SHAPES[shape].encode()
    wrapped = wrap(source, TARGET)
    rest = iter(wrapped)

    assert all(byte in rest for byte in source)  # in this order
    (function,) = (n for n in ast.parse(wrapped).body if isinstance(n, ast.FunctionDef))
    documented = ast.get_docstring(function) is not None
    assert documented == ("Score" in SHAPES[shape] or shape == "umlauts")
    assert len(max(ast.unparse(function.body[documented]).splitlines(), key=len)) < 84
    assert isinstance(function.body[documented], ast.If)
    assert (b"\r\n" in source) == (b"\r\n" in wrapped)
    assert wrap(wrapped, TARGET) == wrapped


@pytest.mark.parametrize("wrap", WAYS)
def test_without_a_server_the_function_returns_what_it_returned(
    wrap: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTORESEARCH_RUN", raising=False)
    source = b"def evaluate(model, *rest, scale=2): return model * scale, rest\n"
    space: dict[str, Any] = {}
    exec(wrap(source, TARGET), space)  # noqa: S102 - our own text

    assert space["evaluate"](3, 4, scale=5) == (15, (4,))


@pytest.mark.parametrize("wrap", WAYS)
def test_without_a_server_the_function_has_the_names_that_it_had(
    wrap: Wrap, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AUTORESEARCH_RUN", raising=False)
    space: dict[str, Any] = {}
    exec(wrap(b"def evaluate(model, n=2): return dict(locals())\n", TARGET), space)  # noqa: S102

    assert space["evaluate"](3) == {"model": 3, "n": 2}


def test_the_model_is_the_first_parameter_or_the_named_one() -> None:
    source = b"def evaluate(rows, *, net):\n    return 1.5\n"

    assert b'["handover_fd"], rows)' in handing_over(source, TARGET)
    assert b'["handover_fd"], net)' in handing_over(source, Target("h.py", "evaluate", "net"))


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("def other(model):\n    pass\n", "has no function evaluate"),
        ("async def evaluate(model):\n    pass\n", "is async"),
        ("class A:\n    def evaluate(self, model):\n        pass\n", "is a method"),
        ("def evaluate(a): pass\ndef evaluate(b): pass\n", "is defined 2 times"),
        ("def evaluate(model):\n    yield 1\n", "has a yield"),
        ("def evaluate():\n    pass\n", "takes no model"),
        ("def evaluate(*models):\n    pass\n", "takes no model"),
        ("def evaluate(model):\n    _server_os = 1\n", "uses the name _server_os"),
        ("def evaluate(model:\n", r"the server's Python 3\.\d+\.\d+ cannot parse h\.py"),
        ("def evaluate(model): \\\n    return 1\n", "put its body on lines of its own"),
    ],
)
def test_what_no_lines_can_be_put_into_is_refused(source: str, said: str) -> None:
    with pytest.raises(Fault, match=said):
        handing_over(source.encode(), TARGET)


def test_a_parameter_that_is_not_there_is_refused() -> None:
    with pytest.raises(Fault, match="has no parameter net, but model, rows"):
        handing_over(SHAPES["plain"].encode(), Target("h.py", "evaluate", "net"))


@pytest.mark.parametrize(
    "body",
    [
        "from autoresearch_handover import hand_over",
        "import json, autoresearch_handover as server",
        "def give():\n        from autoresearch_handover import hand_over",
    ],
)
def test_what_hands_its_model_over_already_is_left_as_it_is(body: str) -> None:
    source = f"def evaluate(model):\n    {body}\n".encode()

    assert handing_over(source, TARGET) == source


def test_the_lines_are_no_wish_for_settings_but_any_other_mention_is() -> None:
    source = SHAPES["plain"].encode() + b"\n\ndef batches():\n    yield 1\n"
    wrapped = telling_first_batch(handing_over(source, TARGET), Target("h.py", "batches"))

    assert b"AUTORESEARCH_RUN" in wrapped
    assert not needs_settings(wrapped)
    assert needs_settings(wrapped + b'os.environ["AUTORESEARCH_RUN"]\n')


def test_the_lines_are_known_again_however_somebody_formats_them() -> None:
    source = SHAPES["plain"].encode() + b"\n\ndef batches():\n    yield 1\n"
    wrapped = telling_first_batch(handing_over(source, TARGET), Target("h.py", "batches"))
    formats: tuple[list[str], ...] = (
        [],
        ["--line-length=40"],
        ["--config", "format.quote-style='single'"],
    )

    for options in formats:
        command = [sys.executable, "-m", "ruff", "format", "--isolated", *options, "-"]
        done = subprocess.run(command, input=wrapped, capture_output=True, check=True)
        assert not needs_settings(done.stdout)
        assert handing_over(done.stdout, TARGET) == done.stdout
        assert needs_settings(done.stdout + b'os.environ["AUTORESEARCH_RUN"]\n')


def test_the_lines_of_the_first_init_are_known_again() -> None:
    before = b'if _server_run := _server_os.environ.get("AUTORESEARCH_RUN"):  # by init\n'

    assert not needs_settings(before)


@pytest.mark.parametrize(
    "reads",
    [
        'if run := os.environ.get("AUTORESEARCH_RUN"):\n    http_server_port = 1\n',
        'os.system("cat $AUTORESEARCH_RUN")\n',
        'run = os.environb[b"AUTORESEARCH_RUN"]\n',
    ],
)
def test_what_the_owner_wrote_is_never_taken_for_the_lines(reads: str) -> None:
    wrapped = handing_over(SHAPES["plain"].encode(), TARGET)

    assert needs_settings(reads.encode())
    assert needs_settings(wrapped + reads.encode())


def test_a_harness_file_need_not_be_python_that_the_server_parses() -> None:
    wrapped = handing_over(SHAPES["plain"].encode(), TARGET)

    assert not needs_settings(wrapped + b"def later[T](rows: T): ...\n")
    assert needs_settings(b"# Notes\nAUTORESEARCH_RUN names its settings, http_server_port too.\n")


def test_a_path_may_begin_with_the_folder_that_it_starts_in() -> None:
    assert Target.parse("./eval//loss.py:evaluate") == Target("eval/loss.py", "evaluate")


@pytest.mark.parametrize("text", ["h.py", ":evaluate", "h.py:", "h.py:a:b:c", "h.py:a.b"])
def test_a_target_is_a_file_and_a_function(text: str) -> None:
    with pytest.raises(ValueError, match=text):
        Target.parse(text)
