"""Algorithm 1: the running system, untrained, over images that come again and again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import PAPER
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.estimator import Estimator
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.core.training import passes, train

SMALL = PAPER.replace(
    encodings=PAPER.encodings[:2],
    hidden=(8,),
    training_steps=150,
    learning_starts=20,
    batch_size=16,
    gamma=0.5,
    flush="entry",  # so that D can be looked at afterwards
)


class FakeImage:
    """Kind 0: both actions keep the label. Kind 1: the second alone. None: never a label."""

    def __init__(self, kind):
        self.kind = kind
        self.state = np.array([kind == 0, kind == 1, kind is None], np.float32)

    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None

    def one(self, action):
        if self.kind is None:
            return Upload(100, [])
        kept = action is None or action >= self.kind
        return Upload({0: 10, 1: 50, None: 100}[action], [Label("cat" if kept else "dog", 1.0)])


def trained(kinds, config=SMALL, seed=0, **options):
    agent = DQNAgent(config, 3, np.random.default_rng(seed))
    train(agent, Estimator(agent), [FakeImage(kind) for kind in kinds], **options)
    return agent


def test_the_agent_learns_which_image_needs_which_level():
    agent = trained([0, 1], SMALL.replace(training_steps=600, learning_rate=0.01))
    assert agent.predict(np.eye(3, dtype=np.float32)[:2])[0].tolist() == [0, 1]


def test_the_agent_is_ready_to_exploit_and_has_learned_when_it_is_due():
    agent = trained([0, 1])
    assert (agent.epsilon, agent.steps) == (0.0, 0)
    assert agent.optimiser.steps == 26 * SMALL.gradient_passes  # steps 25, 30, ... 150


def test_same_seed_same_agent():
    one, same, other = trained([0, 1]), trained([0, 1]), trained([0, 1], seed=1)
    np.testing.assert_array_equal(one.network.parameters, same.network.parameters)
    assert (one.network.parameters != other.network.parameters).any()


def test_on_step_sees_each_measurement():
    steps = []
    trained([0, 1, None], on_step=steps.append)
    assert len(steps) == SMALL.training_steps
    assert {round(step.reward, 6) for step in steps} == {0.9, 0.5, -0.1}
    assert {step.state for step in steps} == {"retrain"}


def test_images_without_labels_are_not_learned_from():
    agent = trained([0, None, None])
    assert agent.replay.count == SMALL.training_steps - 1  # the last still waits for its s'
    assert not agent.replay.states[: agent.replay.count, 2].any()  # the mark of such an image


def test_one_image_with_labels_is_enough():
    # two passes may put all the others next to each other
    for seed in range(5):
        trained([0, None, None, None], SMALL.replace(training_steps=30), seed)


def test_no_image_with_labels():
    with pytest.raises(ValueError, match="no label for any image"):
        trained([None, None])


def test_it_has_all_its_measurements_whatever_the_monitor_would_say():
    """A live start may return early; training from a table is not asked."""

    class Content(Estimator):
        def may_return(self, initial):
            return True

    agents = [DQNAgent(SMALL, 3, np.random.default_rng(0)) for _ in range(2)]
    steps = []
    train(agents[0], Content(agents[0]), [FakeImage(0), FakeImage(1)], steps.append)
    assert len(steps) == SMALL.training_steps
    live = Controller(agents[1], Content(agents[1]), trained=False)
    live.step(FakeImage(0))
    assert (live.state, live.initial) == ("inference", False)


@given(st.integers(1, 9), st.integers(0, 99))
def test_each_pass_is_a_permutation_and_functions_open_an_image_at_each_draw(count, seed):
    opened = []

    def opener(number):
        return lambda: opened.append(number) or number

    images = [opener(number) if number % 2 else number for number in range(count)]
    stream = passes(images, np.random.default_rng(seed))
    drawn = [next(stream) for _ in range(3 * count)]
    for start in range(0, 3 * count, count):
        assert sorted(drawn[start : start + count]) == list(range(count))
    assert opened == [number for number in drawn if number % 2]


def test_passes_have_orders_of_their_own():
    stream = passes(range(9), np.random.default_rng(0))
    assert [next(stream) for _ in range(9)] != [next(stream) for _ in range(9)]
