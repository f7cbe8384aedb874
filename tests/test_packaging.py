"""What a person gets who installs a wheel, and what `./run` does before there is anything."""

import json
import os
import shlex
import shutil
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

import autoresearch_mcp

ROOT = Path(__file__).parents[1]
RECIPE = ("prepare.py", "protocol.json", "results.tsv", "train.py")
TOOLS = Path(sys.executable).parent
EXEC_PYTHON = f'exec {shlex.quote(sys.executable)} "$@"'
EXEC_UV = f'exec {shlex.quote(str(TOOLS / "uv"))} "$@"'


def build(source: Path, output: Path, *flags: str) -> Path:
    """Build one archive with the locked back end and no network, and return it."""
    command = ["uv", "build", "--offline", "--no-build-isolation", "--quiet"]
    places = ["--python", sys.executable, "--out-dir", str(output), str(source)]
    subprocess.run(
        [*command, *flags, *places],
        env=os.environ | {"PATH": f"{TOOLS}{os.pathsep}{os.environ['PATH']}"},
        check=True,
    )
    (archive,) = (file for file in output.iterdir() if not file.name.startswith("."))
    return archive


@pytest.fixture(scope="module")
def sdist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("sdist"), "--sdist")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(ROOT, tmp_path_factory.mktemp("wheel"), "--wheel")


def test_the_package_shows_the_recipe_of_the_checkout() -> None:
    folder = Path(autoresearch_mcp.__file__).parent / "recipe"
    assert sorted(file.name for file in folder.iterdir()) == sorted(RECIPE)
    for name in RECIPE:
        assert (folder / name).samefile(ROOT / name)


def test_the_wheel_holds_the_recipe_as_it_is_in_the_checkout(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        for name in RECIPE:
            packed = archive.read(f"autoresearch_mcp/recipe/{name}")
            assert packed == (ROOT / name).read_bytes()


def test_the_source_archive_has_no_links_and_makes_the_same_wheel(
    sdist: Path, wheel: Path, tmp_path: Path
) -> None:
    with tarfile.open(sdist) as archive:
        assert not [member.name for member in archive if member.issym() or member.islnk()]
    subprocess.run(["tar", "-xzf", sdist, "-C", tmp_path], check=True)
    (source,) = tmp_path.iterdir()
    again = build(source, tmp_path / "wheel", "--wheel")
    assert again.name == wheel.name
    assert again.read_bytes() == wheel.read_bytes()


def test_an_installed_wheel_has_the_command(wheel: Path, tmp_path: Path) -> None:
    target = tmp_path / "installed"
    flags = ["--offline", "--quiet", "--no-deps", "--target", str(target)]
    subprocess.run(
        [TOOLS / "uv", "pip", "install", *flags, "--python", sys.executable, str(wheel)],
        check=True,
    )
    code = "import autoresearch_mcp.cli as c; print(c.__file__); assert callable(c.main)"
    answer = subprocess.run(
        [sys.executable, "-c", code],
        env=os.environ | {"PYTHONPATH": str(target)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert answer.stdout.startswith(str(target))
    assert (target / "bin" / "autoresearch-mcp").is_file()


@pytest.mark.parametrize("lock", sorted((ROOT / "locks").iterdir()), ids=lambda path: path.name)
def test_a_lock_pins_every_package_by_hash_and_names_no_host(lock: Path) -> None:
    text = lock.read_text()
    packages = [line for line in text.splitlines() if not line.startswith(" ")]
    assert all("==" in line and line.endswith("\\") for line in packages)
    assert "://" not in text


def test_the_npm_lock_pins_every_package_by_hash_and_names_no_registry() -> None:
    text = (ROOT / "package-lock.json").read_text()
    assert '"resolved"' not in text
    # The root package is the one entry without a hash of its own.
    assert text.count('"version"') == text.count('"integrity"') > 0


def test_the_changelog_has_this_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    changes = (ROOT / "CHANGELOG.md").read_text()
    assert project["version"] in changes


def test_the_bundle_is_valid_and_holds_the_server(tmp_path: Path) -> None:
    program = shutil.which("mcpb")
    if program is None:
        pytest.skip("not run: mcpb is not installed (./run npm ci)")
    subprocess.run([ROOT / ".ci/bundle", tmp_path], check=True, capture_output=True)
    with zipfile.ZipFile(tmp_path / "autoresearch-mcp.mcpb") as archive:
        names = set(archive.namelist())
        manifest = json.loads(archive.read("manifest.json"))

    assert {manifest["server"]["entry_point"], "pyproject.toml", "LICENSE"} <= names
    assert "server/autoresearch_mcp/recipe/train.py" in names


def test_bundle_and_registry_entry_name_this_version_and_command() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    bundle = json.loads((ROOT / "bundle/manifest.json").read_text())
    entry = json.loads((ROOT / "server.json").read_text())
    (package,) = entry["packages"]

    assert bundle["version"] == entry["version"] == package["version"] == project["version"]
    assert bundle["name"] == package["identifier"] == project["name"]
    assert bundle["description"] == entry["description"] == project["description"]
    assert len(entry["description"]) <= 100
    assert f"mcp-name: {entry['name']}" in (ROOT / "README.md").read_text()
    flag, recipe = bundle["server"]["mcp_config"]["args"][-2:]
    assert (flag, recipe) == ("--repo", "${user_config.recipe}")
    assert package["packageArguments"][1]["name"] == flag


# ./run, in a repository of three files and on a machine without anything.


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    root = tmp_path / "clone"
    (root / "locks").mkdir(parents=True)
    shutil.copy(ROOT / "run", root)
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copy(ROOT / "locks/cpu.lock", root / "locks")
    return root


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    """A PATH with the system's small tools, and no Python, pip or uv."""
    folder = tmp_path / "bin"
    folder.mkdir()
    for name in ("cat", "cmp", "dirname", "mkdir", "mv", "rm", "sed", "uname"):
        found = shutil.which(name)
        assert found is not None
        (folder / name).symlink_to(found)
    return folder


def offer(folder: Path, name: str, script: str) -> None:
    (folder / name).write_text(f"#!/bin/sh\n{script}\n")
    (folder / name).chmod(0o755)


def run(clone: Path, commands: Path, *command: str, **extra: str) -> tuple[int, str, str]:
    environment = {"PATH": str(commands), "HOME": str(clone), "UV_OFFLINE": "1", **extra}
    answer = subprocess.run(
        [clone / "run", *command],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    return answer.returncode, answer.stdout, answer.stderr


def test_run_without_a_python_says_what_to_install(clone: Path, commands: Path) -> None:
    offer(commands, "python3", "exit 1")  # too old, as its own check would say
    code, out, err = run(clone, commands, "pytest")
    assert (code, out) == (3, "")
    assert "no Python 3.11 to 3.14" in err
    assert "PYTHON=" in err


def test_run_without_pip_venv_and_uv_says_what_to_install(clone: Path, commands: Path) -> None:
    offer(commands, "python3", f'[ "$1" != -m ] && {EXEC_PYTHON}')
    code, out, err = run(clone, commands, "pytest")
    assert (code, out) == (3, "")
    assert "apt-get install python3-pip" in err


def test_run_takes_a_newer_python_where_plain_python3_is_too_old(
    clone: Path, commands: Path
) -> None:
    offer(commands, "python3", "exit 1")
    offer(commands, "python3.12", f'[ "$1" != -m ] && {EXEC_PYTHON}')
    _, _, err = run(clone, commands, "pytest")
    assert "python3.12 has neither pip nor venv" in err


def test_a_failed_build_leaves_nothing_that_passes_for_done(clone: Path, commands: Path) -> None:
    offer(commands, "python3", EXEC_PYTHON)
    offer(commands, "uv", EXEC_UV)
    for _ in range(2):
        code, out, err = run(clone, commands, "python", "--version")
        assert (code, out) == (3, "")
        assert "setting up .venv" in err
        assert "could not be built" in err
        assert not (clone / ".venv").exists()


def test_run_names_the_locks_where_the_flavour_is_unknown(clone: Path, commands: Path) -> None:
    code, _, err = run(clone, commands, "pytest", MLX="tpu")
    assert code == 3
    assert "MLX=tpu" in err
    assert "cpu.lock" in err


def test_a_finished_environment_is_used_as_it_is(clone: Path, commands: Path) -> None:
    """No Python and no uv is on PATH: a second call must need neither."""
    inputs = [f"{clone}\n", (clone / "pyproject.toml").read_text()]
    inputs.append((clone / "locks/cpu.lock").read_text())
    programs = clone / ".venv/bin"
    programs.mkdir(parents=True)
    offer(programs, "python", "exit 1")
    offer(programs, "hello", 'printf "%s|" "$@" "$VIRTUAL_ENV" "$PWD"')
    (clone / ".venv/built-from").write_text("".join(inputs))

    code, out, err = run(clone, commands, "hello", "two words", "*")

    assert (code, out, err) == (0, f"two words|*|{clone}/.venv|{Path.cwd()}|", "")


@pytest.mark.parametrize("changed", ["pyproject.toml", "locks/cpu.lock"])
def test_a_change_of_the_lock_or_the_project_builds_again(
    clone: Path, commands: Path, changed: str
) -> None:
    test_a_finished_environment_is_used_as_it_is(clone, commands)
    with (clone / changed).open("a") as file:
        file.write("# changed\n")
    code, _, err = run(clone, commands, "hello")
    assert code == 3
    assert "no Python 3.11 to 3.14" in err
