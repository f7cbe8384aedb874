"""The launcher owns the seed, becomes the command, and dies with its parent."""

import importlib.util
import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

LAUNCHER = Path(__file__).parents[2] / "server/autoresearch_mcp/effects/launcher.py"


def launch(script: Path, *arguments: str, seed: int = 1) -> str:
    command = [sys.executable, "-I", "-B", str(LAUNCHER), "python", str(script), *arguments]
    environment = {"ARAH_TRIAL_SEED": str(seed), "PATH": "/usr/bin:/bin"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return done.stdout


@pytest.fixture
def script(tmp_path: Path) -> Path:
    return tmp_path / "train.py"


SOURCES = {
    "random": "import random; random.seed(42); print(random.random())",
    "unseeded random": "import random; print(random.random())",
    "numpy": "import numpy as np; np.random.seed(42); print(np.random.rand())",
    "numpy generator": "import numpy as np; print(np.random.default_rng(42).random())",
    "numpy entropy": "import numpy as np; print(np.random.default_rng().random())",
    "a generator of random's": "import random; print(random.Random(42).random())",
    "numpy number": "import numpy as np; np.random.seed(np.int64(42)); print(np.random.rand())",
    "numpy state": "import numpy as np; print(np.random.RandomState(42).rand())",
    **{
        f"numpy {made}": f"import numpy as np; print(np.random.{made}.random_raw())"
        for made in (
            *("Philox(42)", "Philox()", "Philox(key=42)", "Philox(None, None, 42)"),
            "Philox(key=np.array([4, 2]), counter=7)",
        )
    },
    "numpy bits": "import numpy as np; print(np.random.Generator(np.random.Philox(42)).random())",
    "numpy sequence": (
        "import numpy as np; print(np.random.default_rng(np.random.SeedSequence(42)).random())"
    ),
    "mlx": "import mlx.core as mx; mx.random.seed(42); print(mx.random.uniform().item())",
    "unseeded mlx": "import mlx.core as mx; print(mx.random.uniform().item())",
    "mlx key": "import mlx.core as mx; print(mx.random.uniform(key=mx.random.key(42)).item())",
}


@pytest.mark.parametrize("name", SOURCES)
def test_the_trials_seed_decides_whatever_the_recipe_asks_for(script: Path, name: str) -> None:
    if "mlx" in name and importlib.util.find_spec("mlx") is None:
        pytest.skip("no MLX here")
    script.write_text(SOURCES[name])

    assert launch(script, seed=1) == launch(script, seed=1)
    assert launch(script, seed=1) != launch(script, seed=2)


def test_two_seeds_of_the_recipe_stay_two_seeds(script: Path) -> None:
    script.write_text("import random, sys; random.seed(int(sys.argv[1])); print(random.random())")

    assert launch(script, "1") != launch(script, "2")


def test_two_keys_of_the_recipe_stay_two_keys(script: Path) -> None:
    script.write_text(
        "import sys, numpy as np; print(np.random.Philox(key=int(sys.argv[1])).random_raw())"
    )

    assert launch(script, "1") != launch(script, "2")


def test_a_seed_and_a_key_are_refused_by_numpy_as_ever(script: Path) -> None:
    script.write_text(
        "import numpy as np\n"
        "try:\n    np.random.Philox(1, key=2)\n"
        "except ValueError:\n    print('refused')\n"
    )

    assert launch(script) == "refused\n"


def test_no_bit_generator_of_numpys_is_left_out(script: Path) -> None:
    script.write_text(
        "import numpy as np\n"
        "kinds = [one for one in vars(np.random).values() if isinstance(one, type)\n"
        "         and issubclass(one, np.random.BitGenerator)]\n"
        "print(sorted(one.__name__ for one in kinds if one.__module__.startswith('numpy')))\n"
    )

    assert launch(script) == "['BitGenerator']\n"


def test_the_script_sees_itself_as_the_program(script: Path) -> None:
    script.write_text(
        "import sys, beside\nprint(__name__, sys.argv[1:], sys.path[0] == beside.FOLDER)"
    )
    (script.parent / "beside.py").write_text("import os\nFOLDER = os.path.dirname(__file__)")

    assert launch(script, "--depth", "4") == "__main__ ['--depth', '4'] True\n"


def test_any_other_program_takes_its_place() -> None:
    command = [sys.executable, "-I", str(LAUNCHER), "exec", "/bin/echo", "hello", "world"]

    assert subprocess.check_output(command) == b"hello world\n"


@pytest.mark.skipif(sys.platform != "linux", reason="a promise of the Linux kernel")
def test_a_run_ends_when_its_supervisor_is_killed(script: Path) -> None:
    script.write_text("import os, time; print(os.getpid(), flush=True); time.sleep(3600)")
    parent = (
        "import subprocess, sys\n"
        "child = subprocess.Popen(sys.argv[1:], env={'ARAH_TRIAL_SEED': '1'})\n"
        "child.wait()\n"
    )
    command = [sys.executable, "-c", parent, sys.executable, "-I", str(LAUNCHER), "python"]
    with subprocess.Popen([*command, str(script)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline().strip().isdigit()
        process.kill()
        # The pipe closes when its last writer, the run, has ended.
        assert process.stdout.read() == ""


@pytest.mark.parametrize("is_alive", [True, False])
def test_a_run_whose_supervisor_died_before_it_began_does_not_begin(
    script: Path, is_alive: bool
) -> None:
    script.write_text("print('begun')")
    mine, theirs = socket.socketpair()
    settings = script.with_name("run.json")
    settings.write_text(json.dumps({"handover_fd": theirs.fileno()}))
    if not is_alive:
        mine.close()
    done = subprocess.run(
        [sys.executable, "-I", "-B", str(LAUNCHER), "python", str(script)],
        env={"ARAH_TRIAL_SEED": "1", "AUTORESEARCH_RUN": str(settings), "PATH": os.defpath},
        pass_fds=[theirs.fileno()],
        capture_output=True,
        text=True,
        check=False,
    )
    mine.close()
    theirs.close()

    assert ("begun" in done.stdout) == is_alive
    assert ("supervisor is gone" in done.stderr) != is_alive
