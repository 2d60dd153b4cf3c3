"""The paper's monitor: means, p_est and two tests by hand, and held against a recorded run."""

import json
import math
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.agents import preset
from adacompress_ref.core import equations
from adacompress_ref.core.config import AUTHORS
from adacompress_ref.core.estimator import Estimator
from adacompress_ref.core.roles import Measurement, Upload

STATE, NOTHING = np.zeros(2, np.float32), Upload(0, ())


def new(name, epsilon=0.0, **changes):
    """An estimator of an agent of which nothing else matters."""
    return Estimator(SimpleNamespace(config=preset(name).replace(**changes), epsilon=epsilon))


def record(estimator, accuracy, reward=0.0):
    estimator.record(Measurement(STATE, 0, NOTHING, NOTHING, accuracy, reward))


# p_est, AC-7 and AC-8 ----------------------------------------------------------------------------

P_EST = {
    "window": 2,
    "omega": -0.2,
    "p_0": 0.2,
    "p_min": 0.2,
    "p_max": 0.35,
    "retrain_threshold": 0,
}


def estimates(name, accuracies, **changes):
    """p_est and the recorded mean after each of some estimates."""
    estimator = new(name, **(P_EST | changes))
    p_est, means = [], []
    for accuracy in accuracies:
        record(estimator, accuracy)
        estimator.estimated(True)
        p_est.append(estimator.p_est)
        means.append(estimator.mean_accuracy)
    return p_est, means


def test_p_est_by_hand_where_the_mean_is_recorded_before_the_step():
    p_est, means = estimates("authors", [1, 1, 0, 0, 0, 1])
    assert math.isnan(means[0])  # nothing was there before the first
    # mean of the two steps before each: 1; (1+1)/2; (1+0)/2; 0; 0
    assert means[1:] == [1, 1, 0.5, 0, 0]
    # from the third mean on: gradients 0, -0.5, -0.5, 0; 0.2 + 0.1, then 0.4 clipped to 0.35
    assert p_est == pytest.approx([0.2, 0.2, 0.2, 0.3, 0.35, 0.35])


def test_p_est_by_hand_where_the_mean_includes_the_step():
    p_est, means = estimates("paper", [1, 1, 0, 0, 0, 1])
    assert means == [1, 1, 0.5, 0, 0, 0.5]
    # gradients from the third on: -0.5, -0.5, 0, 0.5
    assert p_est == pytest.approx([0.2, 0.2, 0.3, 0.35, 0.35, 0.25])


def test_no_gradient_is_followed_before_enough_means_are_recorded():
    p_est, _ = estimates("paper", [1] + [0] * 9, window=10)
    assert p_est == [0.2] * 10


@given(
    st.lists(st.floats(0, 1), min_size=1, max_size=40),
    st.integers(1, 6),
    st.sampled_from(["paper", "authors"]),
)
def test_the_recorded_means_are_those_of_numpy(accuracies, window, name):
    estimator = new(name, window=window)
    for count, accuracy in enumerate(accuracies):
        record(estimator, accuracy, accuracy / 2)
        seen = accuracies[: count + (name == "paper")]
        if seen:
            assert estimator.mean_accuracy == pytest.approx(np.mean(seen[-window:]))
            assert estimator.mean_reward == pytest.approx(np.mean(seen[-window:]) / 2)
        else:
            assert math.isnan(estimator.mean_accuracy)
    assert estimator.earliest == accuracies[:window]


def test_the_recorded_run_of_the_authors(shared):
    """Window means and p_est in force before each of its 463 steps follow from the constants."""
    golden = json.loads((shared / "golden" / "authors_run_463.json").read_text())
    estimator, recorded = new("authors"), []

    def mean(values):
        value = equations.windowed_mean(values, AUTHORS.window)
        return None if math.isnan(value) else pytest.approx(value, abs=1e-9)

    for step, state in enumerate(golden["state"]):
        assert golden["recent_accuracy"][step] == mean(estimator.accuracies), step
        assert golden["recent_reward"][step] == mean(estimator.rewards), step
        assert golden["p_est"][step] == pytest.approx(estimator.p_est, abs=1e-9), step
        if state == 2:
            accuracy = golden["accuracy"][step]
            ratio = golden["compressed_bytes"][step] / golden["reference_bytes"][step]
            reward = equations.reward(accuracy, ratio)
            assert reward == pytest.approx(golden["reward"][step], abs=1e-9)
            record(estimator, accuracy, reward)
            estimator.estimated(True)
            assert not estimator.must_retrain
            recorded.append(estimator.p_est)
    assert len(golden["state"]) == 463
    assert len(set(golden["p_est"])) > 3  # it does move


# To retraining -----------------------------------------------------------------------------------


def retrains_at(name, accuracies, **changes):
    """Counted from 1, the first estimate after which there is a retraining."""
    estimator = new(name, **({"window": 2} | changes))
    for count, accuracy in enumerate(accuracies, 1):
        record(estimator, accuracy)
        if estimator.must_retrain:
            return count
    return None


def test_below_the_threshold():
    # recorded means: -, 1, 1, 0.5: the fourth is below 0.8, one step after the fall
    assert retrains_at("authors", [1, 1, 0, 1, 1]) == 4
    # the step included: 1, 1, 0.5
    assert retrains_at("authors", [1, 1, 0], window_includes_current=True) == 3
    # a mean of exactly 0.8 is not below it
    assert retrains_at("authors", [0.8] * 30, window=10) is None


def test_no_retraining_before_enough_means_are_recorded():
    # means -, 0, 0: the third is the first of more than two
    assert retrains_at("authors", [0, 0]) is None
    assert retrains_at("authors", [0, 0, 0]) == 3
    assert retrains_at("authors", [0] * 11, window=10) == 11


def test_well_below_the_earliest():
    # earliest two: 0.6; means of the latest two from the third on: 0.6, 0.55, 0.45
    assert retrains_at("paper", [0.6, 0.6, 0.6, 0.5, 0.4]) == 5
    # however low, it is the fall that counts
    assert retrains_at("paper", [0.1] * 20) is None
    # means 1, 0.95: not well below
    assert retrains_at("paper", [1, 1, 1, 0.9, 1]) is None
    assert retrains_at("paper", [1, 1, 1, 0.9, 1], retrain_drop=0.04) == 4
    # 0.1 lower, and no more; 0.8 - 0.7 is 0.10000000000000009
    assert retrains_at("paper", [0.8, 0.8, 0.7, 0.7, 0.7]) is None
    assert retrains_at("paper", [0.8, 0.8, 0.7, 0.7, 0.699]) == 5


# To inference ------------------------------------------------------------------------------------


def may_return(name, epsilon=0.0, reward=0.5, accuracy=1.0, **changes):
    estimator = new(name, epsilon, window_includes_current=True, **changes)
    for _ in range(10):
        record(estimator, accuracy, reward)
    assert not estimator.may_return(True)  # the initial training has its number of steps
    return estimator.may_return(False)


def test_the_paper_returns_on_the_mean_reward_after_exploring():
    assert may_return("paper", epsilon=0.99, accuracy=0.0)
    assert not may_return("paper", reward=0.25, return_reward=0.25)  # must exceed it
    assert not may_return("paper", epsilon=1.0)
    assert not may_return("paper", return_reward=0.6)


def test_the_authors_want_accuracy_and_a_low_epsilon_as_well():
    assert may_return("authors", epsilon=0.19, accuracy=0.81)
    assert not may_return("authors", epsilon=0.2, accuracy=0.81)
    assert not may_return("authors", epsilon=0.19, accuracy=0.8)
    assert not may_return("authors", epsilon=0.19, accuracy=0.81, reward=0.4)


def test_nothing_measured_is_no_reason_to_return():
    assert not new("authors").may_return(False)


def test_an_estimate_without_a_measurement_and_an_upload_without_reference_say_nothing():
    estimator = new("paper", **P_EST)
    for accuracy in (1, 1, 0):
        record(estimator, accuracy)
    estimator.see(STATE, 0, NOTHING)
    estimator.estimated(False)
    assert estimator.p_est == 0.2
    estimator.estimated(True)
    assert estimator.p_est == pytest.approx(0.3)
    estimator.begin_training()  # the windows go on
    assert estimator.recorded == 3
    estimator.end_training()
    assert (estimator.recorded, estimator.p_est, len(estimator.accuracies)) == (0, 0.2, 0)
