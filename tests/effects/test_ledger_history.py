"""Whatever happened, legally: what the ledger answers is what its events add up to."""

import itertools
import sqlite3
import tempfile
from collections.abc import Callable, Generator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch_mcp.core.events import (
    Applying,
    CancelRequested,
    Closing,
    Decided,
    Done,
    Edited,
    Event,
    Exported,
    Measured,
    Overruled,
    Queued,
    ResearchStarted,
    RunFinished,
    Running,
    RunStarted,
    Staged,
    TrialEvent,
)
from autoresearch_mcp.core.measurement import Direction
from autoresearch_mcp.core.setting import Setting
from autoresearch_mcp.core.steps import IllegalStep, advance
from autoresearch_mcp.core.trial import Move, Outcome, OutcomeKind, ProcessId, Role, TrialRecord
from autoresearch_mcp.core.verdict import Verdict, VerdictStatus
from autoresearch_mcp.effects.ledger import Changed, Ledger

RESEARCHES = ("autoresearch/one", "autoresearch/two")
SETTING = Setting(profile=None, data=None, device="x", mlx=None, python="3.11", blas="none")
CRASH = Outcome(kind=OutcomeKind.CRASH, reason="it fell over")


def outcome(value: float | None) -> Outcome:
    return (
        CRASH
        if value is None
        else Outcome(kind=OutcomeKind.MEASURED, value=value, reason=f"{value}")
    )


@dataclass(frozen=True)
class Step:
    """One thing that may happen next, where it is legal."""

    kind: str
    trial: int
    value: float | None
    status: VerdictStatus
    word: str

    def event(self) -> Event:
        trial = self.trial
        research = RESEARCHES[trial % 2]
        makes: dict[str, Callable[[], Event]] = {
            "staged": lambda: Staged(
                trial=trial,
                research=research,
                base="b" * 40,
                candidate="c" * 40,
                arm=self.word,
                baseline=trial < 3,
                hypothesis=self.word,
                added=1,
                removed=0,
            ),
            "queued": lambda: Queued(trial=trial, process=ProcessId(pid=1, started="1", boot="x")),
            "running": lambda: Running(trial=trial),
            "run_started": lambda: RunStarted(
                trial=trial, role=Role.CANDIDATE, arm=self.word, seed=1, directory="/gone"
            ),
            "run_finished": lambda: RunFinished(trial=trial, outcome=outcome(self.value)),
            "cancel_requested": lambda: CancelRequested(trial=trial),
            "measured": lambda: Measured(trial=trial, outcome=outcome(self.value)),
            "decided": lambda: Decided(
                trial=trial, verdict=Verdict(status=self.status, reason=self.word)
            ),
            "overruled": lambda: Overruled(
                trial=trial, verdict=Verdict(status=self.status, reason=self.word)
            ),
            "applying": lambda: Applying(trial=trial, old="b" * 40, new=self.word * 40),
            "closing": lambda: Closing(
                trial=trial, move=Move(old="b" * 40, new=self.word * 39 + "c")
            ),
            "done": lambda: Done(trial=trial),
            "edited": lambda: Edited(
                research=research, path="train.py", before=self.word, after=f"{self.value}"
            ),
            "exported": lambda: Exported(research=research, sha256=self.word),
        }
        return makes[self.kind]()


KINDS = (
    *("staged", "queued", "running", "run_started", "run_finished", "cancel_requested"),
    *("measured", "decided", "overruled", "applying", "done", "closing", "edited", "exported"),
)
# Most steps follow the usual order, so that trials get somewhere; the rest are what they may.
ORDER = (
    *("staged", "queued", "running", "run_started", "run_finished"),
    *("measured", "decided", "applying", "done"),
)
steps = st.lists(
    st.builds(
        Step,
        kind=st.sampled_from(KINDS + ORDER * 2),
        trial=st.integers(1, 5),
        value=st.none() | st.floats(-4, 4),
        status=st.sampled_from(VerdictStatus),
        word=st.sampled_from("abcd"),
    ),
    max_size=120,
)


@contextmanager
def kept(history: Sequence[Step], checkpoint_every: int) -> Generator[Ledger]:
    """Keep a ledger of what is legal in a history, with checkpoints on the way."""
    with tempfile.TemporaryDirectory() as folder:
        ledger = Ledger(Path(folder) / "ledger.sqlite", checkpoint_every=checkpoint_every)
        for research in RESEARCHES:
            ledger.append(started(research))
        for step in history:
            with suppress(IllegalStep):
                ledger.append(step.event())
            if step.kind in {"decided", "exported"}:
                ledger.checkpoint()
        yield ledger


def started(research: str) -> ResearchStarted:
    return ResearchStarted(
        research=research, base="b" * 40, protocol="p", harness={}, setting=SETTING
    )


def records(ledger: Ledger) -> dict[int, TrialRecord]:
    """Return what the events add up to, by the rules alone."""
    found: dict[int, TrialRecord] = {}
    for at, event in ledger.events():
        if isinstance(event, TrialEvent):
            found[event.trial] = advance(found.get(event.trial), event, at)
    return dict(sorted(found.items()))


def rows(ledger: Ledger) -> list[str]:
    """Return everything that is in the file, row by row."""
    with closing(sqlite3.connect(ledger.path)) as db:
        return list(db.iterdump())


@settings(max_examples=40, deadline=None)
@given(history=steps, checkpoint_every=st.integers(1, 30))
def test_every_answer_is_what_the_events_add_up_to(
    history: Sequence[Step], checkpoint_every: int
) -> None:
    with kept(history, checkpoint_every) as ledger:
        every = records(ledger)
        assert ledger.check() == ledger.verify() == len(list(ledger.events()))
        assert ledger.last_trial() == max(every, default=0)
        assert ledger.unfinished() == tuple(t for t in every.values() if t.phase != "done")
        for research in RESEARCHES:
            agrees(ledger, research, [t for t in every.values() if t.research == research])


def agrees(ledger: Ledger, research: str, trials: list[TrialRecord]) -> None:
    kept = [t for t in trials if t.kept]
    settled = [t for t in trials if t.phase == "done"]
    moves = [t.closing.new if t.closing else t.applying_to for t in settled]
    valued = [(t.outcome.value, t) for t in trials if t.outcome and t.outcome.value is not None]
    assert ledger.started(research) == started(research)
    assert ledger.trials(research) == tuple(trials)
    assert ledger.count(research) == len(trials)
    assert ledger.newest(research, 2) == tuple(trials[-2:])
    assert ledger.last_kept(research) == (kept[-1] if kept else None)
    assert ledger.first_kept(research) == (kept[0] if kept else None)
    assert ledger.last_kept(research, before=4) == max(
        (t for t in kept if t.id < 4), key=lambda t: t.id, default=None
    )
    assert ledger.left_at(research) == next((m for m in reversed(moves) if m), None)
    assert ledger.last_measured(research) == (valued[-1][1] if valued else None)
    directions: tuple[tuple[Direction, int], ...] = (("minimize", 1), ("maximize", -1))
    for direction, sign in directions:
        ranked = [t for _, t in sorted(valued, key=lambda pair: (sign * pair[0], pair[1].id))]
        assert ledger.best(research, direction, 3) == tuple(ranked[:3])
    for arm in "abcd":
        ran = tuple(t for t in trials if any(run.arm == arm for run in t.runs))
        assert ledger.trials_of_arm(research, arm) == ran
    assert sum(count for _, count in ledger.kinds(research)) == len(trials)


@settings(max_examples=40, deadline=None)
@given(history=steps)
def test_an_exported_log_goes_on_with_the_trials_decided_since(history: Sequence[Step]) -> None:
    with kept(history, 30) as ledger:
        events = [event for _, event in ledger.events()]
        for research, word in itertools.product(RESEARCHES, "abcd"):
            brought = [e for e in events if word in contents(e, research)][:1]
            at = events.index(brought[0]) if brought else 0
            had, has = decided(events[:at], research), decided(events, research)
            found = ledger.decided_since(research, word)
            is_log = bool(brought) and isinstance(brought[0], Exported)
            if not is_log or has[: len(had)] != had or overruled(events[at:], research):
                assert found is None
            else:
                assert found is not None
                assert [trial.id for trial in found] == has[len(had) :]


def contents(event: Event, research: str) -> set[str]:
    """Return the contents of the working tree that a research run knows by an event."""
    match event:
        case Edited(research=of, before=before, after=after) if of == research:
            return {before, after}
        case Exported(research=of, sha256=sha256) if of == research:
            return {sha256}
        case _:
            return set()


def decided(events: Sequence[Event], research: str) -> list[int]:
    """Return the trials of a research run that have a row in its log by now."""
    trials = (event.trial for event in events if isinstance(event, Decided))
    return sorted(trial for trial in trials if RESEARCHES[trial % 2] == research)


def overruled(events: Sequence[Event], research: str) -> bool:
    trials = (event.trial for event in events if isinstance(event, Overruled))
    return any(RESEARCHES[trial % 2] == research for trial in trials)


@settings(max_examples=25, deadline=None)
@given(history=steps, checkpoint_every=st.integers(1, 30))
def test_a_rebuild_makes_what_was_there(history: Sequence[Step], checkpoint_every: int) -> None:
    with kept(history, checkpoint_every) as ledger:
        before = rows(ledger)
        assert ledger.rebuild().wrong is None
        assert rows(ledger) == before
        with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
            for query in EMPTY:
                db.execute(query)
        assert ledger.rebuild().wrong
        assert rows(ledger) == before
        ledger.verify()


@settings(max_examples=60, deadline=None)
@given(history=steps, checkpoint_every=st.integers(1, 30), data=st.data())
def test_no_row_can_be_changed_or_taken_away_unnoticed(
    history: Sequence[Step], checkpoint_every: int, data: st.DataObject
) -> None:
    with kept(history, checkpoint_every) as ledger:
        keys, change = data.draw(st.sampled_from(CHANGES))
        last = ledger.verify()
        with closing(sqlite3.connect(ledger.path, isolation_level=None)) as db:
            db.execute("DROP TRIGGER event_is_never_changed")
            db.execute("DROP TRIGGER event_is_never_removed")
            found = [row[0] for row in db.execute(keys)]
            key = data.draw(st.sampled_from(found)) if found else None
            if key is None or (key == last and change.startswith("DELETE FROM event")):
                return  # nothing follows the last event: it is as if it had never been
            assert db.execute(change, (key,)).rowcount >= 1
        with pytest.raises(Changed):
            ledger.verify()
        if keys != EVENTS:
            with pytest.raises(Changed):
                ledger.check()


EMPTY = ("DELETE FROM trial", "DELETE FROM content", "DELETE FROM arm", "DELETE FROM research")
EVENTS = "SELECT seq FROM event"
CONTENT = "SELECT seq FROM content"
ARM = "SELECT seq FROM arm"
RESEARCH = "SELECT seq FROM research"
TRIAL = "SELECT id FROM trial"
CHANGES = (
    (EVENTS, "DELETE FROM event WHERE seq = ?"),
    (EVENTS, "UPDATE event SET at = '2026-01-01T00:00:00.000+00:00' WHERE seq = ?"),
    (EVENTS, """UPDATE event SET body = replace(body, '"kind":', '"kind" :') WHERE seq = ?"""),
    (EVENTS, "UPDATE event SET hash = upper(hash) || '0' WHERE seq = ?"),
    (CONTENT, "DELETE FROM content WHERE seq = ?"),
    (CONTENT, "UPDATE content SET sha256 = sha256 || '0' WHERE seq = ?"),
    (CONTENT, "UPDATE content SET seq = seq + 1 WHERE seq = ?"),
    (ARM, "DELETE FROM arm WHERE seq = ?"),
    (ARM, "UPDATE arm SET trial = trial + 100 WHERE seq = ?"),
    (RESEARCH, "DELETE FROM research WHERE seq = ?"),
    (RESEARCH, "UPDATE research SET started = replace(started, 'x', 'y') WHERE seq = ?"),
    (TRIAL, "DELETE FROM trial WHERE id = ?"),
    (TRIAL, "UPDATE trial SET record = json_set(record, '$.added', 7) WHERE id = ?"),
)
"""Where the rows are, and what happens to one of them."""
