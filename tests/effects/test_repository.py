"""Git is read and written exactly, and nothing of the user's is run, moved or changed."""

import hashlib
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.effects.repository import Head, Repository, Vault

Git = Callable[..., str]

WHEN = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BETTER = b"DEPTH = 8\r\nprint(DEPTH)\n\xff"
LOG = b"commit\tval_bpb\n"
BRANCH = "refs/heads/autoresearch/nov23"


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def snapshot(folder: Path) -> Mapping[str, tuple[int, int, bytes]]:
    """Everything in a working tree: mode, time and bytes by name, .git left out."""
    files = (path for path in sorted(folder.rglob("*")) if ".git" not in path.parts)
    return {
        str(path): (
            path.lstat().st_mode,
            path.lstat().st_mtime_ns,
            _content(path),
        )
        for path in files
    }


def _content(path: Path) -> bytes:
    if path.is_symlink():
        return os.fsencode(path.readlink())
    return b"" if path.is_dir() else path.read_bytes()


def research(root: Path) -> tuple[str, str]:
    """Do all that a research run does to git: a branch, a candidate, a keep. Old and new head."""
    repository = Repository.discover(root)
    vault = Vault(repository)
    head = repository.head()
    assert vault.move(BRANCH, head.commit, None)
    assert vault.switch(BRANCH, head)
    candidate = vault.commit(head.commit, {"train.py": BETTER}, "candidate", when=WHEN)
    assert vault.move("refs/autoresearch/trials/1", candidate, None)
    kept = vault.commit(
        head.commit, {"train.py": BETTER, "results.tsv": LOG}, "deeper\n\nEvidence.", when=WHEN
    )
    assert vault.move(BRANCH, kept, head.commit)
    vault.refresh_index(["train.py", "results.tsv"], head.commit, kept)
    return head.commit, kept


def fsck(git: Git, cwd: Path | None = None) -> None:
    assert "error" not in git("fsck", "--strict", "--full", cwd=cwd)


# Finding the repository


def test_the_repository_is_found_from_any_folder_in_it(repo: Path) -> None:
    (repo / "a/b").mkdir(parents=True)
    found = Repository.discover(repo / "a/b")
    assert found.root == repo.resolve()
    assert found.state == repo.resolve() / ".git/autoresearch"
    assert not found.state.exists()


def test_what_cannot_be_used_is_a_fault_that_says_what_to_do(tmp_path: Path, git: Git) -> None:
    (tmp_path / "plain").mkdir()
    git("init", "--quiet", "--bare", tmp_path / "bare", cwd=tmp_path)
    git("init", "--quiet", "--initial-branch=main", tmp_path / "empty", cwd=tmp_path)
    git("init", "--quiet", tmp_path / "line\nbreak", cwd=tmp_path)
    for name, says in {
        "missing": "not a folder",
        "plain": "git init",
        "bare": "path of a checkout",
        "empty/.git": "path of a checkout",
        "empty": "no commit on main yet",
        "line\nbreak": "move it",
    }.items():
        with pytest.raises(Fault, match=says):
            Repository.discover(tmp_path / name)


def test_a_machine_without_git_is_told_to_install_it(repo: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from autoresearch_mcp.core.errors import Fault\n"
        "from autoresearch_mcp.effects.repository import Repository\n"
        "try: Repository.discover(Path(sys.argv[1]))\n"
        "except Fault as fault: print(fault)\n"
    )
    environment = {"PATH": str(repo), "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code, str(repo)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "install git" in done.stdout, done.stderr


def test_a_git_that_goes_away_later_is_a_fault(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    repository = Repository.discover(repo)
    with monkeypatch.context() as machine:
        machine.setenv("PATH", str(tmp_path))
        with pytest.raises(Fault, match="git cannot be started") as fault:
            repository.refs("refs/heads")
    assert "\n" not in str(fault.value)


def test_importing_the_module_does_not_import_gitpython() -> None:
    code = "import sys, autoresearch_mcp.effects.repository; print('git' in sys.modules)"
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == "False\n"


def test_head_names_the_branch_or_none_when_detached(repo: Path, git: Git) -> None:
    commit = git("rev-parse", "HEAD")
    repository = Repository.discover(repo)
    assert repository.head() == Head(commit, "refs/heads/main")
    assert repository.head().branch == "main"
    git("checkout", "--quiet", "--detach")
    assert repository.head() == Head(commit, None)
    assert repository.head().branch is None


def test_exported_git_variables_lead_nowhere_else(
    repo: Path, tmp_path: Path, git: Git, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoy = tmp_path / "decoy"
    git("init", "--quiet", decoy, cwd=tmp_path)
    before = {path: path.stat().st_mtime_ns for path in decoy.rglob("*")}
    exported = {
        "GIT_DIR": decoy / ".git",
        "GIT_WORK_TREE": decoy,
        "GIT_INDEX_FILE": decoy / "index",
        "GIT_OBJECT_DIRECTORY": decoy / ".git/objects",
        "GIT_COMMON_DIR": decoy / ".git",
        "GIT_NAMESPACE": "elsewhere",
        "GIT_QUARANTINE_PATH": decoy,
        "GIT_EXEC_PATH": decoy,
        "GIT_AUTHOR_NAME": "Mallory",
        "GIT_COMMITTER_DATE": "2001-01-01T00:00:00Z",
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "user.name",
        "GIT_CONFIG_VALUE_0": "Mallory",
    }
    with monkeypatch.context() as caller:
        for name, value in exported.items():
            caller.setenv(name, str(value))
        _, kept = research(repo)

    assert {path: path.stat().st_mtime_ns for path in decoy.rglob("*")} == before
    assert git("rev-parse", "HEAD") == kept
    assert (
        git("log", "-1", "--format=%an|%cn|%ct")
        == f"Ada Example|Ada Example|{int(WHEN.timestamp())}"
    )
    assert git("diff", "--cached") == ""


# Reading


def test_files_are_read_from_commits_byte_for_byte(repo: Path) -> None:
    repository = Repository.discover(repo)
    (repo / "train.py").write_bytes(b"not committed")
    head = repository.head().commit
    assert repository.read(head, "train.py") == b"DEPTH = 4\nprint(DEPTH)\n"
    assert repository.read(head, "absent.py") is None
    assert repository.read(head, "no/such/absent.py") is None


def test_the_tree_lists_modes_and_odd_names(repo: Path, git: Git) -> None:
    odd = 'sub dir/näme "with"\nline\tbreak'
    (repo / "sub dir").mkdir()
    (repo / odd).write_bytes(b"12345")
    (repo / "run.sh").write_bytes(b"#!/bin/sh\n")
    (repo / "run.sh").chmod(0o755)
    (repo / "link").symlink_to("train.py")
    git("add", ".")
    git("commit", "--quiet", "--message=more")
    repository = Repository.discover(repo)
    commit = repository.head().commit
    entries = {entry.path: entry for entry in repository.tree(commit)}
    assert entries[odd].mode == "100644"
    assert entries["run.sh"].mode == "100755"
    assert entries["link"].mode == "120000"
    assert len(entries) == 6
    assert [entry.path for entry in repository.tree(commit, "run.sh")] == ["run.sh"]


def test_refs_are_read_by_their_full_name_only(repo: Path, git: Git) -> None:
    git("branch", "refs/heads/main")  # a branch that is itself named like a full name
    git("branch", "topic/one")
    commit = git("rev-parse", "HEAD")
    repository = Repository.discover(repo)
    assert repository.ref("refs/heads/main") == commit
    assert repository.ref("refs/heads/topic") is None
    assert repository.ref("main") is None
    assert repository.refs("refs/heads/topic") == {"refs/heads/topic/one": commit}


def test_a_merge_and_a_rebase_under_way_are_seen(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    assert repository.in_progress() is None
    git("checkout", "--quiet", "-b", "other")
    (repo / "train.py").write_bytes(b"other")
    git("commit", "--quiet", "--all", "--message=other")
    git("checkout", "--quiet", "main")
    (repo / "train.py").write_bytes(b"mine")
    git("commit", "--quiet", "--all", "--message=mine")
    subprocess.run(["git", "merge", "other"], cwd=repo, capture_output=True, check=False)
    assert repository.in_progress() == "merge"
    assert repository.staged("train.py", "prepare.py").keys() == {"prepare.py"}
    git("merge", "--abort")
    subprocess.run(["git", "rebase", "other"], cwd=repo, capture_output=True, check=False)
    assert repository.in_progress() == "rebase"


def test_a_branch_in_another_worktree_is_seen(repo: Path, tmp_path: Path, git: Git) -> None:
    git("worktree", "add", "--quiet", "-b", "topic", tmp_path / "second")
    first, second = Repository.discover(repo), Repository.discover(tmp_path / "second")
    assert first.checked_out_elsewhere("refs/heads/topic")
    assert not first.checked_out_elsewhere("refs/heads/main")
    assert second.checked_out_elsewhere("refs/heads/main")


# Commits


def test_a_commit_replaces_content_and_keeps_everything_else(repo: Path, git: Git) -> None:
    (repo / "train.py").chmod(0o755)
    git("commit", "--quiet", "--all", "--message=executable")
    before = snapshot(repo)
    index = (repo / ".git/index").read_bytes()
    repository = Repository.discover(repo)
    base = repository.head()
    new = Vault(repository).commit(
        base.commit, {"train.py": BETTER, "notes/new.txt": b""}, "deeper", when=WHEN
    )
    assert repository.read(new, "train.py") == BETTER
    assert repository.read(new, "notes/new.txt") == b""
    assert git("ls-tree", "--format=%(objectmode)", new, "train.py") == "100755"
    assert git("diff-tree", "-r", "--name-only", base.commit, new) == "notes/new.txt\ntrain.py"
    assert git("log", "-1", "--format=%P|%an|%ae|%aI|%B", new).split("|") == [
        base.commit,
        "Ada Example",
        "ada@example.org",
        "2026-11-23T12:00:00+00:00",
        "deeper",
    ]
    assert repository.head() == base
    assert (repo / ".git/index").read_bytes() == index
    assert snapshot(repo) == before
    assert list(repository.state.iterdir()) == []
    assert repository.state.stat().st_mode & 0o777 == 0o700


def test_the_same_commit_twice_is_one_commit(repo: Path) -> None:
    repository = Repository.discover(repo)
    head = repository.head().commit
    ids = {
        Vault(repository).commit(head, {"train.py": BETTER}, "same", when=WHEN) for _ in range(2)
    }
    assert len(ids) == 1


def test_a_user_without_a_name_still_gets_commits(repo: Path, git: Git) -> None:
    git("config", "--unset", "user.name")
    git("config", "--unset", "user.email")
    git("config", "user.useConfigOnly", "true")
    repository = Repository.discover(repo)
    vault = Vault(repository)
    new = vault.commit(repository.head().commit, {"train.py": BETTER}, "x", when=WHEN)
    assert vault.move(BRANCH, new, None)
    author = git("log", "-1", "--format=%an <%ae>", new)
    assert author == "autoresearch-mcp <autoresearch-mcp@localhost>"


def test_the_name_in_the_users_own_configuration_counts(repo: Path, home: Path, git: Git) -> None:
    git("config", "--unset", "user.name")
    (home / ".gitconfig").write_text("[user]\n\tname = Grace Global\n", encoding="utf-8")
    repository = Repository.discover(repo)
    new = Vault(repository).commit(repository.head().commit, {"train.py": BETTER}, "x", when=WHEN)
    assert git("log", "-1", "--format=%an <%ae>", new) == "Grace Global <ada@example.org>"


def test_a_link_or_a_submodule_is_not_written_over(repo: Path, git: Git) -> None:
    (repo / "link.py").symlink_to("train.py")
    git("add", ".")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},sub")
    git("commit", "--quiet", "--message=odd")
    repository = Repository.discover(repo)
    for path in ("link.py", "sub"):
        with pytest.raises(Fault, match="plain file"):
            Vault(repository).commit(repository.head().commit, {path: b"x"}, "x", when=WHEN)


def test_a_state_folder_that_cannot_be_made_is_a_fault(repo: Path) -> None:
    repository = Repository.discover(repo)
    repository.state.write_bytes(b"in the way")
    with pytest.raises(Fault, match="cannot write in"):
        Vault(repository).commit("HEAD", {"train.py": BETTER}, "x", when=WHEN)


def test_a_sweep_removes_what_a_killed_commit_left_and_nothing_else(repo: Path) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    assert vault.sweep() == 0
    (repository.state / "index-killed").mkdir(parents=True)
    (repository.state / "index-killed/index.lock").touch()
    (repository.state / "ledger.db").touch()
    assert vault.sweep() == 1
    assert [path.name for path in repository.state.iterdir()] == ["ledger.db"]


# Refs and HEAD


def test_a_ref_is_read_as_it_is_listed(repo: Path, git: Git) -> None:
    names = {"whole": git("rev-parse", "HEAD"), "objectless": "1" * 40, "unreadable": "no object"}
    for name, content in names.items():
        (repo / ".git" / "refs" / "heads" / name).write_text(f"{content}\n")
    repository = Repository.discover(repo)

    listed = repository.refs("refs/heads")
    for name in (*names, "missing"):
        assert repository.ref(f"refs/heads/{name}") == listed.get(f"refs/heads/{name}")


def test_a_ref_moves_only_from_where_it_is_thought_to_be(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    new = vault.commit(old, {"train.py": BETTER}, "deeper", when=WHEN)
    assert not vault.move(BRANCH, new, old)  # not there yet
    assert vault.move(BRANCH, old, None)
    assert not vault.move(BRANCH, new, None)  # there already
    assert vault.move(BRANCH, new, old, reason="keep of trial 1")
    assert not vault.move(BRANCH, old, old)  # elsewhere by now
    assert repository.ref(BRANCH) == new
    assert "keep of trial 1" in git("reflog", "show", BRANCH)


def test_of_many_who_move_a_ref_at_once_one_wins(repo: Path) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    rivals = [
        vault.commit(old, {"train.py": b"%d" % number}, "x", when=WHEN) for number in range(6)
    ]
    start = threading.Barrier(len(rivals))
    won: list[str] = []

    def run(new: str) -> None:
        start.wait()
        if vault.move("refs/heads/main", new, old):
            won.append(new)

    threads = [threading.Thread(target=run, args=(new,)) for new in rivals]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert won == [repository.ref("refs/heads/main")]


def test_a_ref_that_cannot_be_written_is_a_fault_of_one_line(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    head = repository.head().commit
    git("branch", "autoresearch")
    with pytest.raises(Fault, match="rename or delete the branch that is in the way") as fault:
        vault.move(BRANCH, head, None)
    assert "\n" not in str(fault.value)
    git("branch", "-D", "autoresearch")
    (repo / ".git/refs/heads/autoresearch").mkdir()
    (repo / f".git/{BRANCH}.lock").touch()
    with pytest.raises(Fault, match="another git command is running"):
        vault.move(BRANCH, head, None)


def test_a_read_only_repository_is_a_fault_that_says_so(repo: Path) -> None:
    repository = Repository.discover(repo)
    repository.state.mkdir()
    (repo / ".git/objects").chmod(0o500)
    if os.access(repo / ".git/objects", os.W_OK):
        pytest.skip("root may write everywhere")
    try:
        with pytest.raises(Fault, match="make the repository writable"):
            Vault(repository).commit("HEAD", {"train.py": BETTER}, "x", when=WHEN)
    finally:
        (repo / ".git/objects").chmod(0o700)


def test_switching_moves_head_and_nothing_else(repo: Path) -> None:
    (repo / "train.py").write_bytes(b"dirty")
    repository = Repository.discover(repo)
    vault = Vault(repository)
    head = repository.head()
    vault.move(BRANCH, head.commit, None)
    before, index = snapshot(repo), (repo / ".git/index").read_bytes()
    assert vault.switch(BRANCH, head)
    assert repository.head() == Head(head.commit, BRANCH)
    assert snapshot(repo) == before
    assert (repo / ".git/index").read_bytes() == index
    assert not vault.switch("refs/heads/main", head)  # HEAD is no longer what was expected
    assert vault.switch("refs/heads/main", Head(head.commit, BRANCH))


def test_switching_to_another_commit_is_declined(repo: Path) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    head = repository.head()
    new = vault.commit(head.commit, {"train.py": BETTER}, "deeper", when=WHEN)
    assert vault.move(BRANCH, new, None)
    assert not vault.switch(BRANCH, head)
    assert not vault.switch("refs/heads/absent", head)
    assert repository.head() == head


def test_a_detached_head_is_put_on_the_branch(repo: Path, git: Git) -> None:
    git("checkout", "--quiet", "--detach")
    _, kept = research(repo)
    assert Repository.discover(repo).head() == Head(kept, BRANCH)
    fsck(git)


# The user's index


def test_after_a_keep_the_tree_is_clean(repo: Path, git: Git) -> None:
    (repo / "train.py").write_bytes(BETTER)
    (repo / "results.tsv").write_bytes(LOG)
    research(repo)
    assert git("status", "--porcelain") == ""
    assert git("diff", "HEAD") == ""
    fsck(git)


def test_what_the_user_staged_stays_staged(repo: Path, git: Git) -> None:
    (repo / "prepare.py").write_bytes(b"staged\n")
    (repo / "added.py").write_bytes(b"staged too\n")
    git("add", "prepare.py", "added.py")
    git("rm", "--quiet", "--cached", "results.tsv")
    (repo / "prepare.py").write_bytes(b"and changed again\n")
    (repo / "train.py").write_bytes(BETTER)
    (repo / "results.tsv").write_bytes(LOG)
    staged = git("diff", "--cached", "prepare.py", "added.py")
    unstaged = git("diff", "prepare.py", "added.py")
    research(repo)
    assert git("diff", "--cached", "prepare.py", "added.py") == staged
    assert git("diff", "prepare.py", "added.py") == unstaged
    assert git("status", "--porcelain").splitlines() == [
        "A  added.py",
        "MM prepare.py",
        "D  results.tsv",
        "?? results.tsv",
    ]


def test_an_entry_with_other_content_is_left_alone_and_named(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    new = vault.commit(old, {"train.py": BETTER, "results.tsv": LOG}, "x", when=WHEN)
    (repo / "train.py").write_bytes(b"the user's")
    git("add", "train.py")
    mine = repository.staged("train.py")
    assert vault.refresh_index(["train.py", "results.tsv"], old, new) == ("train.py",)
    assert repository.staged("train.py") == mine
    assert git("show", ":results.tsv").encode() == LOG.strip()
    assert vault.refresh_index(["results.tsv"], old, new) == ()  # again, after a crash


def test_an_entry_keeps_the_mode_the_user_staged(repo: Path, git: Git) -> None:
    git("update-index", "--chmod=+x", "train.py")
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    new = vault.commit(old, {"train.py": BETTER}, "x", when=WHEN)
    assert vault.refresh_index(["train.py"], old, new) == ()
    assert git("ls-files", "--stage", "train.py").startswith("100755")


def test_a_merge_conflict_in_the_index_is_left_alone(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    new = vault.commit(old, {"train.py": BETTER}, "x", when=WHEN)
    other = vault.commit(old, {"train.py": b"other"}, "x", when=WHEN)
    git("read-tree", "-i", "-m", new, old, other)
    conflict = git("ls-files", "--unmerged")
    assert vault.refresh_index(["train.py", "prepare.py"], old, new) == ("train.py",)
    assert git("ls-files", "--unmerged") == conflict != ""


def test_a_new_file_enters_the_index_unless_the_user_staged_one(repo: Path, git: Git) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    new = vault.commit(old, {"a.txt": b"a", "b.txt": b"b"}, "x", when=WHEN)
    (repo / "b.txt").write_bytes(b"the user's")
    git("add", "b.txt")
    assert vault.refresh_index(["a.txt", "b.txt"], old, new) == ("b.txt",)
    assert git("show", ":a.txt") == "a"
    assert git("show", ":b.txt") == "the user's"


def test_an_index_that_another_git_holds_is_a_fault_and_unchanged(repo: Path) -> None:
    repository = Repository.discover(repo)
    vault = Vault(repository)
    old = repository.head().commit
    new = vault.commit(old, {"train.py": BETTER}, "x", when=WHEN)
    index = (repo / ".git/index").read_bytes()
    (repo / ".git/index.lock").touch()
    with pytest.raises(Fault, match=r"index\.lock.*another git command is running"):
        vault.refresh_index(["train.py"], old, new)
    assert (repo / ".git/index").read_bytes() == index


# The user's world


def set_traps(repo: Path, home: Path, git: Git) -> Path:
    """Fill the repository with everything git can be made to run. Returns where traps report."""
    sprung = home / "sprung"
    sprung.mkdir()
    trap = home / "trap"
    trap.write_text(f'#!/bin/sh\ntouch "{sprung}/$(basename "$0")-$1"\ncat\n', encoding="utf-8")
    trap.chmod(0o755)
    (repo / ".gitattributes").write_text("* text filter=evil diff=evil merge=evil\n")
    git("add", ".")
    git("commit", "--quiet", "--message=attributes")
    for hooks in (repo / ".git/hooks", home / "hooks"):
        hooks.mkdir(exist_ok=True)
        for hook in (
            *("pre-commit", "post-commit", "commit-msg", "prepare-commit-msg", "pre-auto-gc"),
            *("reference-transaction", "post-checkout", "post-index-change", "post-rewrite"),
        ):
            (hooks / hook).unlink(missing_ok=True)
            (hooks / hook).symlink_to(trap)
    attributes = home / "attributes"
    attributes.write_text("* filter=evil\n")
    for scope in ("--local", "--global"):
        for key, value in {
            "core.hooksPath": home / "hooks",
            "core.fsmonitor": f"{trap} fsmonitor",
            "core.attributesFile": attributes,
            "core.autocrlf": "true",
            "core.editor": trap,
            "core.pager": trap,
            "filter.evil.clean": f"{trap} clean",
            "filter.evil.smudge": f"{trap} smudge",
            "filter.evil.required": "true",
            "diff.external": f"{trap} external",
            "diff.evil.textconv": f"{trap} textconv",
            "diff.evil.command": f"{trap} command",
            "merge.evil.driver": f"{trap} merge",
            "commit.gpgSign": "true",
            "gpg.program": f"{trap}",
            "credential.helper": f"!{trap} credential",
        }.items():
            git("config", scope, key, value)
    for mark in sprung.iterdir():
        mark.unlink()
    # Files as new as the index are compared by content, through filters, by who writes it next.
    os.utime(repo / ".git/index", (1, 1))
    return sprung


def test_no_hook_filter_monitor_or_signer_is_ever_run(
    repo: Path, home: Path, tmp_path: Path, git: Git
) -> None:
    sprung = set_traps(repo, home, git)
    (repo / "train.py").write_bytes(BETTER)
    (repo / "results.tsv").write_bytes(LOG)
    before = snapshot(repo)
    _, kept = research(repo)
    repository = Repository.discover(repo)
    digests = repository.materialise(kept, tmp_path / "run", without=())
    assert repository.in_progress() is None
    assert not repository.checked_out_elsewhere(BRANCH)
    assert repository.read(kept, "train.py") == BETTER
    assert digests["train.py"] == sha256(BETTER)
    assert (tmp_path / "run/train.py").read_bytes() == BETTER
    assert snapshot(repo) == before
    assert list(sprung.iterdir()) == []

    # The traps do work: the user's own git springs them.
    subprocess.run(["git", "status"], cwd=repo, capture_output=True, check=False)
    assert list(sprung.iterdir()) != []


def test_the_users_configuration_counts_for_two_questions_only(
    repo: Path, home: Path, git: Git
) -> None:
    git("config", "--global", "trace2.normalTarget", home / "trace")
    (home / "trace").unlink(missing_ok=True)
    research(repo)
    trace = (home / "trace").read_text(encoding="utf-8").splitlines()
    named = {line.partition("cmd_name ")[2].split()[0] for line in trace if "cmd_name " in line}
    assert named <= {"version", "rev-parse", "config"}
    assert "config" in named


def test_a_change_in_the_same_instant_as_the_index_stays_visible(repo: Path, git: Git) -> None:
    git("config", "core.trustctime", "false")
    git("config", "core.checkStat", "minimal")
    times = (repo / "prepare.py").stat()
    (repo / "prepare.py").write_bytes(b"TIME_BUDGET = 9\n")
    os.utime(repo / "prepare.py", ns=(times.st_atime_ns, times.st_mtime_ns))
    os.utime(repo / ".git/index", ns=(times.st_atime_ns, times.st_mtime_ns))
    (repo / "train.py").write_bytes(BETTER)
    (repo / "results.tsv").write_bytes(LOG)
    research(repo)
    assert git("status", "--porcelain") == "M prepare.py"


def test_a_dirty_tree_is_not_touched(repo: Path, tmp_path: Path, git: Git) -> None:
    (repo / "ignored").mkdir()
    (repo / ".gitignore").write_text("ignored/\n")
    (repo / "ignored/data.bin").write_bytes(bytes(range(256)))
    (repo / "untracked.txt").write_bytes(b"mine\r\n")
    (repo / "prepare.py").write_bytes(b"changed, not staged\n")
    (repo / "results.tsv").unlink()
    (repo / "deleted").symlink_to("nowhere/at/all")
    git("stash", "list")
    before, tags = snapshot(repo), git("for-each-ref", "refs/tags", "refs/heads/main")
    _, kept = research(repo)
    Repository.discover(repo).materialise(kept, tmp_path / "run", without={"results.tsv"})
    assert snapshot(repo) == before
    assert git("for-each-ref", "refs/tags", "refs/heads/main") == tags
    fsck(git)


def test_a_linked_worktree_shares_the_state_and_keeps_its_own_index(
    repo: Path, tmp_path: Path, git: Git
) -> None:
    second = tmp_path / "second tree"
    git("worktree", "add", "--quiet", second, "HEAD")
    index = (repo / ".git/index").read_bytes()
    repository = Repository.discover(second)
    assert repository.root == second.resolve()
    assert repository.state == Repository.discover(repo).state
    (second / "train.py").write_bytes(BETTER)
    (second / "results.tsv").write_bytes(LOG)
    _, kept = research(second)
    assert git("status", "--porcelain", cwd=second) == ""
    assert git("rev-parse", BRANCH) == kept
    assert git("status", "--porcelain", "--branch").startswith("## main")
    assert (repo / ".git/index").read_bytes() == index
    fsck(git)


def test_a_submodule_can_be_the_recipe(repo: Path, tmp_path: Path, git: Git) -> None:
    outer = tmp_path / "outer"
    git("init", "--quiet", outer, cwd=tmp_path)
    git(
        *("-c", "protocol.file.allow=always", "submodule", "--quiet", "add", repo, "inner"),
        cwd=outer,
    )
    repository = Repository.discover(outer / "inner")
    assert repository.root == (outer / "inner").resolve()
    assert repository.state == outer.resolve() / ".git/modules/inner/autoresearch"
    (outer / "inner/train.py").write_bytes(BETTER)
    (outer / "inner/results.tsv").write_bytes(LOG)
    research(outer / "inner")
    assert git("status", "--porcelain", cwd=outer / "inner") == ""
    fsck(git, outer / "inner")


def test_sha256_repositories_work(tmp_path: Path, git: Git) -> None:
    folder = tmp_path / "recipe"
    folder.mkdir()
    git("init", "--quiet", "--object-format=sha256", "--initial-branch=main")
    (folder / "train.py").write_bytes(b"DEPTH = 4\n")
    git("add", ".")
    git(*("-c", "user.name=a", "-c", "user.email=b", "commit", "--quiet", "--message=x"))
    (folder / "train.py").write_bytes(BETTER)
    (folder / "results.tsv").write_bytes(LOG)
    _, kept = research(folder)
    assert len(kept) == 64
    assert git("status", "--porcelain") == ""
    fsck(git)


@pytest.mark.parametrize(
    "setting", ["core.splitIndex=true", "index.sparse=true", "core.untrackedCache=true"]
)
def test_a_sparse_checkout_with_an_unusual_index_stays_as_it_is(
    repo: Path, git: Git, setting: str
) -> None:
    (repo / "docs").mkdir()
    (repo / "docs/guide.md").write_bytes(b"guide\n")
    git("add", ".")
    git("commit", "--quiet", "--message=docs")
    git("sparse-checkout", "set", "--cone", "src")
    git("config", *setting.split("="))
    git("update-index", "--force-write-index")
    git("status")
    assert not (repo / "docs").exists()
    files = sorted((repo / ".git").iterdir())
    repository = Repository.discover(repo)
    Vault(repository).commit("HEAD", {"train.py": b"candidate"}, "x", when=WHEN)
    assert sorted((repo / ".git").iterdir()) == sorted([*files, repository.state])
    (repo / "train.py").write_bytes(BETTER)
    (repo / "results.tsv").write_bytes(LOG)
    _, kept = research(repo)
    assert git("status", "--porcelain") == ""
    assert not (repo / "docs").exists()
    assert git("ls-files", "-t", "docs/guide.md") == "S docs/guide.md"
    assert git("ls-tree", "-r", "--name-only", kept, "docs") == "docs/guide.md"


# A fresh directory


def test_a_tree_is_written_out_without_what_is_left_out(
    repo: Path, tmp_path: Path, git: Git
) -> None:
    (repo / "lib").mkdir()
    (repo / "lib/run.sh").write_bytes(b"#!/bin/sh\n")
    (repo / "lib/run.sh").chmod(0o755)
    (repo / "lib/crlf.txt").write_bytes(b"a\r\nb\n")
    (repo / ".gitattributes").write_text("*.txt text eol=crlf\n*.bin filter=lfs diff=lfs -text\n")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (repo / "model.bin").write_bytes(pointer)
    git("-c", "filter.lfs.clean=cat", "add", ".")
    git("update-index", "--add", "--cacheinfo", f"160000,{git('rev-parse', 'HEAD')},sub")
    git("commit", "--quiet", "--message=more")
    (repo / "stray.py").write_bytes(b"not tracked")
    repository = Repository.discover(repo)
    into = tmp_path / "runs/1"
    digests = repository.materialise(repository.head().commit, into, without=["results.tsv"])
    written = {str(p.relative_to(into)): p for p in into.rglob("*") if p.is_file()}
    assert set(written) == {
        *(".gitattributes", "lib/crlf.txt", "lib/run.sh"),
        *("model.bin", "prepare.py", "train.py"),
    }
    assert digests == {name: sha256(path.read_bytes()) for name, path in written.items()}
    assert written["lib/crlf.txt"].read_bytes() == b"a\nb\n"  # as committed, not as checked out
    assert written["model.bin"].read_bytes() == pointer
    assert written["lib/run.sh"].stat().st_mode & 0o777 == 0o755
    assert written["train.py"].stat().st_mode & 0o777 == 0o644
    assert not (into / ".git").exists()


def test_links_are_kept_only_if_they_stay_inside(repo: Path, tmp_path: Path, git: Git) -> None:
    (repo / "a/b/c").mkdir(parents=True)
    (repo / "a/b/c/file").write_bytes(b"x")
    targets = {
        "inside": "a/b/c/file",
        "a/sibling": "b/c",
        "a/b/up": "../../train.py",
        "dangling": "a/nothing",
        "absolute": str(repo / "train.py"),
        "etc": "/etc/passwd",
        "out": "../elsewhere",
        "a/out": "../../elsewhere",
        "a/b/c/top": "../../..",
        "through": "a/b/c/top/../..",  # inside by its letters, outside by where it leads
        "self": "self",
    }
    for name, target in targets.items():
        (repo / name).symlink_to(target)
    git("add", ".")
    git("commit", "--quiet", "--message=links")
    repository = Repository.discover(repo)
    into = tmp_path / "run"
    digests = repository.materialise("HEAD", into, without=())
    links = {str(path.relative_to(into)) for path in into.rglob("*") if path.is_symlink()}
    assert links == {"inside", "a/sibling", "a/b/up", "dangling", "a/b/c/top", "self"}
    assert links < set(digests)
    assert digests["inside"] == sha256(b"a/b/c/file")


@pytest.mark.parametrize("name", ["..", ".git", ".GIT", "."])
def test_a_tree_with_a_name_that_git_never_checks_out_is_a_fault(
    repo: Path, tmp_path: Path, git: Git, name: str
) -> None:
    blob = git("rev-parse", "HEAD:train.py")
    inner = git("mktree", stdin=f"100644 blob {blob}\tx\n")
    body = f"040000 tree {inner}\t{name}\n"
    tree = git("mktree", stdin=body)
    commit = git("commit-tree", tree, "-m", "unsafe")
    with pytest.raises(Fault, match="unsafe name"):
        Repository.discover(repo).materialise(commit, tmp_path / "deep/run", without=())
    assert not (tmp_path / "deep/x").exists()


def test_a_tree_with_a_link_and_a_folder_of_one_name_writes_nothing_outside(
    repo: Path, tmp_path: Path, git: Git
) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    link = git("hash-object", "-w", "--stdin", stdin=str(outside))
    inner = git("mktree", stdin=f"120000 blob {link}\tb\n100644 blob {link}\tc\n")
    tree = git("mktree", stdin=f"120000 blob {link}\ta\n040000 tree {inner}\ta\n")
    commit = git("commit-tree", tree, "-m", "twice")
    with pytest.raises(Fault, match="File exists"):
        Repository.discover(repo).materialise(commit, tmp_path / "run", without=())
    assert list(outside.iterdir()) == []


def test_an_object_that_is_missing_is_a_fault(repo: Path, tmp_path: Path, git: Git) -> None:
    blob = git("rev-parse", "HEAD:train.py")
    (repo / f".git/objects/{blob[:2]}/{blob[2:]}").unlink()
    repository = Repository.discover(repo)
    with pytest.raises(Fault, match="git fsck"):
        repository.materialise("HEAD", tmp_path / "run", without=())
    with pytest.raises(Fault, match="git cat-file failed"):
        repository.read("HEAD", "train.py")


def components() -> st.SearchStrategy[str]:
    """Names of files and folders, as odd as the file system lets them be."""
    letters = st.characters(exclude_categories=["Cs"], exclude_characters="/\0")
    odd = st.text(letters, min_size=1, max_size=12)
    # git refuses what some other file system would take for .git, `git~1` among it.
    return odd.filter(lambda name: name not in (".", "..") and "git" not in name.lower())


@given(
    path=st.lists(components(), min_size=1, max_size=3).map("/".join),
    first=st.binary(max_size=300),
    second=st.binary(max_size=300),
)
@example(path='a "b"\\n\n\t\x7fé/-x', first=b"", second=b"\r\n\0")
@settings(max_examples=15, deadline=None)
def test_any_name_and_content_survives_git_unchanged(
    path: str, first: bytes, second: bytes, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("any")
    for command in (
        ["init", "--quiet"],
        ["-c", "user.name=a", "-c", "user.email=b", "commit", "--allow-empty", "-qm", "x"],
    ):
        subprocess.run(["git", *command], cwd=folder, check=True)
    repository = Repository.discover(folder)
    vault = Vault(repository)
    commits = [repository.head().commit]
    for number, content in enumerate((first, second)):
        commits.append(vault.commit(commits[-1], {path: content}, "x", when=WHEN))
        assert repository.read(commits[-1], path) == content
        assert vault.refresh_index([path], commits[-2], commits[-1]) == ()
        entry = repository.tree(commits[-1], path)[0]
        assert repository.staged(path) == {path: entry.oid}
        into = folder / f"run{number}"
        assert repository.materialise(commits[-1], into, ()) == {path: sha256(content)}
        assert (into / path).read_bytes() == content
