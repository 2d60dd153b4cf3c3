"""The watch: a shift of what is seen, and losses beyond what P and chance allow."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.config import preset
from adacompress_ref.survival.monitor import BEFORE, RECENT, Watch

FULL = RECENT + BEFORE  # images, before which nothing is compared


def watch(suspect=0, **changes):
    """A watch of preset `tuned` that is used to what it sees, unless `suspect` says otherwise."""
    made = Watch(preset("tuned").replace(**changes))
    made.reset(suspect)
    return made


def seen_until_suspicious(one, numbers):
    """How many of these images, [n, k], it takes; None where all are not enough."""
    for count, row in enumerate(numbers, 1):
        one.see(row)
        if one.suspicious:
            return count
    return None


# What is seen ------------------------------------------------------------------------------------


def test_a_new_watch_is_suspicious_for_some_estimates():
    one = Watch(preset("tuned").replace(suspect_for=2))
    assert one.suspicious
    one.measure(1.0, 1.0)
    assert one.suspicious
    one.measure(1.0, 1.0)
    assert not one.suspicious
    assert not one.alarmed


def test_the_shift_by_hand():
    one = watch(shift_limit=1e9)
    for number in [0.0, 2.0] * (BEFORE // 2) + [3.0] * RECENT:
        one.see(np.array([number, 7.0]))
    assert one.count == BEFORE
    # mean 1 and variance 1 before, mean 3 since; the second number never moves
    assert one.shift() == pytest.approx(2 / np.sqrt(1 / RECENT + 1 / BEFORE))


def test_the_largest_shift_counts_up_or_down():
    one = watch(shift_limit=1e9)
    for number in [0.0, 2.0] * (BEFORE // 2) + [1.0] * RECENT:
        one.see(np.array([number, 0.0, -number if number != 1 else -3.0]))
    assert one.shift() == pytest.approx(2 / np.sqrt(1 / RECENT + 1 / BEFORE))


def test_a_step_makes_it_suspicious_and_not_before_there_is_enough_to_compare():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 5))
    assert seen_until_suspicious(watch(), numbers) is None
    numbers[150:, 3] += 3
    assert 150 < seen_until_suspicious(watch(), numbers) < 150 + RECENT
    numbers = np.repeat([[0.0], [9.0]], 30, axis=0)  # the step stands too early
    assert seen_until_suspicious(watch(), numbers[: FULL - 1]) is None


def test_on_suspicion_the_comparison_begins_anew():
    one = watch(suspect_for=7)
    numbers = np.repeat([[0.0], [1.0]], FULL, axis=0)
    count = seen_until_suspicious(one, numbers)
    assert count == FULL + 1  # where nothing varies, one image is enough
    assert (one.suspect, one.count, len(one.recent)) == (7, 0, 0)
    one.suspect = 0
    assert seen_until_suspicious(one, np.full((500, 1), 1.0)) is None  # the new is the usual
    assert seen_until_suspicious(one, np.full((RECENT, 1), 0.0)) == 1


def test_a_shift_alone_is_no_alarm():
    one = watch()
    assert seen_until_suspicious(one, np.repeat([[0.0], [9.0]], FULL, axis=0))
    assert not one.alarmed


def test_without_a_limit_nothing_is_kept():
    one = watch(shift_limit=0.0)
    assert seen_until_suspicious(one, np.repeat([[0.0], [9.0]], FULL, axis=0)) is None
    assert len(one.recent) == one.count == 0


@given(st.lists(st.floats(-1e3, 1e3), min_size=FULL, max_size=FULL + 30))
def test_its_sums_are_those_of_numpy(numbers):
    one = watch(shift_limit=1e9)
    for number in numbers:
        one.see(np.array([number]))
    before, recent = numbers[:-RECENT], numbers[-RECENT:]
    error = np.sqrt(max(np.var(before), 1e-6) * (1 / RECENT + 1 / len(before)))
    expected = abs(np.mean(recent) - np.mean(before)) / error
    assert one.shift() == pytest.approx(expected, rel=1e-3, abs=1e-3)


# What is measured --------------------------------------------------------------------------------


def test_the_sum_of_surprise_by_hand():
    one = watch(surprise_slack=0.1, surprise_limit=1.0, suspect_for=2)
    sums, suspicious, alarmed = [], [], []
    for survival, accuracy in [(0.9, 1), (0.9, 0), (0.5, 1), (0.5, 0), (0.8, 0), (0.2, 0)]:
        one.measure(survival, accuracy)
        sums.append(one.surprise)
        suspicious.append(one.suspicious)
        alarmed.append(one.alarmed)
    # -0.2 is 0; +0.8; -0.6; +0.4; +0.7; +0.1
    assert sums == pytest.approx([0, 0.8, 0.2, 0.6, 1.3, 1.4])
    # beyond 0.7 of the limit, and two more
    assert suspicious == [False, True, True, False, True, True]
    assert alarmed == [False, False, False, False, True, True]


@given(st.lists(st.floats(0, 1), max_size=200))
def test_it_never_alarms_where_p_is_what_comes(accuracies):
    one = watch()
    for accuracy in accuracies:
        one.measure(accuracy, accuracy)
        assert one.surprise == 0
    assert not one.suspicious


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), max_size=100))
def test_the_sum_is_the_worst_run_that_ends_now(measurements):
    one = watch()
    for survival, accuracy in measurements:
        one.measure(survival, accuracy)
    steps = [survival - accuracy - one.config.surprise_slack for survival, accuracy in measurements]
    worst = max(sum(steps[start:]) for start in range(len(steps) + 1))
    assert one.surprise == pytest.approx(max(0.0, worst), abs=1e-9)


def test_labels_lost_at_a_rate_that_p_knows_are_chance_and_others_are_found():
    rng = np.random.default_rng(0)
    one, found = watch(), []
    for _ in range(500):
        one.measure(0.97, float(rng.random() < 0.97))
        found.append(one.alarmed)
    assert not any(found)
    for count in range(1, 100):  # noqa: B007
        one.measure(0.97, float(rng.random() < 0.4))
        if one.alarmed:
            break
    assert 5 <= count <= 30


def test_calibrated_needs_a_full_window_and_little_surprise_in_it():
    one = watch(window=4, surprise_slack=0.1)
    for _ in range(3):
        one.measure(0.5, 0.5)
        assert not one.calibrated
    one.measure(0.5, 0.5)
    assert one.calibrated
    one.measure(1.0, 0.0)  # a mean of 0.25
    assert not one.calibrated
    one.measure(0.0, 1.0)
    assert one.calibrated
    for _ in range(2):
        one.measure(0.5, 0.5)
    assert list(one.residuals) == [1, -1, 0, 0]


# Keeping -----------------------------------------------------------------------------------------


def test_reset_forgets_all():
    one = watch(shift_limit=1e9)
    for number in range(FULL + 5):
        one.see(np.array([float(number)]))
        one.measure(1.0, 0.0)
    assert one.alarmed
    one.reset(suspect=3)
    assert (one.surprise, one.count, one.suspect) == (0, 0, 3)
    assert len(one.recent) == len(one.residuals) == 0


@pytest.mark.parametrize("images", [0, 5, FULL - 1, FULL + 7])
def test_kept_as_json_and_gone_on_it_is_the_same(images):
    numbers = np.random.default_rng(0).normal(size=(images + 50, 3))
    numbers[images + 20 :] += 9
    one, other = watch(2), watch()
    for row in numbers[:images]:
        one.see(row)
        one.measure(0.9, 0.5)
    other.from_json(json.loads(json.dumps(one.to_json())))
    for row in numbers[images:]:
        for each in (one, other):
            each.see(row)
            each.measure(0.9, 0.5)
        assert one.to_json() == other.to_json()
