"""The ring buffer, held against a deque."""

from collections import deque

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.replay import Replay


def filled(count, capacity=3, next_states=True):
    """Transition i has the state [i, i], action i, value i / 2 and the next state [-i, -i]."""
    replay = Replay(capacity, 2, next_states)
    for i in range(count):
        replay.add(np.full(2, i), i, i / 2, np.full(2, -i))
    return replay


def test_the_oldest_gives_way():
    replay = filled(5)  # 3 takes the place of 0, 4 that of 1
    assert replay.states.tolist() == [[3, 3], [4, 4], [2, 2]]
    assert replay.actions.tolist() == [3, 4, 2]
    assert replay.values.tolist() == [1.5, 2.0, 1.0]
    assert replay.next_states.tolist() == [[-3, -3], [-4, -4], [-2, -2]]
    assert (len(replay), replay.count) == (3, 5)


@given(st.integers(1, 8), st.integers(1, 30), st.integers(0, 2**32))
def test_only_held_rows_are_drawn_and_their_parts_belong_together(capacity, count, seed):
    held = deque(range(count), maxlen=capacity)
    replay = filled(count, capacity)
    assert len(replay) == len(held)
    states, actions, values, next_states = replay.sample(64, np.random.default_rng(seed))
    assert set(actions.tolist()) <= set(held)
    assert np.array_equal(states, np.stack([actions, actions], axis=1))
    assert np.array_equal(values, actions / 2)
    assert np.array_equal(next_states, -states)


def test_rows_are_drawn_uniformly_and_with_replacement():
    rng = np.random.default_rng(0)
    _, drawn, _, _ = filled(3).sample(3000, rng)  # far more than there are
    assert np.bincount(drawn).tolist() == pytest.approx([1000] * 3, abs=100)


def test_what_is_drawn_is_a_copy():
    replay = filled(3)
    states, *_ = replay.sample(8, np.random.default_rng(0))
    states[:] = 9
    assert replay.states.max() == 2


def test_shapes_and_types():
    states, actions, values, next_states = filled(2).sample(4, np.random.default_rng(0))
    assert states.shape == next_states.shape == (4, 2)
    assert actions.shape == values.shape == (4,)
    assert states.dtype == values.dtype == next_states.dtype == np.float32
    assert actions.dtype == np.int64


def test_next_states_are_kept_on_request_alone():
    replay = filled(2, next_states=False)
    assert replay.next_states is None
    assert replay.sample(4, np.random.default_rng(0))[3] is None


def test_nothing_can_be_drawn_from_an_empty_memory():
    with pytest.raises(ValueError):
        filled(0).sample(1, np.random.default_rng(0))


def test_clear_forgets_all():
    replay = filled(5)
    replay.clear()
    assert len(replay) == 0
    with pytest.raises(ValueError):
        replay.sample(1, np.random.default_rng(0))
    replay.add(np.full(2, 7), 7, 3.5, np.full(2, -7))
    assert set(replay.sample(16, np.random.default_rng(0))[1].tolist()) == {7}
