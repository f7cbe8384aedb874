"""Start a research run, and start a trial in it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from autoresearch_mcp.core import branches, edits
from autoresearch_mcp.core.edits import DiffStat
from autoresearch_mcp.core.errors import Fault, Refusal
from autoresearch_mcp.core.events import Event, ResearchStarted, Staged
from autoresearch_mcp.core.fingerprint import arm_fingerprint
from autoresearch_mcp.core.trial import Phase, TrialRecord
from autoresearch_mcp.session import noisebook
from autoresearch_mcp.session.bench import Bench
from autoresearch_mcp.session.launching import launch, not_started
from autoresearch_mcp.session.memory import AFTER_THE_LAST
from autoresearch_mcp.session.recipe import recipe_at
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.settling import TRIAL_REFS, settle
from autoresearch_mcp.session.state import State, look

_MAX_HYPOTHESIS = 500


def run_trial(rooms: Rooms, hypothesis: str, *, simplification: bool = False) -> TrialRecord:
    """Start a trial of the surface as the working tree has it, and return once it is alive.

    Args:
        rooms: The recipe's rooms.
        hypothesis: Why it should help.
        simplification: Whether it is put forward for being simpler, not better.

    Raises:
        Refusal: The moment is wrong, or there is nothing to try.
        Fault: The recipe, its data or its branch needs a person.
    """
    hypothesis = " ".join(hypothesis.split())
    if not 0 < len(hypothesis) <= _MAX_HYPOTHESIS or not hypothesis.isprintable():
        raise Refusal(
            "trial.hypothesis",
            f"say why it helps: one sentence of plain text, {_MAX_HYPOTHESIS} characters at most",
        )
    with rooms.locked():
        settle(rooms)
        state = look(rooms)
        state.check_turn()
        _check_caps(state)
        bench = Bench(rooms, state.recipe)
        bench.check_ready()
        candidate = state.candidate()
        if state.started is None:
            _check_unmodified(candidate)
            state = _start_research(state, bench)
        _check_unchanged_world(state, bench)
        trial = _stage(state, bench, candidate, _Idea(hypothesis, simplification))
        return _launched(rooms, trial)


def _check_caps(state: State) -> None:
    if cap := state.cap_reached:
        raise Refusal("session.cap", f"{cap}: this research run is over. {AFTER_THE_LAST}")


def _check_unmodified(candidate: Mapping[str, bytes]) -> None:
    if candidate:
        names = ", ".join(candidate)
        raise Refusal(
            "session.baseline",
            f"the first trial measures the unmodified recipe, but {names} differs from the last "
            "commit: undo that change (or commit it yourself to make it the baseline), then call "
            "run_trial",
        )


def _start_research(state: State, bench: Bench) -> State:
    """Fix the rules of a new research run and put HEAD on its branch, touching no file."""
    rooms, head = state.rooms, state.head
    if operation := rooms.repository.in_progress():
        raise Fault(f"a git {operation} is in progress: finish or abort it, then try again")
    start = _new_start(state, bench)
    ref = f"refs/heads/{start.research}"
    if rooms.ledger.research(start.research) is None:
        rooms.ledger.append(start)
    if rooms.repository.ref(ref) is None and not rooms.vault.move(ref, head.commit, None):
        raise Fault(f"branch {start.research} was made by somebody else just now: try again")
    if not rooms.vault.switch(ref, head):
        raise Fault("HEAD moved while the research run was being started: try again")
    return look(rooms)


def _new_start(state: State, bench: Bench) -> ResearchStarted:
    """Return the start of a run on today's branch, with -2, -3 ... where that is taken."""
    workflow = state.recipe.protocol.provenance.git_workflow
    pattern = workflow.branch_pattern or branches.DEFAULT_PATTERN
    tag = datetime.now(UTC).strftime("%Y-%m-%d")
    start = ResearchStarted(
        research=branches.branch_name(pattern, tag),
        base=state.head.commit,
        protocol=state.recipe.protocol_sha256,
        harness=state.recipe.harness,
        setting=bench.setting,
        noise=noisebook.recall(bench),
    )
    number = 1
    while not _is_free(state, start):
        number += 1
        name = branches.branch_name(pattern, f"{tag}-{number}")
        start = start.model_copy(update={"research": name})
    return start


def _is_free(state: State, start: ResearchStarted) -> bool:
    """Tell whether a run may take its name: nobody has, or the same start was cut short."""
    rooms, name = state.rooms, start.research
    at = rooms.repository.ref(f"refs/heads/{name}")
    begun = rooms.ledger.research(name)
    if begun is None:
        return at is None
    return begun == start and at in {None, start.base} and not rooms.ledger.trials(name)


def _check_unchanged_world(state: State, bench: Bench) -> None:
    """Refuse to compare what cannot be compared: a changed harness or machine."""
    assert state.started is not None
    harness = recipe_at(state.rooms.repository, state.head.commit).harness
    if changed := sorted(harness.items() ^ state.started.harness.items()):
        raise Fault(
            f"the harness changed since the baseline: {changed[0][0]} is not what it was; put it "
            "back, or switch to a new branch (git switch -c NAME) with a baseline of its own"
        )
    if differences := state.started.setting.differences(bench.setting):
        raise Fault(
            "the setting changed since the baseline ("
            + "; ".join(differences)
            + "): results would not be comparable. Restore it, or switch to a new branch (git "
            "switch -c NAME) to start a research run with its own baseline"
        )


@dataclass(frozen=True, slots=True)
class _Idea:
    """What is said of a candidate."""

    hypothesis: str
    simplification: bool


def _stage(state: State, bench: Bench, candidate: Mapping[str, bytes], idea: _Idea) -> TrialRecord:
    """Write the candidate as a commit and the trial into the ledger."""
    rooms, base = state.rooms, state.head.commit
    incumbent = state.incumbent
    arm = bench.arm(_code(state, candidate))
    if incumbent is None:
        _check_unmodified(candidate)
    else:
        _check_worth_a_trial(state, candidate, arm, incumbent)
    commit = base
    if candidate:
        when = datetime.now(UTC).replace(microsecond=0)
        commit = rooms.vault.commit(base, candidate, f"Candidate: {idea.hypothesis}\n", when=when)
    lines = _lines(state, candidate)
    research, first_free = state.research, _first_free_ref(state)
    assert research is not None

    def staged(trial: int) -> Event:
        return Staged(
            trial=max(trial, first_free),
            research=research,
            base=base,
            candidate=commit,
            arm=arm,
            baseline=incumbent is None,
            hypothesis=idea.hypothesis,
            added=lines.added,
            removed=lines.removed,
            simplification=idea.simplification,
            protocol_bundle=state.recipe.protocol.meta.protocol_bundle_id,
            choices=rooms.options.chosen(bench.interpreter.path),
        )

    return _referenced(rooms, rooms.ledger.append_with(staged))


def _first_free_ref(state: State) -> int:
    """Return a trial number that no ref has yet, even where an earlier ledger was lost."""
    upcoming = state.rooms.ledger.last_trial() + 1
    if state.rooms.repository.ref(f"{TRIAL_REFS}/{upcoming}") is None:
        return upcoming
    names = state.rooms.repository.refs(TRIAL_REFS)
    numbers = [name.rpartition("/")[2] for name in names]
    return 1 + max(int(number) for number in numbers if number.isdecimal())


def _referenced(rooms: Rooms, event: Event) -> TrialRecord:
    """Keep a staged trial's candidate reachable, and return the trial."""
    assert isinstance(event, Staged)
    rooms.vault.move(f"{TRIAL_REFS}/{event.trial}", event.candidate, None)
    trial = rooms.ledger.trial(event.trial)
    assert trial is not None
    return trial


def _check_worth_a_trial(
    state: State, candidate: Mapping[str, bytes], arm: str, incumbent: TrialRecord
) -> None:
    if not candidate or arm == incumbent.arm:
        raise Refusal(
            "session.no_change",
            "the candidate is the incumbent's code (comments and layout do not count): "
            "change something with apply_edit, then call run_trial",
        )
    unknown = [path for path, content in candidate.items() if not state.is_known(content)]
    if unknown:
        raise Refusal(
            "surface.unknown",
            f"{', '.join(unknown)} was changed outside this server; call apply_edit(adopt=true) "
            "to take it as the candidate, then call run_trial",
        )


def _code(state: State, candidate: Mapping[str, bytes]) -> str:
    """Return the fingerprint of the whole surface with the candidate's files in place."""
    contents = {
        path: candidate[path] if path in candidate else state.incumbent_source(path)
        for path in state.recipe.files
    }
    return "\n".join(
        f"{path} {arm_fingerprint(content.decode(errors='replace'))}"
        for path, content in sorted(contents.items())
    )


def _lines(state: State, candidate: Mapping[str, bytes]) -> DiffStat:
    stats = [
        edits.diff_stat(
            state.incumbent_source(path).decode(errors="replace"), content.decode(errors="replace")
        )
        for path, content in candidate.items()
    ]
    return DiffStat(sum(s.added for s in stats), sum(s.removed for s in stats))


def _launched(rooms: Rooms, trial: TrialRecord) -> TrialRecord:
    """Start a staged trial's own process, and settle the trial if it does not report."""
    present = launch(rooms, trial.id, lambda record: record.phase is not Phase.STAGED)
    if present is None:
        settle(rooms)
        present = rooms.ledger.get(trial.id)
        if present.process is None:  # else it was slow to report, not dead
            raise not_started(rooms, trial.id)
    return present
