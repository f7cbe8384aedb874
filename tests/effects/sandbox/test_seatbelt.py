"""The text of the macOS sandbox, compared with the file beside; no Mac runs it here."""

from pathlib import Path

from autoresearch_mcp.effects.sandbox import seatbelt
from autoresearch_mcp.effects.sandbox.policy import Policy

HOME = Path("/Users/ada")
POLICY = Policy(
    read=(HOME / "venv", HOME / "data/train", Path("/Library/Python/lib"), HOME / 'a "quoted" one'),
    write=(HOME / "run/home", HOME / "run/tmp"),
    masked=(Path("/Library/Python/lib/turtle.py"),),
    devices="metal",
)


def test_the_profile_is_the_one_in_the_file() -> None:
    expected = Path(__file__).with_name("seatbelt.sb").read_text()
    assert seatbelt.profile(POLICY) == expected


def test_a_masked_file_is_denied_after_its_folder_is_allowed() -> None:
    lines = seatbelt.profile(POLICY).splitlines()
    allowed = lines.index('(allow file-read* process-exec (subpath "/Library/Python/lib"))')
    denied = lines.index('(deny file-read* (subpath "/Library/Python/lib/turtle.py"))')
    assert allowed < denied


def test_the_command_enters_by_its_first_program_and_sandbox_exec() -> None:
    wrapped = seatbelt.Seatbelt().wrap(("python", "train.py"), {"HOME": "/x"}, POLICY)
    entry = wrapped.argv.index("/usr/bin/sandbox-exec")
    assert wrapped.argv[entry + 1] == "-p"
    assert wrapped.argv[entry + 3 :] == ("python", "train.py")
    assert wrapped.environment == {}
    assert '"HOME": "/x"' in wrapped.argv[entry - 1]
