"""Algorithm 1 in the environment, and the split of images."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.config import TEN_LEVELS, Config
from adacompress_ref.core.controller import Label, Upload
from adacompress_ref.core.training import split, train
from adacompress_ref.tables.environment import Environment, RecordedImage

SMALL = Config(
    encodings=TEN_LEVELS[:2],
    hidden=(8,),
    training_steps=150,
    learning_starts=20,
    batch_size=16,
    gamma=0.5,
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
    rng = np.random.default_rng(seed)
    return train(Environment([FakeImage(k) for k in kinds], config, rng), config, rng, **options)


def test_the_agent_learns_which_image_needs_which_level():
    agent = trained([0, 1], SMALL.replace(training_steps=600, learning_rate=0.01))
    assert agent.predict(np.eye(3, dtype=np.float32)[:2])[0].tolist() == [0, 1]


def test_the_agent_is_ready_to_exploit_and_carries_its_stamp():
    agent = trained([0, 1], stamp={"service": "fake"})
    assert (agent.epsilon, agent.steps, agent.stamp) == (0.0, 0, {"service": "fake"})


def test_same_seed_same_agent():
    one, same, other = trained([0, 1]), trained([0, 1]), trained([0, 1], seed=1)
    np.testing.assert_array_equal(one.network.parameters, same.network.parameters)
    assert (one.network.parameters != other.network.parameters).any()


def test_on_step_sees_each_reward():
    rewards = []
    trained([0, 1], on_step=lambda agent, reward: rewards.append(reward))
    assert len(rewards) == SMALL.training_steps
    assert set(np.round(rewards, 6)) == {0.9, 0.5, -0.1}


def test_images_without_labels_are_not_learned_from():
    agent = trained([0, None, None])
    assert agent.replay.count == SMALL.training_steps
    assert not agent.replay.states[: agent.replay.count, 2].any()  # the mark of such an image


def test_one_image_with_labels_is_enough():
    # two passes may put all the others next to each other
    for seed in range(5):
        trained([0, None, None, None], SMALL.replace(training_steps=30), seed)


def test_no_image_with_labels():
    with pytest.raises(ValueError, match="no label for any image"):
        trained([None, None])


def test_training_on_a_recorded_table(make_table):
    table = make_table([[("cat",)] * 3] * 4, [[10, 50, 100]] * 4)
    config = SMALL.replace(encodings=table.source.encodings, training_steps=200)
    rng = np.random.default_rng(0)
    rows = [RecordedImage(table, row, config) for row in range(4)]
    agent = train(Environment(rows, config, rng), config, rng)
    assert agent.state_size == 1280
    assert (agent.predict(table.states(config))[0] == 0).all()  # the smaller level always does


@given(st.integers(2, 300), st.floats(0, 1), st.integers(0, 99))
def test_split_is_disjoint_and_whole_with_one_each(count, share, seed):
    train_rows, test_rows = split(count, share, np.random.default_rng(seed))
    assert sorted([*train_rows, *test_rows]) == list(range(count))
    assert len(train_rows) >= 1
    assert len(test_rows) >= 1
    assert abs(len(test_rows) - share * count) <= 1


def test_split_follows_the_generator():
    splits = [split(50, 0.2, np.random.default_rng(seed))[1].tolist() for seed in (0, 0, 1)]
    assert splits[0] == splits[1] != splits[2]
    assert len(splits[0]) == 10


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_images_to_split(count):
    with pytest.raises(ValueError, match="at least two"):
        split(count, 0.2, np.random.default_rng(0))


def test_a_photograph_and_its_copy_by_night_are_in_one_part():
    from types import SimpleNamespace

    from adacompress_ref.cli.train import _split

    names = [f"{n}.jpg" for n in range(20)] + [f"{n}.png" for n in range(0, 20, 2)]
    arguments = SimpleNamespace(test_images=None, test_share=0.3)
    trained, tested = _split(arguments, names, np.random.default_rng(0))
    assert sorted([*trained, *tested]) == list(range(30))
    parts = [{names[place].split(".")[0] for place in part} for part in (trained, tested)]
    assert parts[0].isdisjoint(parts[1]) and len(parts[1]) == 6
