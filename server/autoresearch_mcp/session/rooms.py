"""The effects that a session works through, opened once for a recipe."""

import time
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from autoresearch_mcp.core.case import Preset
from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.trial import Choices, ProcessId, TrialRecord
from autoresearch_mcp.effects import locks, processes
from autoresearch_mcp.effects.ledger import Ledger
from autoresearch_mcp.effects.repository import Repository, Vault
from autoresearch_mcp.effects.trialfiles import TrialFiles
from autoresearch_mcp.effects.workspace import Workspace

_PATIENCE_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """What the operator chose on the command line.

    Args:
        python: The recipe's interpreter, where it is not its own environment.
        preset: The evidence rule.
        sandbox: The sandbox of runs; None for the best that works.
        allow_network: Whether runs may use the network where the protocol also says `full`.
        memory_gib: The most memory of a run, GiB; None for nine tenths of the machine's.
        assets: Data outside the repository that runs may read; None for the usual folder.
        trials_at_once: How many trials may run on this machine at the same time.
        audits_all: Whether trials are audited that would not be kept.
        server: The server whose end ends its trials; None where they go on without it.
    """

    python: Path | None = None
    preset: Preset = "strict"
    server: ProcessId | None = None
    sandbox: str | None = None
    allow_network: bool = False
    memory_gib: float | None = None
    assets: tuple[Path, ...] | None = None
    trials_at_once: int = 1
    audits_all: bool = False

    def chosen(self, python: Path) -> Choices:
        """Return what the ledger keeps of them with a trial.

        Args:
            python: The interpreter that they come to.
        """
        assets = None if self.assets is None else tuple(map(str, self.assets))
        return Choices(
            python=str(python),
            evidence=self.preset,
            audits_all=self.audits_all,
            sandbox=self.sandbox,
            allow_network=self.allow_network,
            memory_gib=self.memory_gib,
            assets=assets,
        )

    def with_choices(self, chosen: Choices) -> "Options":
        """Return the same options but for what was chosen for a trial."""
        assets = None if chosen.assets is None else tuple(map(Path, chosen.assets))
        return replace(
            self,
            python=Path(chosen.python),
            preset=chosen.evidence,
            audits_all=chosen.audits_all,
            sandbox=chosen.sandbox,
            allow_network=chosen.allow_network,
            memory_gib=chosen.memory_gib,
            assets=assets,
        )

    def as_arguments(self) -> list[str]:
        """Return the command line that gives a trial's process the same options."""
        python = [] if self.python is None else ["--python", str(self.python)]
        server = [] if self.server is None else ["--server", self.server.model_dump_json()]
        sandbox = [] if self.sandbox is None else ["--sandbox", self.sandbox]
        network = ["--allow-network"] if self.allow_network else []
        at_once = ["--trials-at-once", str(self.trials_at_once)]
        memory = [] if self.memory_gib is None else ["--memory", str(self.memory_gib)]
        assets = [part for asset in self.assets or () for part in ("--asset", str(asset))]
        audit = ["--audit", "all"] if self.audits_all else []
        chosen = [*sandbox, *network, *memory, *assets, *at_once, *audit, *server]
        return [*python, "--evidence", self.preset, *chosen]

    @property
    def server_is_gone(self) -> bool:
        """Tell whether the trial's server ended that was to take the trial with it."""
        return self.server is not None and not processes.is_alive(self.server)


@dataclass(frozen=True, slots=True)
class Rooms:
    """One recipe's repository, working tree, ledger and trial files.

    Args:
        repository: Reads git.
        vault: Writes git.
        workspace: The user's working tree.
        ledger: The record of everything that happened.
        files: Logs.
        options: The operator's choices.
    """

    repository: Repository
    vault: Vault
    workspace: Workspace
    ledger: Ledger
    files: TrialFiles
    options: Options

    @classmethod
    def open(cls, path: Path, options: Options) -> "Rooms":
        """Find the repository that holds `path` and open everything that belongs to it.

        Raises:
            Fault: There is no usable git repository.
        """
        repository = Repository.discover(path)
        return cls(
            repository,
            Vault(repository),
            Workspace(repository.root),
            Ledger(repository.state / "ledger.sqlite"),
            TrialFiles(repository.state),
            options,
        )

    def as_for(self, trial: TrialRecord) -> "Rooms":
        """Return the same rooms with what the operator had chosen for a trial.

        Whoever finds it without a process may be a command that was told nothing of that.
        """
        if trial.choices is None:  # staged before the ledger kept them
            return self
        return replace(self, options=self.options.with_choices(trial.choices))

    @contextmanager
    def locked(self, patience: float = _PATIENCE_SECONDS) -> Generator[None]:
        """Hold the lock that one step at a time holds, whichever server takes it.

        Args:
            patience: Seconds to wait for whoever holds it.

        Raises:
            Fault: Another process has held it for as long, or it cannot be written.
        """
        deadline = time.monotonic() + patience

        def wait() -> None:
            if time.monotonic() > deadline:
                raise Fault(
                    f"another process holds {path}: wait for it, or end it (`fuser {path}` names "
                    "it), then try again"
                )

        path = self.repository.state / "lock"
        with ExitStack() as held:
            try:
                held.enter_context(locks.hold(path, while_waiting=wait))
            except OSError as error:
                raise Fault(
                    f"cannot lock {path}: {error.strerror}; make its folder writable for this "
                    "user, or free some disk space, and try again"
                ) from error
            yield
