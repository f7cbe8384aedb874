"""Tell a research run as a story, from the ledger and git alone."""

from collections import Counter

from autoresearch_mcp.core import resultslog
from autoresearch_mcp.core.errors import Refusal
from autoresearch_mcp.core.story import Chapter, Story
from autoresearch_mcp.core.trial import TrialRecord
from autoresearch_mcp.session import certifying, court, dossier
from autoresearch_mcp.session.certifying import CertificateView
from autoresearch_mcp.session.rooms import Rooms
from autoresearch_mcp.session.state import State, look

_SHORT = 7
_SELECTED = "selected: the trials that showed it were chosen for showing it, so it is optimistic"


def report(rooms: Rooms) -> Story:
    """Tell the research run that HEAD is on. Changes nothing.

    Raises:
        Refusal: HEAD is on no research branch.
        Fault: The repository or its protocol cannot be used.
    """
    state = look(rooms)
    if state.started is None:
        raise Refusal("session.branch", "HEAD is on no research branch: switch to one first")
    research = state.started.research
    decided = [t for t in rooms.ledger.trials(research) if t.verdict and t.outcome]
    certificates = rooms.ledger.certificates(research)
    found = certifying.view(rooms, certificates[-1]) if certificates else None
    protocol = state.recipe.protocol
    return Story(
        title=research,
        task=protocol.meta.purpose_statement or "",
        facts=tuple(_facts(rooms, state, decided)),
        metric=protocol.measurement.primary_metric.name,
        maximize=protocol.measurement.primary_metric.direction == "maximize",
        chapters=tuple(_chapter(rooms, trial) for trial in decided),
        certificate=tuple(_certificate(found)) if found else (),
        warnings=tuple(_warnings(state, decided, found)),
    )


def _facts(rooms: Rooms, state: State, decided: list[TrialRecord]) -> list[tuple[str, str]]:
    assert state.started is not None
    setting, metric = state.started.setting, state.recipe.protocol.measurement.primary_metric
    counts = Counter(resultslog.status(trial) for trial in decided)
    facts = [
        ("Metric", f"{metric.name}, {metric.direction}"),
        ("Machine", f"{setting.device}, MLX {setting.mlx or 'none'}, data {setting.data or 'own'}"),
        ("Trials", ", ".join(f"{n} {status}" for status, n in counts.items()) or "none"),
        ("Runs", str(sum(len(trial.runs) for trial in decided))),
    ]
    if decided:
        facts.append(
            ("Time", f"{decided[0].staged_at[:16]} to {(decided[-1].ended_at or '')[:16]}")
        )
        noise = court.Docket.read(rooms.ledger, decided[-1].id).noise
        if noise.df:
            known = f"{noise.sd:.6f} between runs of the same code, {noise.df:.0f} degrees"
            facts.append(("Noise", f"{known} of freedom"))
    baseline = rooms.ledger.first_kept(state.started.research)
    incumbent = rooms.ledger.last_kept(state.started.research)
    if baseline and incumbent:
        before, after = (court.mean_of(rooms.ledger, t) for t in (baseline, incumbent))
        gain = before - after if metric.direction == "minimize" else after - before
        facts.append(("Baseline", f"{before:.6f}"))
        facts.append(("Incumbent", f"{after:.6f}, trial {incumbent.id}"))
        if incumbent.id != baseline.id:
            facts.append(("Gain shown", f"{gain:+.6f} ({_SELECTED})"))
    return facts


def _chapter(rooms: Rooms, trial: TrialRecord) -> Chapter:
    assert trial.verdict is not None
    assert trial.outcome is not None
    kept = trial.kept and trial.applying_to not in {None, trial.base}
    return Chapter(
        number=trial.id,
        status=resultslog.status(trial),
        value=trial.outcome.value,
        gain=trial.verdict.gain,
        hypothesis="baseline" if trial.baseline else trial.hypothesis,
        reason=trial.verdict.reason,
        commit=(trial.applying_to or "")[:_SHORT] if kept else None,
        diff=dossier.diff_of(rooms, trial) if kept else "",
    )


def _certificate(found: CertificateView) -> list[str]:
    margin = "" if found.margin is None else f" +- {found.margin:.6f} (9 times in 10)"
    pairs = "1 fresh pair" if found.pairs == 1 else f"{found.pairs} fresh pairs"
    lines = [
        f"{found.gain:+.6f}{margin} {found.metric}, {pairs}, incumbent of trial {found.incumbent}"
    ]
    if found.holdout_gain is not None:
        within = "" if found.holdout_margin is None else f" +- {found.holdout_margin:.6f}"
        lines.append(f"{found.holdout_gain:+.6f}{within} on the hidden holdout rows")
    lines.append(f"{found.selected_gain:+.6f} shown by the trials themselves")
    return lines


def _warnings(state: State, decided: list[TrialRecord], found: CertificateView | None) -> list[str]:
    warnings: list[str] = []
    if state.started is not None and not state.started.setting.rankable:
        warnings.append("this data is a smoke test: its results mean nothing")
    if found is not None:
        incumbent = state.rooms.ledger.last_kept(found.research)
        if incumbent is not None and incumbent.id != found.incumbent:
            warnings.append(
                f"the certificate is of trial {found.incumbent}; since then trial {incumbent.id} "
                "was kept"
            )
        if not found.is_a_gain:
            warnings.append("the certificate's interval reaches nothing: no proof of a gain")
        warnings += [found.warning] if found.warning else []
    operator = [str(t.id) for t in decided if t.verdict and t.verdict.operator is not None]
    if operator:
        warnings.append(f"decided by the operator against the rule: trial {', '.join(operator)}")
    return warnings
