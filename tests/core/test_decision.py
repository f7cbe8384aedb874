"""The verdict: a pure function of the runs."""

import math
import random
from collections.abc import Callable
from dataclasses import asdict, replace
from itertools import chain, cycle
from json import dumps

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from autoresearch_mcp.core.case import Action, Case, Judgement, Kept, Observation, Rule
from autoresearch_mcp.core.decision import BASELINE_RUNS, judge
from autoresearch_mcp.core.noise import Noise
from autoresearch_mcp.core.reasons import next_run

STRICT = Rule(direction="minimize")
EXPLORE = replace(STRICT, preset="explore")
SINGLE = replace(STRICT, preset="single")

values = st.floats(min_value=1e-3, max_value=1e3)
any_value = st.none() | st.floats(allow_nan=True, allow_infinity=True)
observations = st.lists(
    st.builds(
        Observation, st.sampled_from(["old", "new", "other", "third"]), any_value, st.booleans()
    ),
    max_size=40,
).map(tuple)
kept = st.lists(st.builds(Kept, gain=st.floats(-1, 1), simpler=st.booleans()), max_size=5)
rules = st.builds(
    Rule,
    direction=st.sampled_from(["minimize", "maximize"]),
    preset=st.sampled_from(["strict", "explore", "single"]),
    min_gain_bips=st.integers(0, 500),
    least_runs=st.integers(1, 4),
    most_spread=st.none() | st.floats(0, 1),
)
cases = st.builds(
    Case,
    candidate=st.just("new"),
    incumbent=st.just("old") | st.none(),
    observations=observations,
    net_lines=st.integers(-50, 50),
    simplification=st.booleans(),
    kept=kept.map(tuple),
    out_of_budget=st.booleans(),
)


def runs(arm: str, *values: float | None) -> tuple[Observation, ...]:
    return tuple(Observation(arm, value) for value in values)


def case(old: tuple[float, ...], new: tuple[float | None, ...]) -> Case:
    found = runs("old", *old) + runs("new", *new)
    return Case(candidate="new", incumbent="old", observations=found)


def race(case: Case, rule: Rule, run: Callable[[str], float]) -> tuple[Case, Judgement]:
    """Make the runs that the rule asks for, to its verdict."""
    while True:
        judged = judge(case, rule)
        arms = {Action.RUN_CANDIDATE: case.candidate, Action.RUN_INCUMBENT: case.incumbent or ""}
        if judged.action not in arms:
            return case, judged
        arm = arms[judged.action]
        made = (*case.observations, Observation(arm, run(arm)))
        assert len(made) < 200
        case = replace(case, observations=made)


@given(cases, rules)
def test_the_same_runs_give_the_same_judgement_byte_for_byte(case: Case, rule: Rule) -> None:
    again = replace(case, observations=tuple(Observation(*o) for o in case.observations))

    assert dumps(asdict(judge(case, rule))) == dumps(asdict(judge(again, rule)))


@given(cases, rules)
def test_whatever_the_runs_there_is_an_order_with_a_reason(case: Case, rule: Rule) -> None:
    judged = judge(case, rule)

    assert judged.reason
    assert "\n" not in judged.reason
    if case.out_of_budget:
        assert judged.action not in {Action.RUN_CANDIDATE, Action.RUN_INCUMBENT}


@given(cases, rules, st.randoms(use_true_random=False))
def test_runs_may_arrive_in_any_order(case: Case, rule: Rule, order: random.Random) -> None:
    shuffled = list(case.observations)
    order.shuffle(shuffled)

    judged = judge(replace(case, observations=tuple(shuffled)), rule)

    assert judged.runs == judge(case, rule).runs


@given(cases, rules)
def test_turning_the_direction_round_mirrors_the_verdict(case: Case, rule: Rule) -> None:
    turned = {"minimize": "maximize", "maximize": "minimize"}
    straight = judge(case, rule)
    mirrored = judge(
        replace(
            case,
            observations=tuple(
                o._replace(value=None if o.value is None else -o.value) for o in case.observations
            ),
        ),
        replace(rule, direction=turned[rule.direction]),
    )

    shown = ("action", "odds", "noise", "runs", "simpler")
    assert dumps([getattr(mirrored, name) for name in shown]) == dumps(
        [getattr(straight, name) for name in shown]
    )
    assert dumps(mirrored.gain) == dumps(straight.gain)


@pytest.mark.parametrize("rule", [STRICT, EXPLORE])
def test_the_baseline_is_run_three_times_before_anything_is_compared_with_it(rule: Rule) -> None:
    baseline = Case(candidate="old", incumbent=None, observations=())

    done, judged = race(baseline, rule, lambda _arm: 2.0)

    assert judged.action is Action.KEEP
    assert judged.reason == "baseline: 2.000000"
    assert len(done.observations) == BASELINE_RUNS


def test_a_clear_loser_is_dropped_after_one_run() -> None:
    judged = judge(case((2.00, 2.02, 2.01), (2.20,)), STRICT)

    assert judged.action is Action.DISCARD
    assert "worse by 0.19" in judged.reason
    assert judged.gain is not None
    assert judged.gain < 0


def test_a_first_winner_needs_more_than_one_run_until_the_noise_is_known() -> None:
    new = case((2.00, 2.02, 2.01), (1.92,))
    known = replace(new, saved=Noise(squares=10 * 0.01**2, df=10))

    assert judge(new, STRICT).action is Action.RUN_CANDIDATE
    assert judge(known, STRICT).action is Action.KEEP


@pytest.mark.parametrize(("bar", "after"), [(14.0, 2), (6.5, 3), (4.5, 4)])
def test_with_the_baselines_noise_alone_a_first_winner_needs_what_the_rule_says(
    bar: float, after: int
) -> None:
    """A winner whose gain is 13, 6 or 4 noise units is kept after 2, 3 or 4 runs."""
    s, old = 0.01, (1.99, 2.00, 2.01)

    def verdict(gain: float, count: int) -> Action:
        spread = [s * (index - (count - 1) / 2) for index in range(count)]
        scale = s / math.sqrt(sum(x * x for x in spread) / (count - 1))
        new = tuple(2.0 - gain * s + scale * x for x in spread)
        return judge(case(old, new), STRICT).action

    # The pooled noise stays s; the incumbent is run again whenever it has fewer.
    assert verdict(bar, after) is Action.KEEP
    assert verdict(bar / 2.5, after) is not Action.KEEP


def test_an_unclear_edit_is_run_again_and_so_is_the_incumbent_when_it_has_fewer_runs() -> None:
    old = (2.00, 2.02, 2.01)

    assert judge(case(old, (1.99,)), STRICT).action is Action.RUN_CANDIDATE
    assert judge(case(old, (1.99, 2.0, 1.99, 1.98)), STRICT).action is Action.RUN_INCUMBENT


def test_what_stays_unclear_ends_as_inconclusive_and_resumes_as_that() -> None:
    wobble = {"old": cycle([0.02, -0.02]), "new": chain([-0.06], cycle([0.02, -0.02]))}
    mean = {"old": 2.0, "new": 1.986}

    done, judged = race(
        case((2.00, 2.02, 1.98), ()), STRICT, lambda arm: mean[arm] + next(wobble[arm])
    )

    assert judged.action is Action.INCONCLUSIVE
    assert judged.runs == judged.most_runs == 12
    assert "not enough" in judged.reason
    assert judge(done, STRICT) == judged


def test_a_recipe_without_noise_is_judged_by_a_ten_thousandth_of_its_value() -> None:
    better, _ = race(case((2.0, 2.0, 2.0), ()), STRICT, lambda arm: 2.0 if arm == "old" else 1.99)
    same = judge(case((2.0, 2.0, 2.0), (2.0,)), STRICT)

    assert judge(better, STRICT).action is Action.KEEP
    assert judge(better, STRICT).noise == pytest.approx(2e-4)
    assert same.action is Action.DISCARD
    assert "a tie" in same.reason


@pytest.mark.parametrize("scale", [1e-9, 1.0, 1e9])
def test_the_size_of_the_metric_does_not_matter(scale: float) -> None:
    def run(arm: str) -> float:
        return scale * (2.0 if arm == "old" else 1.99)

    _, judged = race(case((2 * scale,) * 3, ()), STRICT, run)

    assert judged.action is Action.KEEP


def test_a_metric_of_nothing_but_zeros_is_no_error() -> None:
    assert judge(case((0.0, 0.0, 0.0), (0.0,)), STRICT).action is Action.DISCARD


def test_added_lines_must_pay_for_themselves() -> None:
    small = replace(case((2.0,) * 3, (1.998,) * 2), saved=Noise(squares=10 * 0.0005**2, df=10))

    assert judge(small, STRICT).action is Action.KEEP
    assert judge(replace(small, net_lines=40), STRICT).action is not Action.KEEP


@pytest.mark.parametrize("rule", [STRICT, EXPLORE, SINGLE])
@pytest.mark.parametrize("value", [None, math.nan, math.inf])
def test_a_run_without_value_is_discarded_even_where_the_arm_has_others(
    rule: Rule, value: float | None
) -> None:
    judged = judge(case((2.0, 2.0, 2.0), (1.0, value)), rule)

    assert judged.action is Action.DISCARD
    assert judged.reason == "the candidate gave no value"


def test_a_run_of_the_incumbent_without_value_counts_for_nothing() -> None:
    clean = case((2.00, 2.02, 2.01), (1.9,))
    broken = replace(clean, observations=(*clean.observations, Observation("old", None)))

    assert judge(broken, STRICT) == judge(clean, STRICT)


def test_simpler_code_is_kept_when_it_is_no_worse() -> None:
    same = case((2.00, 2.02, 1.98), ())
    simpler = replace(same, simplification=True, net_lines=-5)

    _, judged = race(simpler, STRICT, lambda _arm: 2.0)
    _, claimed = race(replace(simpler, net_lines=1), STRICT, lambda _arm: 2.0)
    _, unclaimed = race(replace(simpler, simplification=False), STRICT, lambda _arm: 2.0)

    assert judged.action is Action.KEEP
    assert "5 lines fewer" in judged.reason
    assert claimed.action is not Action.KEEP
    assert unclaimed.action is not Action.KEEP


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.floats(0.0, 0.9))
def test_three_hundred_simplifications_in_a_row_cost_one_noise_unit_at_most(
    seed: int, harm: float
) -> None:
    luck, s = random.Random(seed), 0.01
    truth = {"0": 2.0}
    done, _ = race(
        Case(candidate="0", incumbent=None, observations=()),
        STRICT,
        lambda arm: luck.gauss(truth[arm], s),
    )
    incumbent, debt, largest = "0", 0.0, 0.0
    history: list[Kept] = []
    for number in range(1, 301):
        arm = str(number)
        truth[arm] = truth[incumbent] + harm * s
        asked = replace(
            done,
            candidate=arm,
            incumbent=incumbent,
            simplification=True,
            net_lines=-1,
            kept=tuple(history),
        )
        done, judged = race(
            replace(asked, observations=asked.observations[-120:]),
            STRICT,
            lambda arm: luck.gauss(truth[arm], s),
        )
        largest = max(largest, judged.noise or 0.0)
        if judged.action is Action.KEEP:
            assert judged.gain is not None
            history.append(Kept(gain=judged.gain, simpler=judged.simpler))
            debt += max(0.0, -judged.gain) if judged.simpler else 0.0
            incumbent = arm

    assert history or harm > 0.5
    assert debt <= largest


@given(values, values)
def test_a_single_run_keeps_what_is_better_and_discards_a_tie(old: float, new: float) -> None:
    judged = judge(case((old,), (new,)), SINGLE)

    assert judged.action is (Action.KEEP if new < old else Action.DISCARD)


@pytest.mark.parametrize("rule", [STRICT, EXPLORE, SINGLE])
@pytest.mark.parametrize(
    ("bips", "new", "action"),
    [(100, 1.98, Action.KEEP), (101, 1.98, Action.DISCARD), (0, 1.998, Action.KEEP)],
)
def test_the_gain_must_reach_what_the_protocol_asks_for(
    rule: Rule, bips: int, new: float, action: Action
) -> None:
    judged = judge(case((2.0,) * 3, (new,) * 3), replace(rule, min_gain_bips=bips))

    assert judged.action is action
    assert ("the protocol asks for 0.020200" in judged.reason) == (bips == 101)


@pytest.mark.parametrize("rule", [STRICT, EXPLORE, SINGLE])
def test_the_protocols_measured_trials_are_the_least_runs_of_either_side(rule: Rule) -> None:
    rule = replace(rule, least_runs=5)
    winner = {"old": 2.0, "new": 1.0}

    started, _ = race(
        Case(candidate="old", incumbent=None, observations=()), rule, winner.__getitem__
    )
    done, judged = race(
        replace(started, candidate="new", incumbent="old"), rule, winner.__getitem__
    )

    assert judged.action is Action.KEEP
    assert (judged.runs, judged.incumbent_runs) == (5, 5)
    assert len(done.observations) == 10


def test_an_arm_that_was_measured_before_is_not_run_again() -> None:
    assert judge(case((2.0, 2.01, 1.99), (3.0,)), STRICT).action is Action.DISCARD


def test_a_ledger_that_began_with_single_runs_gets_the_noise_measured_first() -> None:
    assert judge(case((2.0,), (1.0,)), STRICT).action is Action.RUN_INCUMBENT


def test_later_gains_are_held_against_the_size_of_the_earlier_ones() -> None:
    small = replace(case((2.0,) * 3, (1.986,)), saved=Noise(squares=10 * 0.01**2, df=10))
    chased = replace(small, kept=(Kept(gain=0.5),))

    assert judge(small, STRICT).action is Action.RUN_CANDIDATE
    assert judge(chased, STRICT).action is Action.DISCARD


def test_exploring_a_keep_raises_no_bar_that_luck_built() -> None:
    lucky = replace(case((1.9,), (1.9,)), saved=Noise(squares=10 * 0.01**2, df=10))
    pulled = replace(lucky, kept=(Kept(gain=0.1, pull=0.02, runs=1),))
    settled = replace(
        pulled,
        kept=(Kept(gain=0.1, pull=0.02, runs=1),),
        observations=(*runs("old", *(1.9,) * 20), *runs("new", 1.9)),
    )

    assert judge(lucky, EXPLORE).gain == 0.0
    assert judge(pulled, EXPLORE).gain == pytest.approx(0.02)
    assert judge(settled, EXPLORE).gain == pytest.approx(0.001)


def test_a_winner_whose_runs_spread_wide_is_run_again_and_left_open_in_the_end() -> None:
    rule = replace(STRICT, least_runs=2, most_spread=0.05)
    wide = {"old": cycle([2.0]), "new": cycle([1.0, 1.5])}
    started = case((2.0, 2.0, 2.0), ())

    done, judged = race(started, rule, lambda arm: next(wide[arm]))
    first = judge(case((9.0,) * 3, (1.0, 1.5)), rule)

    assert judge(done, STRICT).action is Action.KEEP
    assert judged.action is Action.INCONCLUSIVE
    assert judged.runs == judged.most_runs == 12
    assert "the protocol allows 5 % at most (maxRelativeStdDev)" in judged.reason
    assert judge(done, rule) == judged
    assert judge(done, replace(rule, most_spread=0.5)).action is Action.KEEP
    assert first.action is Action.RUN_CANDIDATE
    assert "spread by" in next_run(first, case((), ()))


def test_a_baseline_whose_runs_spread_wide_is_kept_with_a_word_about_it() -> None:
    found = Case(candidate="old", incumbent=None, observations=runs("old", 1.0, 2.0, 3.0))
    judged = judge(found, replace(STRICT, most_spread=0.05))

    assert judged.action is Action.KEEP
    assert judged.reason == "baseline: 2.000000; its runs spread by 50 % of their mean"


def test_one_run_has_no_spread_and_zeros_have_none_either() -> None:
    rule = replace(SINGLE, most_spread=0.0)

    assert judge(case((2.0,), (1.0,)), rule).action is Action.KEEP
    assert judge(case((2.0, 2.0), (0.0, 0.0)), rule).action is Action.KEEP
    assert judge(case((2.0, 2.0), (-1.0, 1.0)), rule).action is Action.INCONCLUSIVE


@given(cases, rules)
def test_what_was_never_proved_carries_no_keep(case: Case, rule: Rule) -> None:
    proved = tuple(o for o in case.observations if o.proved or o.arm != "new")

    if judge(case, rule).action is Action.KEEP:
        assert judge(replace(case, observations=proved), rule).action is Action.KEEP


def test_a_winner_by_runs_that_were_never_proved_is_run_again_and_a_loser_is_not() -> None:
    def unproved(value: float) -> Case:
        found = (*runs("old", 2.0, 2.01, 1.99), Observation("new", value, proved=False))
        return Case(candidate="new", incumbent="old", observations=found)

    for rule in (STRICT, EXPLORE, SINGLE):
        assert judge(unproved(1.0), rule).action is Action.RUN_CANDIDATE
        assert judge(unproved(3.0), rule).action is Action.DISCARD
    assert judge(replace(unproved(1.0), out_of_budget=True), STRICT).action is Action.INCONCLUSIVE
