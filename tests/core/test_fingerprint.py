"""Two sources are one arm when they compute the same apart from the seed."""

import ast
import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.fingerprint import arm_fingerprint, fingerprint

BASE = """
import mlx.core as mx

def step(x):
    return x + 1

mx.random.seed(42)
"""


def test_the_plain_fingerprint_is_the_hash_of_the_bytes() -> None:
    assert fingerprint("grüße\n") == hashlib.sha256("grüße\n".encode()).hexdigest()


@pytest.mark.parametrize(
    "same",
    [
        BASE.replace("42", "137"),
        BASE.replace("return x + 1", '"""Add one."""\n    return (x + 1)  # indeed'),
        '"""The recipe."""\n' + BASE,
        BASE.replace("\n", "\r\n"),
    ],
    ids=["seed", "docstring and comment", "module docstring", "line endings"],
)
def test_layout_docstrings_and_seeds_make_no_new_arm(same: str) -> None:
    assert arm_fingerprint(same) == arm_fingerprint(BASE)


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("+ 1", "+ 2"),
        BASE.replace("x + 1", "x - 1"),
        BASE.replace("mx.random.seed(42)", "mx.random.uniform(42)"),
        BASE.replace("42", "True"),
        BASE.replace("42", "4.2"),
        BASE.replace("42", "SEED"),
        BASE.replace("return x + 1", "return 'x + 1'"),
        BASE + "mx.random.seed(1)\n",
    ],
)
def test_everything_else_does(other: str) -> None:
    assert arm_fingerprint(other) != arm_fingerprint(BASE)


IMPORTS = """\
import random
import mlx.core as mx, numpy as np, jax, torch
from mlx.core import random as noise
from numpy.random import default_rng as generator
"""


@pytest.mark.parametrize(
    "call",
    [
        *("mx.random.seed({})", "mx.random.key({})", "random.Random(x={})", "noise.seed(~{})"),
        *("np.random.default_rng([{}, 2])", "np.random.RandomState(seed={})", "generator({})"),
        *("np.random.Philox(key={})", "np.random.Generator(np.random.PCG64({}))"),
        *("torch.manual_seed(-{} + 1)", "jax.random.PRNGKey(seed={})"),
    ],
)
@given(st.integers(0, 2**80), st.integers(0, 2**80))
def test_the_number_given_to_a_seed_function_is_masked(call: str, one: int, other: int) -> None:
    first, second = (arm_fingerprint(IMPORTS + call.format(seed)) for seed in (one, other))
    assert first == second


@pytest.mark.parametrize(
    "code",
    [
        "def seed(x): return x\nDEPTH = seed({})",
        "DEPTH = seed({})",
        "self.key(x.reshape(B, T, 4, {}))",
        "mx.random.seed(train({}))",
        "mx.random.seed(DEPTH := {})",
        "mx.random.key(0).of({})",
        "mx.random.seed(0, {})",
        "np.random.Philox(counter={})",
        "model.random.seed({})",
        "import lib as mx\nDEPTH = mx.random.seed({})",
        "from lib import *\nDEPTH = mx.random.seed({})",
        "from .numpy.random import seed\nDEPTH = seed({})",
        "class mx: ...\nDEPTH = mx.random.seed({})",
        "mx.random.seed = lambda x: x\nDEPTH = mx.random.seed({})",
        "def build(random): return random.seed({})",
        "for mx in (): DEPTH = mx.random.seed({})",
        "try: ...\nexcept E as mx: DEPTH = mx.random.seed({})",
        "match x:\n  case [mx, *_]: DEPTH = mx.random.seed({})",
    ],
)
@given(st.integers(0, 2**80), st.integers(0, 2**80))
def test_a_number_that_is_given_to_anything_else_makes_another_arm(
    code: str, one: int, other: int
) -> None:
    first, second = (arm_fingerprint(IMPORTS + code.format(number)) for number in (one, other))
    assert (first == second) == (one == other)


def test_texts_cannot_imitate_structure() -> None:
    assert arm_fingerprint("f('a', 'b')") != arm_fingerprint("""f("a', 'b")""")
    assert arm_fingerprint("x = 'int:1'") != arm_fingerprint("x = 1")
    assert arm_fingerprint("x = None") != arm_fingerprint("x = 'None'")


def test_code_nested_deeper_than_the_interpreters_stack_has_a_fingerprint() -> None:
    deep = "x = 1" + " + 1" * 900
    assert ast.parse(deep)
    assert arm_fingerprint(deep) != arm_fingerprint(deep + " + 1")


def test_numbers_of_any_length_have_a_fingerprint() -> None:
    assert arm_fingerprint(f"x = 0x{'f' * 10_000}")


def test_a_source_that_is_not_python_keeps_its_plain_fingerprint() -> None:
    assert arm_fingerprint("depth: [1,") == fingerprint("depth: [1,")
