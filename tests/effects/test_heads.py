"""What is checked out is what git says, in every form that a repository can have it."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository import Head, Repository

Git = Callable[..., str]


def as_git_says(git: Git) -> Head:
    """Ask git itself."""
    name = git("rev-parse", "--symbolic-full-name", "HEAD")
    return Head(git("rev-parse", "HEAD^{commit}"), None if name == "HEAD" else name)


def plain(repo: Path, git: Git) -> None:
    """Leave everything as it is."""


def packed(repo: Path, git: Git) -> None:
    git("pack-refs", "--all")
    assert not (repo / ".git/refs/heads/main").exists()


def packed_with_a_folder_in_its_place(repo: Path, git: Git) -> None:
    packed(repo, git)
    (repo / ".git/refs/heads/main").mkdir()


def packed_and_moved(repo: Path, git: Git) -> None:
    packed(repo, git)
    git("commit", "--quiet", "--allow-empty", "--message", "more")


def detached(repo: Path, git: Git) -> None:
    git("checkout", "--quiet", "--detach")


def detached_at_a_tag(repo: Path, git: Git) -> None:
    git("tag", "--annotate", "--message", "one", "v1")
    (repo / ".git/HEAD").write_text(git("rev-parse", "v1") + "\n")


def linked(repo: Path, git: Git) -> None:
    """Make HEAD a link, as git did long ago."""
    (repo / ".git/HEAD").unlink()
    (repo / ".git/HEAD").symlink_to("refs/heads/main")


def a_branch_that_names_another(repo: Path, git: Git) -> None:
    git("symbolic-ref", "refs/heads/alias", "refs/heads/main")
    git("symbolic-ref", "HEAD", "refs/heads/alias")


def a_name_of_many_parts(repo: Path, git: Git) -> None:
    git("checkout", "--quiet", "-b", "autoresearch/nov23.b/x_1")


def an_unusual_name(repo: Path, git: Git) -> None:
    git("checkout", "--quiet", "-b", "ideas/d\u00e9j\u00e0+vu@home")


def a_name_with_lock_in_it(repo: Path, git: Git) -> None:
    git("checkout", "--quiet", "-b", "fix.locks")


@pytest.mark.parametrize(
    "arrange",
    [
        *(plain, packed, packed_with_a_folder_in_its_place, packed_and_moved, detached),
        *(detached_at_a_tag, linked, a_branch_that_names_another, a_name_of_many_parts),
        *(an_unusual_name, a_name_with_lock_in_it),
    ],
)
def test_head_is_what_git_says(repo: Path, git: Git, arrange: Callable[[Path, Git], None]) -> None:
    repository = Repository.discover(repo)
    arrange(repo, git)
    for _ in range(2):
        assert repository.head() == as_git_says(git)


def test_every_move_of_head_is_seen_at_once(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    for name in ("one", "two", "main", "one"):
        git("checkout", "--quiet", "-B", name)
        git("commit", "--quiet", "--allow-empty", "--message", name)
        assert repository.head() == as_git_says(git)
        git("gc", "--quiet")
        assert repository.head() == as_git_says(git)


def test_a_linked_worktree_has_a_head_of_its_own(repo: Path, tmp_path: Path, git: Git) -> None:
    git("worktree", "add", "--quiet", "-b", "aside", tmp_path / "aside")
    git("commit", "--quiet", "--allow-empty", "--message", "aside", cwd=tmp_path / "aside")
    aside, main = Repository.discover(tmp_path / "aside").head(), Repository.discover(repo).head()
    assert (aside.branch, main.branch) == ("aside", "main")
    assert aside.commit == git("rev-parse", "aside")
    assert main.commit == git("rev-parse", "main")


def test_a_name_that_leads_out_of_the_branches_is_not_followed(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    (repo / ".git/elsewhere").write_text(git("rev-parse", "HEAD") + "\n")
    (repo / ".git/HEAD").write_text("ref: refs/heads/../../elsewhere\n")
    with pytest.raises(Fault):
        repository.head()


def test_a_repository_of_reftables_is_read_by_git(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "tables"
    made = subprocess.run(["git", "init", "--quiet", "--ref-format=reftable", folder], check=False)
    if made.returncode != 0:
        pytest.skip("this git has no reftables")
    git("commit", "--quiet", "--allow-empty", "--message", "one", cwd=folder)
    assert Repository.discover(folder).head().commit == git("rev-parse", "HEAD", cwd=folder)


def test_head_is_read_without_a_process_once_its_commit_is_known(
    repo: Path, git: Git, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository.discover(repo)
    expected = as_git_says(git)
    with monkeypatch.context() as machine:
        machine.setenv("PATH", str(tmp_path))  # there is no git here
        assert repository.head() == expected
