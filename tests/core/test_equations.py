"""Each formula against values worked out by hand, and against numpy where it judges."""

import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adacompress_ref.core import equations

labels = st.lists(st.sampled_from("abcdefgh"), max_size=8)
unit = st.floats(0, 1)
nan = float("nan")


# AC-1 --------------------------------------------------------------------------------------------


def test_ac_1_counts_the_reference_labels_that_survive():
    # cat and mat survive, dog and car do not: A = 2/4
    assert equations.accuracy(["cat", "dog", "mat", "car"], ["mat", "cat", "hat"]) == 0.5


def test_ac_1_looks_at_the_five_best_answers():
    assert equations.accuracy(["f"], ["a", "b", "c", "d", "e", "f"]) == 0
    assert equations.accuracy(["e"], ["a", "b", "c", "d", "e", "f"]) == 1


def test_ac_1_keeps_the_best_reference_labels_alone():
    # K = 2: of a and b, a survives; c is not asked for
    assert equations.accuracy(["a", "b", "c"], ["a", "c"], most=2) == 0.5
    # K = 5: of a to e, a survives; f is not asked for
    assert equations.accuracy(list("abcdef"), ["a", "f"]) == 0.2


def test_ac_1_without_a_reference_label_is_undefined():
    assert equations.accuracy([], ["a"]) is None
    assert equations.agreement([], ["a"]) is None


def test_ac_1_without_an_answer_is_0():
    assert equations.accuracy(["a"], []) == 0


def test_agreement_asks_for_the_best_reference_label():
    assert equations.agreement(["a", "b"], ["b", "a"]) == 1
    assert equations.agreement(["a", "b"], ["b"]) == 0


@given(labels.filter(bool), labels, st.integers(1, 8))
def test_ac_1_is_the_printed_sum_with_the_maximum(reference, compressed, most):
    kept = reference[:most]
    best = [max((int(l_j == g_k) for l_j in compressed[:5]), default=0) for g_k in kept]
    expected = sum(best) / len(kept)
    assert equations.accuracy(reference, compressed, most) == expected


def test_ac_1_as_printed_wants_all_answers_equal():
    assert equations.accuracy_as_printed(["a", "b"], ["a", "b"]) == 0  # both survive, none counts
    assert equations.accuracy_as_printed(["a", "b"], ["a", "a"]) == 1
    assert equations.accuracy_as_printed(["a"], list("aaaaab")) == 1  # five best alone
    assert equations.accuracy_as_printed(["a"], []) == 0


@given(labels, labels)
def test_ac_1_as_printed_is_nothing_where_two_labels_differ(reference, compressed):
    printed = equations.accuracy_as_printed(reference, compressed)
    answers = set(compressed[:5])
    one_word = compressed[0] if len(answers) == 1 else None
    assert printed == sum(label == one_word for label in reference)


def test_ac_1_as_printed_is_nothing_in_all_uploads(photo_table):
    from adacompress_ref.tables.table import Table

    table = Table.load(photo_table)  # of twelve photographs at ten levels
    for image in range(len(table.images)):
        reference, *answers = (
            [label.name for label in table.answers(image, column)] for column in range(-1, 10)
        )
        assert [equations.accuracy_as_printed(reference, each) for each in answers] == [0] * 10


# AC-2, AC-3 --------------------------------------------------------------------------------------


def test_ac_2_and_ac_3():
    assert equations.size_ratio(300, 1200) == 0.25
    assert equations.reward(1, 0.25) == 0.75
    assert equations.reward(0, 0.25) == -0.25
    assert equations.reward(0.5, 0.25, alpha=4, beta=1) == 2.75  # 4 * 0.5 - 0.25 + 1


# AC-4, AC-5, AC-6 --------------------------------------------------------------------------------


def test_ac_4_takes_the_first_of_equals():
    assert equations.best_action(np.array([0.1, 0.7, 0.7, 0.2])) == 1
    assert type(equations.best_action(np.array([0.0, 1.0]))) is int


def test_ac_5_target():
    rewards = np.array([1.0, -1.0])
    next_q = np.array([[2.0, 4.0, 3.0], [-2.0, -6.0, -4.0]])
    # 1 + 0.5 * 4 = 3; -1 + 0.5 * -2 = -2
    assert equations.target(rewards, 0.5, next_q).tolist() == [3.0, -2.0]
    assert equations.target(rewards, 0.0, next_q).tolist() == [1.0, -1.0]


def test_ac_5_loss():
    # (1 + 4 + 0 + 9) / 4
    assert equations.loss(np.array([[1.0, -2.0], [0.0, 3.0]])) == 3.5


def test_ac_6_epsilon_stops_at_the_minimum():
    # 1, 0.5, 0.25, then 0.125 is below 0.2
    values = [1.0]
    for _ in range(4):
        values.append(equations.next_epsilon(values[-1], 0.5, 0.2))
    assert values == [1.0, 0.5, 0.25, 0.2, 0.2]


def test_ac_6_epsilon_dips_and_jumps_back():
    # 0.25 * 0.5 = 0.125 stays for one step, is then put to 0.2, which is not below, so dips again
    values = [1.0]
    for _ in range(6):
        values.append(equations.next_epsilon(values[-1], 0.5, 0.2, dips=True))
    assert values == [1.0, 0.5, 0.25, 0.125, 0.2, 0.1, 0.2]


@given(unit, unit, unit)
def test_ac_6_epsilon_without_dip_is_never_below_the_minimum(epsilon, decay, minimum):
    assert equations.next_epsilon(epsilon, decay, minimum) >= minimum


# AC-7 --------------------------------------------------------------------------------------------


def test_ac_7_by_hand():
    values = [1.0, 0.0, 1.0, 1.0]
    assert equations.windowed_mean(values, 2) == 1.0  # (1 + 1) / 2
    assert equations.windowed_mean(values, 3) == 2 / 3  # (0 + 1 + 1) / 3
    assert equations.windowed_mean(values, 9) == 0.75  # all four
    assert math.isnan(equations.windowed_mean([], 3))


@given(st.lists(unit, min_size=1, max_size=30), st.integers(1, 12))
def test_ac_7_is_the_mean_of_the_tail(values, n):
    assert equations.windowed_mean(values, n) == pytest.approx(np.mean(values[-n:]), abs=1e-12)


def test_ac_7_has_no_rounding_of_its_own():
    # a plain sum of ten 0.8 is 7.999999999999999, which would fall below a threshold of 0.8
    assert equations.windowed_mean([0.8] * 10, 10) == 0.8
    assert equations.windowed_mean([0.45] * 10, 10) == 0.45


def test_ac_7_as_printed_by_hand():
    values = [1.0, 0.0, 1.0, 1.0]
    assert equations.windowed_mean_as_printed(values, 2) == 1.0  # (0 + 1 + 1) / 2: three terms
    assert equations.windowed_mean_as_printed([1.0] * 4, 2) == 1.5  # so a mean of ones exceeds 1
    assert equations.windowed_mean_as_printed(values, 4) == 0.75  # A_0 does not exist
    assert equations.windowed_mean_as_printed(values, 6) == 0.5  # (1 + 0 + 1 + 1) / 6
    assert equations.windowed_mean_as_printed([], 2) == 0


# AC-8 --------------------------------------------------------------------------------------------


def estimation(p_est, gradient, omega=-3.0):
    return equations.estimation_probability(p_est, gradient, omega, 0.2, 0.95)


def test_ac_8_by_hand():
    assert estimation(0.3, -0.1) == pytest.approx(0.6)  # 0.3 + -3 * -0.1
    assert estimation(0.6, 0.1) == pytest.approx(0.3)
    assert estimation(0.3, 0.1) == 0.2  # 0.0, clipped
    assert estimation(0.9, -0.1) == 0.95  # 1.2, clipped
    assert estimation(0.4, nan) == 0.4


@given(unit, st.floats(-1, 1), st.floats(-10, 10))
def test_ac_8_is_clipped(p_est, gradient, omega):
    assert 0.2 <= estimation(p_est, gradient, omega) <= 0.95


@given(st.floats(0.2, 0.95), st.floats(0, 1))
def test_ac_8_a_falling_accuracy_never_lowers_it(p_est, fall):
    assert estimation(p_est, -fall) >= p_est
    assert estimation(p_est, fall) <= p_est


@given(st.lists(unit, min_size=2, max_size=30), st.floats(-5, 5))
def test_ac_8_telescopes_where_nothing_is_clipped(means, omega):
    p_est = 0.2
    for before, after in pairwise(means):
        p_est = equations.estimation_probability(p_est, after - before, omega, -1e3, 1e3)
    assert p_est == pytest.approx(0.2 + omega * (means[-1] - means[0]), abs=1e-9)


@given(st.lists(unit, min_size=2, max_size=30))
def test_ac_8_the_last_numpy_gradient_is_the_backward_difference(means):
    assert np.gradient(means)[-1] == means[-1] - means[-2]


# AC-9 --------------------------------------------------------------------------------------------


def test_ac_9_by_hand():
    gradient = np.array([[[1.0, 1.0], [1.0, 1.0]], [[-2.0, 0.0], [0.0, -2.0]]])  # weights 1, -1
    feature_map = np.array([[[4.0, 2.0], [0.0, 1.0]], [[0.0, 1.0], [2.0, 1.0]]])
    # (first - second) / 2 = [[2, 0.5], [-1, 0]]; its maximum is 2; no ReLU, so -0.5 stays
    assert equations.grad_cam(gradient, feature_map).tolist() == [[1.0, 0.25], [-0.5, 0.0]]


def test_ac_9_is_not_scaled_where_nothing_is_positive():
    gradient, feature_map = -np.ones((2, 1, 2)), np.array([[[1.0, 2.0]], [[3.0, 2.0]]])
    # -(1 + 3) / 2 = -2; -(2 + 2) / 2 = -2
    assert equations.grad_cam(gradient, feature_map).tolist() == [[-2.0, -2.0]]
    assert not equations.grad_cam(np.zeros((2, 1, 2)), feature_map).any()


maps = hnp.array_shapes(min_dims=3, max_dims=3, max_side=5).flatmap(
    lambda shape: st.tuples(
        *[hnp.arrays(np.float64, shape, elements=st.floats(-10, 10, width=16))] * 2
    )
)


@given(maps)
def test_ac_9_has_the_cells_of_the_map_and_maximum_1(pair):
    gradient, feature_map = pair
    heat = equations.grad_cam(gradient, feature_map)
    assert heat.shape == feature_map.shape[1:]
    assert heat.max() == 1 or heat.max() <= 0
