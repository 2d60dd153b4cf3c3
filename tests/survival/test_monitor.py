"""The monitor: how often it measures, a shift of what is seen, losses beyond P and chance."""

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


def new(goal=0.9, reference_bytes=100.0, **changes):
    """A monitor of preset `tuned`, whose agent takes the first number of a row for P."""
    config = TUNED.replace(**changes)
    agent = SimpleNamespace(config=config, goal=goal, survival=lambda row: row[0], steps=0)
    agent.images, agent.bytes = 1, reference_bytes
    return Surprise(agent)


def see(monitor, row=(0.0,), size=10):
    """An inference whose state has this row, with the same score each time."""
    monitor.see(np.asarray(row, np.float32)[None], 0, Upload(size, [Label("cat", 0.5)]))


def measure(monitor, survival, accuracy):
    """An upload that P was predicted for, and what came."""
    state = np.array([[survival, 0.0]])
    monitor.record(Measurement(state, 0, NOTHING, NOTHING, accuracy, 0.0))


def seen_until_suspicious(monitor, numbers):
    """How many of these images, [n, k], it takes; None where all are not enough."""
    for count, row in enumerate(numbers, 1):
        see(monitor, row)
        if monitor.suspect:
            return count
    return None


# How often ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "losses", "p_0", "expected"),
    [
        (0.9, 2.0, 0.3, 0.2),  # two of each label that may be lost
        (0.8, 2.0, 0.3, 0.3),  # at most p_0
        (0.99, 2.0, 0.3, 0.05),  # at least that
        (1.0, 2.0, 0.3, 0.05),
        (0.0, 2.0, 0.3, 0.1),  # alpha is held: the agreement of the config, 0.95
    ],
)
def test_at_first_p_est_is_a_multiple_of_the_labels_that_may_be_lost(goal, losses, p_0, expected):
    monitor = new(goal, early_losses=losses, p_0=p_0, early_images=3)
    assert monitor.p_est == pytest.approx(expected)
    for _ in range(2):
        see(monitor)
        assert monitor.p_est == pytest.approx(expected)
    see(monitor)
    assert monitor.p_est != pytest.approx(expected)


def test_later_references_have_a_share_of_the_bytes_that_others_take():
    monitor = new(0.9, 200.0, early_images=2, share=1.5, p_0=0.5, p_min=0.01)
    monitor.agent.images = 4  # 50 bytes each
    see(monitor, size=10)
    see(monitor, size=30)
    # 1.5 * 0.1 * 20 / 50
    assert monitor.p_est == pytest.approx(0.06)
    see(monitor, size=500)  # 1.5 * 0.1 * 180 / 50 is above p_0
    assert monitor.p_est == 0.5
    monitor.agent.goal = 1.0
    see(monitor)
    assert monitor.p_est == 0.01
    monitor.agent.goal = 0.0  # 0.95 of the config; 1.5 * 0.05 * 140 / 50
    see(monitor, size=150)
    assert monitor.p_est == pytest.approx(1.5 * 0.05 * 140 / 50)


def test_on_suspicion_it_is_p_max_for_some_estimates():
    monitor = new(0.9, p_max=0.8, suspect_for=2, surprise_limit=4.0, early_losses=2.0)
    measure(monitor, 1.0, 0.0)
    measure(monitor, 1.0, 0.0)
    monitor.estimated(True)  # 1.9 is not above half of the limit
    assert monitor.p_est == pytest.approx(0.2)
    measure(monitor, 1.0, 0.0)
    monitor.estimated(True)
    assert (monitor.suspect, monitor.p_est) == (2, 0.8)
    for _ in range(3):
        measure(monitor, 0.5, 1.0)
    monitor.estimated(True)  # 2.85 - 3 * 0.55 = 1.2
    assert (monitor.suspect, monitor.p_est) == (1, 0.8)
    monitor.estimated(False)  # without an answer it is paid for too
    assert (monitor.suspect, monitor.p_est) == (0, pytest.approx(0.2))
    monitor.estimated(True)
    assert monitor.suspect == 0


def test_after_a_training_it_is_as_at_first():
    monitor = new(0.9, early_images=3, early_losses=2.0)
    for _ in range(10):
        see(monitor)
    later = monitor.p_est
    assert later < 0.2
    monitor.begin_training()
    assert (monitor.images, monitor.sent) == (10, 100)
    monitor.end_training()
    assert (monitor.images, monitor.sent, monitor.p_est) == (0, 0, pytest.approx(0.2))


# What is seen ------------------------------------------------------------------------------------


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
    assert seen_until_suspicious(new(), numbers) is None
    numbers[150:, 3] += 3
    assert 150 < seen_until_suspicious(new(), numbers) < 150 + RECENT
    numbers = np.repeat([[0.0], [9.0]], 30, axis=0)  # the step stands too early
    assert seen_until_suspicious(new(), numbers[: FULL - 1]) is None


def test_on_suspicion_the_comparison_begins_anew():
    monitor = new(suspect_for=7)
    numbers = np.repeat([[0.0], [1.0]], FULL, axis=0)
    count = seen_until_suspicious(monitor, numbers)
    assert count == FULL + 1  # where nothing varies, one image is enough
    assert (monitor.suspect, monitor.p_est) == (7, TUNED.p_max)
    assert (monitor.shift.count, len(monitor.shift.recent)) == (0, 0)
    monitor.suspect = 0
    assert seen_until_suspicious(monitor, np.full((500, 1), 1.0)) is None  # the new is the usual
    assert seen_until_suspicious(monitor, np.full((RECENT, 1), 0.0)) == 1


def test_a_shift_alone_is_no_alarm():
    monitor = new()
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
    monitor = new(surprise_slack=0.1, surprise_limit=1.0, suspect_for=2)
    sums, suspects, alarmed = [], [], []
    for survival, accuracy in [
        (0.9, 1),
        (0.9, 0),
        (0.6, 1),
        (0.5, 1),
        (0.5, 0),
        (0.8, 0),
        (0.2, 0),
    ]:
        measure(monitor, survival, accuracy)
        monitor.estimated(True)
        sums.append(monitor.surprise)
        suspects.append(monitor.suspect)
        alarmed.append(monitor.must_retrain)
    # -0.2 is 0; +0.8; -0.5; -0.6 is 0; +0.4; +0.7; +0.1
    assert sums == pytest.approx([0, 0.8, 0.3, 0, 0.4, 1.1, 1.2])
    # beyond half of the limit, and two more
    assert suspects == [0, 2, 1, 0, 0, 2, 2]
    assert alarmed == [False] * 5 + [True] * 2


def test_the_mean_accuracy_is_that_of_the_window():
    monitor = new(window=3)
    assert np.isnan(monitor.mean_accuracy)
    means = []
    for accuracy in (1.0, 0.0, 0.0, 0.5):
        measure(monitor, 1.0, accuracy)
        means.append(monitor.mean_accuracy)
    assert means == pytest.approx([1, 1 / 2, 1 / 3, 1 / 6])


@given(st.lists(st.floats(0, 1), max_size=200))
def test_it_never_alarms_where_p_is_what_comes(accuracies):
    monitor = new()
    for accuracy in accuracies:
        measure(monitor, accuracy, accuracy)
        monitor.estimated(True)
        assert monitor.surprise == 0
    assert not monitor.suspect


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), max_size=100))
def test_the_sum_is_the_worst_run_that_ends_now(measurements):
    monitor = new()
    for survival, accuracy in measurements:
        measure(monitor, survival, accuracy)
    steps = [
        survival - accuracy - monitor.config.surprise_slack for survival, accuracy in measurements
    ]
    worst = max(sum(steps[start:]) for start in range(len(steps) + 1))
    assert monitor.surprise == pytest.approx(max(0.0, worst), abs=1e-9)


def test_labels_lost_at_a_rate_that_p_knows_are_chance_and_others_are_found():
    rng = np.random.default_rng(0)
    monitor, found = new(), []
    for _ in range(500):
        measure(monitor, 0.97, float(rng.random() < 0.97))
        found.append(monitor.must_retrain)
    assert not any(found)
    for count in range(1, 100):  # noqa: B007
        measure(monitor, 0.97, float(rng.random() < 0.4))
        if monitor.must_retrain:
            break
    assert 5 <= count <= 30


def test_a_retraining_is_over_with_a_full_window_and_little_surprise_in_it():
    monitor = new(window=4, surprise_slack=0.1)
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


def test_the_initial_training_is_over_after_a_quarter_of_its_steps():
    monitor, over = new(training_steps=10), []
    for monitor.agent.steps in (0, 2, 3, 10):
        over.append(monitor.may_return(True))
    assert over == [False, False, True, True]


# Forgetting --------------------------------------------------------------------------------------


@pytest.mark.parametrize("end", ["begin_training", "end_training"])
def test_a_retraining_forgets_what_was_seen_and_lost(end):
    monitor = new(shift_limit=1e9)
    for number in range(FULL + 5):
        see(monitor, [float(number)])
        measure(monitor, 1.0, 0.0)
        monitor.estimated(True)
    assert monitor.must_retrain
    assert monitor.suspect
    getattr(monitor, end)()
    assert (monitor.surprise, monitor.shift.count, monitor.suspect) == (0, 0, 0)
    assert len(monitor.shift.recent) == len(monitor.residuals) == 0
    assert len(monitor.accuracies) == (15 if end == "begin_training" else 0)
    assert np.isnan(monitor.mean_accuracy) == (end == "end_training")
