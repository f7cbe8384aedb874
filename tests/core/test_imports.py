"""What a source imports and what a project declares."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.imports import DEPENDENCY_FILES, declared, imported

SOURCE = """
import os.path, numpy as np
from scipy.stats import norm
from . import own
from .own import thing
import importlib
def late():
    import torch
    __import__("pandas")
    importlib.import_module("jax.numpy")
    importlib.import_module(".own", "pkg")
    importlib.import_module(name)
"""
PROJECT = """
[project]
dependencies = ["Scikit_Learn>=1.0", "mlx[cpu]==0.3 ; sys_platform == 'linux'"]
optional-dependencies = {x = ["numpy"]}
[dependency-groups]
dev = ["pytest>=9", {include-group = "x"}]
"""


def test_imports_are_found_wherever_they_hide() -> None:
    assert imported(SOURCE) == {
        "os": 2, "numpy": 2, "scipy": 3, "importlib": 6, "torch": 8, "pandas": 9, "jax": 10
    }  # fmt: skip


def test_every_way_to_declare_a_dependency_counts() -> None:
    requirements = "# comment\nRequests==2.0 --hash=x\n-r other.txt\n\n  PyYAML\n"
    assert declared(PROJECT, [requirements]) == {
        "scikit-learn", "mlx", "numpy", "pytest", "requests", "pyyaml"
    }  # fmt: skip


@pytest.mark.parametrize(
    "text",
    ["", "[", "project = 1", "[project]\ndependencies = 'x'", "[dependency-groups]\na = [1, 2]",
     "[project]\noptional-dependencies = []"],
)  # fmt: skip
def test_a_file_that_declares_nothing_declares_nothing(text: str) -> None:
    assert declared(text, []) == frozenset()


@given(st.text(), st.text())
def test_any_text_is_read(pyproject: str, requirements: str) -> None:
    assert isinstance(declared(pyproject, [requirements]), frozenset)


@pytest.mark.parametrize("name", ["pyproject.toml", "a/requirements-x.txt", "uv.lock", "setup.py"])
def test_a_file_of_dependencies_is_known(name: str) -> None:
    assert DEPENDENCY_FILES.fullmatch(name)
    assert not DEPENDENCY_FILES.fullmatch("train.py")
