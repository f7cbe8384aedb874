"""How fast the machine is."""

from pathlib import Path

from autoresearch_mcp.effects import pace


def test_the_fixed_work_takes_some_time_and_not_long() -> None:
    assert 0 < pace.on_cpu() < 5


def test_a_gpu_that_cannot_be_asked_tells_nothing(bare_python: Path) -> None:
    assert pace.on_gpu(bare_python) is None
    assert pace.on_gpu(Path("/nowhere/python")) is None
