"""The monitor: a shift of what is seen, and losses beyond what P and chance allow."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.roles import Label, Measurement, Upload
from adacompress_ref.survival.config import TUNED
from adacompress_ref.survival.monitor import BEFORE, RECENT, Shift, Surprise

FULL = RECENT + BEFORE  # images, before which nothing is compared
NOTHING = Upload(0, ())


def new(**changes):
    """A new monitor of preset `tuned`, whose agent takes the first number of a row for P."""
    config = TUNED.replace(**changes)
    return Surprise(SimpleNamespace(config=config, alpha=1.0, survival=lambda row: row[0]))


def used(**changes):
    """One that is used to what it sees."""
    monitor = new(**changes)
    monitor.end_training()
    return monitor


def see(monitor, row):
    """An inference whose state has this row, with the same score each time."""
    monitor.see(np.asarray(row, np.float32)[None], 0, Upload(10, [Label("cat", 0.5)]))


def measure(monitor, survival, accuracy):
    """An upload that P was predicted for, and what came."""
    state = np.array([[survival, 0.0]])
    monitor.record(Measurement(state, 0, NOTHING, NOTHING, accuracy, 0.0))


def seen_until_suspicious(monitor, numbers):
    """How many of these images, [n, k], it takes; None where all are not enough."""
    for count, row in enumerate(numbers, 1):
        see(monitor, row)
        if monitor.suspicious:
            return count
    return None


# What is seen ------------------------------------------------------------------------------------


def test_a_new_monitor_is_suspicious_for_some_estimates():
    monitor = new(suspect_for=3)
    assert monitor.suspicious
    measure(monitor, 1.0, 1.0)
    monitor.estimated(False)  # without an answer it is paid for too
    assert (monitor.suspicious, monitor.p_est) == (True, TUNED.p_0)
    measure(monitor, 1.0, 1.0)
    assert (monitor.suspicious, monitor.p_est) == (False, TUNED.p_min)
    assert not monitor.must_retrain


def test_the_shift_by_hand():
    shift = Shift(limit=1e9)
    for number in [0.0, 2.0] * (BEFORE // 2) + [3.0] * RECENT:
        shift.see(np.array([number, 7.0]))
    assert shift.count == BEFORE
    # mean 1 and variance 1 before, mean 3 since; the second number never moves
    assert shift.size() == pytest.approx(2 / np.sqrt(1 / RECENT + 1 / BEFORE))


def test_the_largest_shift_counts_up_or_down():
    shift = Shift(limit=1e9)
    for number in [0.0, 2.0] * (BEFORE // 2) + [1.0] * RECENT:
        shift.see(np.array([number, 0.0, -number if number != 1 else -3.0]))
    assert shift.size() == pytest.approx(2 / np.sqrt(1 / RECENT + 1 / BEFORE))


def test_a_step_makes_it_suspicious_and_not_before_there_is_enough_to_compare():
    rng = np.random.default_rng(0)
    numbers = rng.normal(size=(200, 5))
    assert seen_until_suspicious(used(), numbers) is None
    numbers[150:, 3] += 3
    assert 150 < seen_until_suspicious(used(), numbers) < 150 + RECENT
    numbers = np.repeat([[0.0], [9.0]], 30, axis=0)  # the step stands too early
    assert seen_until_suspicious(used(), numbers[: FULL - 1]) is None


def test_on_suspicion_the_comparison_begins_anew():
    monitor = used(suspect_for=7)
    numbers = np.repeat([[0.0], [1.0]], FULL, axis=0)
    count = seen_until_suspicious(monitor, numbers)
    assert count == FULL + 1  # where nothing varies, one image is enough
    assert (monitor.suspect, monitor.p_est) == (7, TUNED.p_max)
    assert (monitor.shift.count, len(monitor.shift.recent)) == (0, 0)
    monitor.suspicious = False
    assert seen_until_suspicious(monitor, np.full((500, 1), 1.0)) is None  # the new is the usual
    assert seen_until_suspicious(monitor, np.full((RECENT, 1), 0.0)) == 1


def test_a_shift_alone_is_no_alarm():
    monitor = used()
    assert seen_until_suspicious(monitor, np.repeat([[0.0], [9.0]], FULL, axis=0))
    assert not monitor.must_retrain


@given(st.lists(st.floats(-1e3, 1e3), min_size=FULL, max_size=FULL + 30))
def test_its_sums_are_those_of_numpy(numbers):
    shift = Shift(limit=1e9)
    for number in numbers:
        shift.see(np.array([number]))
    before, recent = numbers[:-RECENT], numbers[-RECENT:]
    error = np.sqrt(max(np.var(before), 1e-6) * (1 / RECENT + 1 / len(before)))
    expected = abs(np.mean(recent) - np.mean(before)) / error
    assert shift.size() == pytest.approx(expected, rel=1e-3, abs=1e-3)


# What is measured --------------------------------------------------------------------------------


def test_the_sum_of_surprise_by_hand():
    monitor = used(surprise_slack=0.1, surprise_limit=1.0, suspect_for=2)
    sums, suspicious, alarmed = [], [], []
    for survival, accuracy in [(0.9, 1), (0.9, 0), (0.5, 1), (0.5, 0), (0.8, 0), (0.2, 0)]:
        measure(monitor, survival, accuracy)
        sums.append(monitor.surprise)
        suspicious.append(monitor.suspicious)
        alarmed.append(monitor.must_retrain)
    # -0.2 is 0; +0.8; -0.6; +0.4; +0.7; +0.1
    assert sums == pytest.approx([0, 0.8, 0.2, 0.6, 1.3, 1.4])
    # beyond 0.7 of the limit, and two more
    assert suspicious == [False, True, True, False, True, True]
    assert alarmed == [False, False, False, False, True, True]


@given(st.lists(st.floats(0, 1), max_size=200))
def test_it_never_alarms_where_p_is_what_comes(accuracies):
    monitor = used()
    for accuracy in accuracies:
        measure(monitor, accuracy, accuracy)
        assert monitor.surprise == 0
    assert not monitor.suspicious


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), max_size=100))
def test_the_sum_is_the_worst_run_that_ends_now(measurements):
    monitor = used()
    for survival, accuracy in measurements:
        measure(monitor, survival, accuracy)
    steps = [
        survival - accuracy - monitor.config.surprise_slack for survival, accuracy in measurements
    ]
    worst = max(sum(steps[start:]) for start in range(len(steps) + 1))
    assert monitor.surprise == pytest.approx(max(0.0, worst), abs=1e-9)


def test_labels_lost_at_a_rate_that_p_knows_are_chance_and_others_are_found():
    rng = np.random.default_rng(0)
    monitor, found = used(), []
    for _ in range(500):
        measure(monitor, 0.97, float(rng.random() < 0.97))
        found.append(monitor.must_retrain)
    assert not any(found)
    for count in range(1, 100):  # noqa: B007
        measure(monitor, 0.97, float(rng.random() < 0.4))
        if monitor.must_retrain:
            break
    assert 5 <= count <= 30


def test_calibrated_needs_a_full_window_and_little_surprise_in_it():
    monitor = used(window=4, surprise_slack=0.1)
    for _ in range(3):
        measure(monitor, 0.5, 0.5)
        assert not monitor.may_return(False)
    measure(monitor, 0.5, 0.5)
    assert monitor.may_return(False)
    measure(monitor, 1.0, 0.0)  # a mean of 0.25
    assert not monitor.may_return(False)
    measure(monitor, 0.0, 1.0)
    assert monitor.may_return(False)
    for _ in range(2):
        measure(monitor, 0.5, 0.5)
    assert list(monitor.residuals) == [1, -1, 0, 0]


# Forgetting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["begin_training", "end_training"])
def test_a_retraining_forgets_what_was_seen_and_lost(end):
    monitor = used(shift_limit=1e9)
    for number in range(FULL + 5):
        see(monitor, [float(number)])
        measure(monitor, 1.0, 0.0)
    assert monitor.must_retrain
    getattr(monitor, end)()
    assert (monitor.surprise, monitor.shift.count, monitor.suspect) == (0, 0, 0)
    assert len(monitor.shift.recent) == len(monitor.residuals) == 0
    assert monitor.recorded == (FULL + 5 if end == "begin_training" else 0)
