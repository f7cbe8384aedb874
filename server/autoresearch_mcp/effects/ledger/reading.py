"""What may be asked of a ledger, each by a query that reads no more trials than it must."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from autoresearch_mcp.core.errors import Fault
from autoresearch_mcp.core.events import Certified, ResearchStarted
from autoresearch_mcp.core.measurement import Direction
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.core.verdict import Verdict
from autoresearch_mcp.effects.ledger.opening import connected

_ANY = 2**63 - 1
"""The largest number that SQLite takes."""


class EndedRun(NamedTuple):
    """How one run ended."""

    trial: int
    number: int
    """Position within the trial, from 1."""
    arm: str
    kind: str
    """Of its outcome."""
    value: float | None


class Reader:
    """Answers questions from the projections.

    Args:
        path: The database file; where there is none, there is nothing to tell.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def trial(self, trial: int) -> TrialRecord | None:
        """Return one trial, or None when there is none of that id."""
        return self._first("id = ?", trial)

    def get(self, trial: int) -> TrialRecord:
        """Return a trial that is there.

        Raises:
            Fault: It is not: the ledger was replaced.
        """
        record = self.trial(trial)
        if record is None:
            raise Fault(f"trial {trial} is not in the ledger {self.path}: was the file replaced?")
        return record

    def last_trial(self) -> int:
        """Return the highest trial number there is, 0 before the first."""
        rows = self._select("SELECT coalesce(max(id), 0) FROM trial")
        return rows[0][0] if rows else 0

    def trials(self, research: str) -> tuple[TrialRecord, ...]:
        """Return all trials of a research run, oldest first."""
        return self._records("research = ? ORDER BY id", research)

    def each(self, research: str, upto: int | None = None) -> Iterator[TrialRecord]:
        """Yield the trials of a research run, oldest first, none of them kept in memory.

        Args:
            research: The research run.
            upto: The last trial to yield; all without it.
        """
        if self.path.exists():
            query = "SELECT record FROM trial WHERE research = ? AND id <= ? ORDER BY id"
            with connected(self.path) as db:
                for (record,) in db.execute(query, (research, _ANY if upto is None else upto)):
                    yield TrialRecord.model_validate_json(record)

    def candidates(self) -> Iterator[tuple[int, str]]:
        """Yield the number and the candidate's commit of every trial, oldest first."""
        query = "SELECT id, json_extract(record, '$.candidate') FROM trial ORDER BY id"
        yield from self._select(query)

    def count(self, research: str) -> int:
        """Return how many trials a research run has."""
        # Where all trials are its own, SQLite adds up pages and need not look at rows.
        query = (
            "SELECT CASE WHEN ?1 = (SELECT min(research) FROM trial) "
            "AND ?1 = (SELECT max(research) FROM trial) THEN (SELECT count(*) FROM trial) "
            "ELSE (SELECT count(*) FROM trial WHERE research = ?1) END"
        )
        rows = self._select(query, research)
        return rows[0][0] if rows else 0

    def newest(self, research: str, count: int) -> tuple[TrialRecord, ...]:
        """Return the last trials of a research run, oldest first."""
        found = self._records("research = ? ORDER BY id DESC LIMIT ?", research, count)
        return found[::-1]

    def best(self, research: str, direction: Direction, count: int) -> tuple[TrialRecord, ...]:
        """Return the trials of a research run that have the best values, best first."""
        # At equal values the earlier one comes first, whatever the direction.
        order = "value, id" if direction == "minimize" else "value DESC, id"
        where = f"research = ? AND value IS NOT NULL ORDER BY {order} LIMIT ?"
        return self._records(where, research, count)

    def last_kept(self, research: str, before: int | None = None) -> TrialRecord | None:
        """Return the last trial whose candidate was kept, the baseline being the first.

        Args:
            research: The research run.
            before: Look only at trials with a smaller number.
        """
        kept = "research = ? AND verdict = 'keep' AND phase <> 'decided'"
        if before is None:
            return self._first(f"{kept} ORDER BY id DESC", research)
        return self._first(f"{kept} AND id < ? ORDER BY id DESC", research, before)

    def first_kept(self, research: str) -> TrialRecord | None:
        """Return the baseline once it has a value; None before."""
        kept = "research = ? AND verdict = 'keep' AND phase <> 'decided'"
        return self._first(f"{kept} ORDER BY id", research)

    def left_at(self, research: str) -> str | None:
        """Return the commit that the last settled trial left the branch at; None without one."""
        query = (
            "SELECT moved_to FROM trial WHERE research = ? AND moved_to IS NOT NULL "
            "AND phase = 'done' ORDER BY id DESC LIMIT 1"
        )
        rows = self._select(query, research)
        return rows[0][0] if rows else None

    def last_measured(self, research: str) -> TrialRecord | None:
        """Return the last trial that has a value."""
        return self._first("research = ? AND value IS NOT NULL ORDER BY id DESC", research)

    def trials_of_arm(self, research: str, arm: str) -> tuple[TrialRecord, ...]:
        """Return the trials in which an arm was run, as candidate or as incumbent, oldest first."""
        where = "id IN (SELECT trial FROM arm WHERE research = ? AND arm = ?) ORDER BY id"
        return self._records(where, research, arm)

    def ended_runs(self, research: str, upto: int, arms: Sequence[str]) -> tuple[EndedRun, ...]:
        """Return how the runs of some arms, and of every arm that was repeated, ended, in order.

        Where more became known of a run later, that is what it shows.

        Args:
            research: The research run.
            upto: The last trial to look at.
            arms: Those of which a single run is wanted, too.
        """
        marks = ", ".join("?" * len(arms))
        query = (
            "SELECT trial, number, arm, kind, value FROM run WHERE research = ?1 AND trial <= ?2 "  # noqa: S608
            "AND (arm IN (SELECT arm FROM run WHERE research = ?1 AND trial <= ?2 GROUP BY arm "
            f"HAVING count(*) > 1) OR arm IN ({marks})) ORDER BY trial, seq, number"
        )
        rows = self._select(query, research, upto, *arms)
        return tuple(map(EndedRun._make, {row[:2]: row for row in rows}.values()))

    def decided_since(self, research: str, sha256: str) -> tuple[TrialRecord, ...] | None:
        """Return the trials decided since a results log was exported, oldest first.

        Args:
            research: The research run.
            sha256: Hash of the log.

        Returns:
            None where no such log was exported, or where its rows are not the first ones any more.
        """
        exported = (
            "SELECT event.seq FROM content JOIN event USING (seq) "
            "WHERE research = ? AND sha256 = ? AND kind = 'exported'"
        )
        later = (
            "SELECT trial.id, event.kind FROM event JOIN trial ON trial.id = event.trial "
            "WHERE event.seq > ? AND event.kind IN ('decided', 'overruled') AND research = ?"
        )
        rows = self._select(exported, research, sha256)
        news = self._select(later, rows[0][0], research) if rows else []
        if not rows or any(kind == "overruled" for _, kind in news):
            return None
        decided = {trial for trial, _ in news}
        where = "research = ? AND id >= ? ORDER BY id"
        since = self._records(where, research, min(decided, default=_ANY))
        found = tuple(trial for trial in since if trial.verdict)
        return found if all(trial.id in decided for trial in found) else None

    def verdicts_kept(self, research: str, before: int) -> tuple[Verdict, ...]:
        """Return the verdicts that were kept, the baseline's first, up to before a trial."""
        query = (
            "SELECT json_extract(record, '$.verdict') FROM trial WHERE research = ? AND id < ? "
            "AND verdict = 'keep' AND phase <> 'decided' ORDER BY id"
        )
        rows = self._select(query, research, before)
        return tuple(Verdict.model_validate_json(verdict) for (verdict,) in rows)

    def certificates(self, research: str) -> tuple[Certified, ...]:
        """Return a research run's certificates, oldest first."""
        query = "SELECT body FROM event WHERE kind = 'certified' ORDER BY seq"
        found = (Certified.model_validate_json(body) for (body,) in self._select(query))
        return tuple(event for event in found if event.research == research)

    def certificate_runs(self) -> int:
        """Return how many runs were made for certificates, of whatever research run."""
        rows = self._select("SELECT count(*) FROM event WHERE kind = 'certificate_run'")
        return rows[0][0] if rows else 0

    def kinds(self, research: str) -> tuple[tuple[TrialRecord, int], ...]:
        """Return how many trials stand alike: the first of each kind, and their number.

        A kind is a phase, a verdict and an outcome; the kind that began first comes first.
        """
        query = (
            "SELECT record, count FROM trial JOIN (SELECT min(id) AS first, count(*) AS count "
            "FROM trial WHERE research = ? GROUP BY phase, verdict, outcome) ON id = first "
            "ORDER BY id"
        )
        rows = self._select(query, research)
        return tuple((TrialRecord.model_validate_json(record), count) for record, count in rows)

    def unfinished(self) -> tuple[TrialRecord, ...]:
        """Return every trial of the recipe that is not DONE, oldest first."""
        return self._records("phase <> 'done' ORDER BY id")

    def research(self, name: str) -> ResearchStarted | None:
        """Return how a research run started, or None when there is none of that name."""
        rows = self._select("SELECT started FROM research WHERE name = ?", name)
        return ResearchStarted.model_validate_json(rows[0][0]) if rows else None

    def started(self, research: str) -> ResearchStarted:
        """Return how a research run that is there began.

        Raises:
            Fault: It is not: the ledger was replaced.
        """
        event = self.research(research)
        if event is None:
            raise Fault(f"{research} is not in the ledger {self.path}: was the file replaced?")
        return event

    def researches(self) -> tuple[str, ...]:
        """Return the names of all research runs, oldest first."""
        return tuple(name for (name,) in self._select("SELECT name FROM research ORDER BY seq"))

    def knows(self, research: str, sha256: str) -> bool:
        """Tell whether a content of the working tree came from this ledger."""
        query = "SELECT 1 FROM content WHERE research = ? AND sha256 = ?"
        return bool(self._select(query, research, sha256))

    def _first(self, where: str, *values: object) -> TrialRecord | None:
        found = self._records(f"{where} LIMIT 1", *values)
        return found[0] if found else None

    def _records(self, where: str, *values: object) -> tuple[TrialRecord, ...]:
        # The conditions are the constants above; what varies travels as parameters.
        rows = self._select(f"SELECT record FROM trial WHERE {where}", *values)  # noqa: S608
        return tuple(TrialRecord.model_validate_json(record) for (record,) in rows)

    def _select(self, query: str, *values: object) -> list[tuple[Any, ...]]:
        if not self.path.exists():
            return []
        with connected(self.path) as db:
            return db.execute(query, values).fetchall()
