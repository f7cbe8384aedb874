"""Compiled kernels: what a run of the recipe leaves, later runs start from, on copies."""

from pathlib import Path

from autoresearch_mcp.effects import kernels


def _store(cache: Path) -> Path:
    return kernels.store(cache, ["mlx 0.32.4", "cuda13", "a device"])


def test_what_one_run_compiled_the_next_one_finds(tmp_path: Path) -> None:
    made = tmp_path / "made"
    (made / "deep").mkdir(parents=True)
    (made / "deep" / "add.ptx").write_text("kernel")
    kernels.fill(_store(tmp_path), {"run": made})

    kernels.lend(_store(tmp_path), "run", tmp_path / "mine")

    assert (tmp_path / "mine" / "deep" / "add.ptx").read_text() == "kernel"


def test_what_a_run_writes_to_its_copy_reaches_no_other_run(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "add.ptx").write_text("kernel")
    kernels.fill(_store(tmp_path), {"run": made})
    kernels.lend(_store(tmp_path), "run", tmp_path / "first")
    (tmp_path / "first" / "add.ptx").write_text("something else")

    kernels.lend(_store(tmp_path), "run", tmp_path / "second")

    assert (tmp_path / "second" / "add.ptx").read_text() == "kernel"


def test_a_run_before_the_store_holds_any_starts_with_an_empty_folder(tmp_path: Path) -> None:
    kernels.lend(_store(tmp_path), "run", tmp_path / "mine")

    assert not kernels.holds(_store(tmp_path), ["run"])
    assert list((tmp_path / "mine").iterdir()) == []


def test_a_store_that_lacks_a_provers_gets_them_later(tmp_path: Path) -> None:
    made: dict[kernels.Whose, Path] = {"run": tmp_path / "run", "prover": tmp_path / "prover"}
    for folder in made.values():
        folder.mkdir()
    kernels.fill(_store(tmp_path), {"run": made["run"]})
    assert not kernels.holds(_store(tmp_path), made)

    kernels.fill(_store(tmp_path), made)

    assert kernels.holds(_store(tmp_path), made)


def test_making_what_a_store_lacks_is_tried_twice(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    due: list[bool] = []
    for _ in range(2):
        due.append(kernels.are_due(_store(tmp_path), ["run", "prover"]))
        kernels.fill(_store(tmp_path), {"run": tmp_path / "run"})

    assert due == [True, True]
    assert not kernels.are_due(_store(tmp_path), ["run", "prover"])
    assert not kernels.holds(_store(tmp_path), ["run", "prover"])


def test_a_filled_store_stays_as_it_is(tmp_path: Path) -> None:
    for text in ("first", "second"):
        made = tmp_path / text
        made.mkdir()
        (made / "add.ptx").write_text(text)
        kernels.fill(_store(tmp_path), {"run": made})

    assert (_store(tmp_path) / "run" / "add.ptx").read_text() == "first"
    assert [path.name for path in _store(tmp_path).parent.iterdir()] == [_store(tmp_path).name]


def test_a_link_is_not_kept(tmp_path: Path) -> None:
    made = tmp_path / "made"
    made.mkdir()
    (made / "secret").symlink_to("/etc/passwd")
    kernels.fill(_store(tmp_path), {"run": made})

    assert not (_store(tmp_path) / "run" / "secret").is_symlink()


def test_a_link_in_place_of_the_folder_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "key").write_text("secret")
    (tmp_path / "made").symlink_to(tmp_path / "precious")
    kernels.fill(_store(tmp_path), {"run": tmp_path / "made"})

    assert not (_store(tmp_path) / "run").exists()


def test_a_run_and_a_prover_have_each_their_own(tmp_path: Path) -> None:
    made: dict[kernels.Whose, Path] = {"run": tmp_path / "run", "prover": tmp_path / "prover"}
    for whose, folder in made.items():
        folder.mkdir()
        (folder / "index").write_text(whose)
    kernels.fill(_store(tmp_path), made)

    for whose in made:
        kernels.lend(_store(tmp_path), whose, tmp_path / f"{whose}s")
        assert (tmp_path / f"{whose}s" / "index").read_text() == whose


def test_another_device_has_another_store(tmp_path: Path) -> None:
    assert kernels.store(tmp_path, ["a"]) != kernels.store(tmp_path, ["b"])
