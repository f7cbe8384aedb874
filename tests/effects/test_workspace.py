"""Single files of the user's tree are read and replaced, and nothing but plain files."""

import hashlib
import os
import resource
import socket
import stat
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.effects.workspace import Conflict, Workspace

OLD = b"DEPTH = 4\n"
NEW = b"DEPTH = 8\r\n\xff"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    folder.mkdir()
    (folder / "train.py").write_bytes(OLD)
    return folder


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def make_symlink(path: Path) -> None:
    path.symlink_to("prepare.py")


def make_dangling_symlink(path: Path) -> None:
    path.symlink_to("nowhere")


def make_hard_link(path: Path) -> None:
    path.hardlink_to(path.parent / "prepare.py")


def make_folder(path: Path) -> None:
    path.mkdir()


def make_fifo(path: Path) -> None:
    os.mkfifo(path)


def make_socket(path: Path) -> None:
    # Bound by a short relative name: the path of a socket has a limit of 108 bytes.
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def make_device(path: Path) -> None:
    try:
        os.mknod(path, stat.S_IFCHR | 0o600, os.makedev(1, 3))
    except PermissionError:
        pytest.skip("only root makes devices")


ODD_FILES = [
    (make_symlink, "symbolic link"),
    (make_dangling_symlink, "symbolic link"),
    (make_hard_link, "hard link"),
    (make_folder, "folder"),
    (make_fifo, "named pipe"),
    (make_socket, "socket"),
    (make_device, "device"),
]

ODD_NAMES = [
    "",
    ".",
    "..",
    "/etc/passwd",
    "../train.py",
    "./train.py",
    "a/../train.py",
    "a/../../train.py",
    "train.py/",
    "//train.py",
    "a//train.py",
    "train.py\0",
    "train.py\0.txt",
    ".git/config",
    ".GIT/config",
    "a/.git/hooks/pre-commit",
]


def test_a_plain_file_is_read_byte_for_byte(root: Path) -> None:
    assert Workspace(root).read("train.py") == OLD
    assert Workspace(root).digest("train.py") == sha256(OLD)


@pytest.mark.parametrize(("make", "kind"), ODD_FILES)
def test_anything_but_a_plain_file_is_refused_and_named(
    root: Path, make: Callable[[Path], None], kind: str
) -> None:
    (root / "prepare.py").write_bytes(b"harness")
    (root / "train.py").unlink()
    make(root / "train.py")
    workspace = Workspace(root)

    for use in (
        lambda: workspace.read("train.py"),
        lambda: workspace.digest("train.py"),
        lambda: workspace.write("train.py", NEW, expected=sha256(b"harness")),
        lambda: workspace.write("train.py", NEW, expected=None),
    ):
        with pytest.raises(Refusal, match=kind) as refused:
            use()
        assert refused.value.code == "surface.file"
    assert (root / "prepare.py").read_bytes() == b"harness"
    assert names(root) == ["prepare.py", "train.py"]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_a_name_that_is_not_plainly_inside_is_refused(root: Path, name: str) -> None:
    workspace = Workspace(root)
    for use in (
        lambda: workspace.read(name),
        lambda: workspace.digest(name),
        lambda: workspace.write(name, NEW, expected=None, make_folders=True),
    ):
        with pytest.raises(Refusal) as refused:
            use()
        assert refused.value.code == "surface.path"
    assert names(root) == ["train.py"]


def test_a_link_in_the_place_of_a_folder_is_not_followed(root: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "train.py").write_bytes(OLD)
    (root / "model").symlink_to(outside)
    workspace = Workspace(root)
    with pytest.raises(Refusal, match="not a plain folder"):
        workspace.read("model/train.py")
    with pytest.raises(Refusal, match="not a plain folder"):
        workspace.write("model/deep/train.py", NEW, expected=None, make_folders=True)
    assert names(outside) == ["train.py"]


def test_a_root_that_is_a_link_is_a_fault(root: Path, tmp_path: Path) -> None:
    (tmp_path / "alias").symlink_to(root)
    with pytest.raises(Fault, match=r"Not a directory|symbolic links"):
        Workspace(tmp_path / "alias").read("train.py")


def test_a_missing_file_is_a_refusal_to_read_and_has_no_digest(root: Path) -> None:
    for name in ("other.py", "no/such/folder.py"):
        with pytest.raises(Refusal) as refused:
            Workspace(root).read(name)
        assert refused.value.code == "surface.missing"
        assert Workspace(root).digest(name) is None


def test_a_file_over_the_limit_is_refused_but_has_a_digest(root: Path) -> None:
    big = bytes((1 << 20) + 1)
    (root / "train.py").write_bytes(big)
    with pytest.raises(Refusal, match="larger than 1048576 bytes"):
        Workspace(root).read("train.py")
    assert Workspace(root).read("train.py", limit=len(big)) == big
    assert Workspace(root).digest("train.py") == sha256(big)


@pytest.mark.parametrize("mode", [0o644, 0o755, 0o600])
def test_a_write_replaces_the_content_and_keeps_the_mode(root: Path, mode: int) -> None:
    (root / "train.py").chmod(mode)
    Workspace(root).write("train.py", NEW, expected=sha256(OLD))
    assert (root / "train.py").read_bytes() == NEW
    assert stat.S_IMODE((root / "train.py").stat().st_mode) == mode
    assert names(root) == ["train.py"]


def test_a_write_over_other_content_is_a_conflict_and_changes_nothing(root: Path) -> None:
    before = (root / "train.py").stat()
    for expected in (sha256(b"something else"), None):
        with pytest.raises(Conflict, match=r"train\.py") as conflict:
            Workspace(root).write("train.py", NEW, expected=expected)
        assert conflict.value.path == "train.py"
    after = (root / "train.py").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)
    assert (root / "train.py").read_bytes() == OLD
    assert names(root) == ["train.py"]


def test_a_file_that_went_away_is_a_conflict_and_is_not_made_again(root: Path) -> None:
    (root / "train.py").unlink()
    with pytest.raises(Conflict):
        Workspace(root).write("train.py", NEW, expected=sha256(OLD))
    assert names(root) == []


def test_writing_what_is_there_already_succeeds_whatever_was_expected(root: Path) -> None:
    before = (root / "train.py").stat()
    Workspace(root).write("train.py", OLD, expected=sha256(b"the content before a crash"))
    assert (root / "train.py").stat().st_ino == before.st_ino


def test_a_new_file_is_made_with_its_folders_only_when_asked(root: Path) -> None:
    workspace = Workspace(root)
    with pytest.raises(Refusal, match="does not exist"):
        workspace.write("artifacts/night/baseline.json", b"{}", expected=None)
    workspace.write("artifacts/night/baseline.json", b"{}", expected=None, make_folders=True)
    workspace.write("artifacts/night/other.json", b"[]", expected=None, make_folders=True)
    assert (root / "artifacts/night/baseline.json").read_bytes() == b"{}"
    assert names(root / "artifacts/night") == ["baseline.json", "other.json"]


def test_a_disk_that_takes_no_more_leaves_the_old_file_and_no_other(root: Path) -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))
    try:
        with pytest.raises(Fault, match="File too large") as fault:
            Workspace(root).write("train.py", bytes(1000), expected=sha256(OLD))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(fault.value)
    assert (root / "train.py").read_bytes() == OLD
    assert names(root) == ["train.py"]


def test_a_reader_sees_the_old_file_or_the_new_one_and_nothing_between(root: Path) -> None:
    versions = [bytes([number]) * 200_000 for number in range(20)]
    seen: set[bytes] = set()
    stop = threading.Event()

    def watch() -> None:
        while not stop.is_set():
            seen.add((root / "train.py").read_bytes())

    watcher = threading.Thread(target=watch)
    watcher.start()
    present = OLD
    try:
        for version in versions:
            Workspace(root).write("train.py", version, expected=sha256(present))
            present = version
    finally:
        stop.set()
        watcher.join()
    assert seen <= {OLD, *versions}


def test_no_descriptor_is_left_open(root: Path) -> None:
    def count() -> int:
        return len(os.listdir("/dev/fd"))  # noqa: PTH208 - a Path would resolve the link first

    workspace = Workspace(root)
    before = count()
    for _ in range(5):
        workspace.read("train.py")
        workspace.write("a/b/c.py", b"x", expected=None, make_folders=True)
        with pytest.raises(Refusal):
            workspace.read("a/b")
        with pytest.raises(Conflict):
            workspace.write("train.py", NEW, expected=None)
    assert count() == before


def test_a_sweep_removes_what_a_killed_write_left_and_nothing_else(root: Path) -> None:
    left = root / f".autoresearch-{'0' * 32}.tmp"
    for name in (left.name, ".autoresearch-mine.tmp", "train.py.tmp"):
        (root / name).write_bytes(b"half")
    assert Workspace(root).sweep("train.py") == 1
    assert names(root) == [".autoresearch-mine.tmp", "train.py", "train.py.tmp"]
    assert Workspace(root).sweep("train.py") == 0


@given(content=st.binary(max_size=200_000))
def test_what_is_written_is_read_back(
    content: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    workspace = Workspace(tmp_path_factory.mktemp("tree"))
    workspace.write("train.py", content, expected=None)
    assert workspace.read("train.py") == content
    assert workspace.digest("train.py") == sha256(content)
