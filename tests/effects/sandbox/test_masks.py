"""A folder with something masked in it is granted by its other entries."""

from pathlib import Path

from autoresearch_mcp.effects.sandbox import bubblewrap, masks


def grown(root: Path, *files: str) -> None:
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).write_text(file)


def pieces(root: Path, readable: list[str], masked: list[str]) -> dict[str, bool]:
    paths = masks.hidden(str(root / one) for one in masked)
    found = masks.pieces(masks.resolved(str(root / one) for one in readable), paths)
    return {str(Path(path).relative_to(root)): whole for path, whole in found}


def test_a_folder_without_masks_is_granted_whole(tmp_path: Path) -> None:
    grown(tmp_path, "lib/a", "lib/b")
    assert pieces(tmp_path, ["lib"], ["other/a"]) == {"lib": True}


def test_entries_beside_a_masked_file_are_granted_one_by_one(tmp_path: Path) -> None:
    grown(tmp_path, "lib/a", "lib/sub/b", "lib/sub/c", "lib/deep/d")
    assert pieces(tmp_path, ["lib"], ["lib/sub/c"]) == {
        "lib": False,
        "lib/a": True,
        "lib/deep": True,
        "lib/sub": False,
        "lib/sub/b": True,
    }


def test_a_readable_path_within_a_masked_one_is_granted(tmp_path: Path) -> None:
    grown(tmp_path, "lib/python3/os.py", "lib/python4/os.py", "lib/x.so")
    found = pieces(tmp_path, ["lib", "lib/python3"], ["lib/python3", "lib/python4"])
    assert found == {"lib": False, "lib/x.so": True, "lib/python3": True}


def test_what_a_module_was_compiled_to_is_masked_with_it(tmp_path: Path) -> None:
    compiled = ("a.cpython-311.pyc", "a.cpython-311.opt-1.pyc", "ab.cpython-311.pyc")
    grown(tmp_path, "lib/a.py", "lib/ab.py", *(f"lib/__pycache__/{name}" for name in compiled))
    assert pieces(tmp_path, ["lib"], ["lib/a.py"]) == {
        "lib": False,
        "lib/ab.py": True,
        "lib/__pycache__": False,
        "lib/__pycache__/ab.cpython-311.pyc": True,
    }


def test_a_link_beside_a_masked_file_does_not_bring_it_back(tmp_path: Path) -> None:
    grown(tmp_path, "venv/lib/a", "venv/lib/masked")
    (tmp_path / "venv/lib64").symlink_to("lib")
    assert pieces(tmp_path, ["venv"], ["venv/lib/masked"]) == {
        "venv": False,
        "venv/lib": False,
        "venv/lib/a": True,
    }


def test_a_masked_link_masks_what_it_leads_to(tmp_path: Path) -> None:
    grown(tmp_path, "lib/real", "lib/other")
    (tmp_path / "lib/link").symlink_to("real")
    assert pieces(tmp_path, ["lib"], ["lib/link"]) == {"lib": False, "lib/other": True}


def test_bubblewrap_mounts_inner_paths_last_and_makes_the_links(tmp_path: Path) -> None:
    grown(tmp_path, "real/data/a", "real/data/b", "scratch/x")
    (tmp_path / "link").symlink_to("real/data")
    real, scratch, link = (str(tmp_path / name) for name in ("real/data", "scratch", "link"))
    assert bubblewrap.mounts(
        read=[link, "/dev/null"], write=[scratch], masked=[f"{real}/b", f"{real}/none"], devices=[]
    ) == [
        *("--ro-bind", "/dev/null", "/dev/null"),
        *("--ro-bind", real, real),
        *("--ro-bind", "/dev/null", f"{real}/b"),
        *("--bind", scratch, scratch),
        *("--symlink", "real/data", link),
        *("--remount-ro", "/"),
    ]
