"""The agent: how it acts, what it stores, when and how it learns, and its file."""

import io
import json
import os
import zipfile
from unittest.mock import ANY

import numpy as np
import pytest

from adacompress_ref.core.agent import AgentError, DQNAgent
from adacompress_ref.core.config import TEN_LEVELS, Config, preset
from adacompress_ref.storage.arrays import load_arrays, save_arrays


def make(seed=0, state_size=4, **changes):
    """A small agent; preset `paper` but for the `changes`."""
    settings = {"hidden": (8,), "encodings": TEN_LEVELS[:3]} | changes
    return DQNAgent(Config(**settings), state_size, np.random.default_rng(seed))


def linear(weights, **changes):
    """Q(s, c) = s * weights[c], for states of one number."""
    settings = {"gamma": 0.5, "batch_size": 4} | changes
    agent = make(state_size=1, hidden=(), encodings=TEN_LEVELS[: len(weights)], **settings)
    agent.network.weights[0][:] = [weights]
    return agent


def state(*numbers):
    return np.array(numbers, np.float32)


# Acting ------------------------------------------------------------------------------------------


def test_epsilon_1_is_uniform():
    agent = linear([1, 2, 3, 4])
    actions = [agent.act(state(1)) for _ in range(4000)]
    assert np.bincount(actions).tolist() == pytest.approx([1000] * 4, abs=120)


def test_epsilon_0_is_greedy():
    agent = linear([1, 3, 2])
    agent.epsilon = 0.0
    assert {agent.act(state(1)) for _ in range(100)} == {1}
    assert {agent.act(state(-1)) for _ in range(100)} == {0}


def test_epsilon_between_mixes_the_two():
    agent = linear([1, 3, 2])
    agent.epsilon = 0.3
    share = np.mean([agent.act(state(1)) == 1 for _ in range(4000)])
    assert share == pytest.approx(0.7 + 0.3 / 3, abs=0.03)


def test_predict_is_greedy_for_one_observation_and_for_several():
    agent = linear([1, 3, 2])  # epsilon is 1
    before = agent.rng.bit_generator.state
    action, recurrent = agent.predict(state(1))
    assert (action, np.shape(action), recurrent) == (1, (), None)
    actions, recurrent = agent.predict(np.array([[1], [-1], [2]]))
    assert (actions.tolist(), recurrent) == ([1, 0, 1], None)
    assert agent.predict(state(0))[0] == 0  # the lowest among equals
    assert agent.rng.bit_generator.state == before


def test_q_values_of_one_state_and_of_many():
    agent = linear([1, 3, 2])
    assert agent.q_values(state(2)).tolist() == [2, 6, 4]
    assert agent.q_values([[2], [-1]]).tolist() == [[2, 6, 4], [-1, -3, -2]]


# Targets -----------------------------------------------------------------------------------------


def targets_learnt_from(agent, monkeypatch):
    """What `learn` hands to the gradient passes."""
    seen = {}

    def fit(states, actions, targets):
        seen.update(states=states, actions=actions, targets=targets)
        return 0.0

    monkeypatch.setattr(agent, "fit", fit)
    agent.learn()
    return seen


def test_a_drawn_target_follows_the_network(monkeypatch):
    agent = linear([1, 2], target="drawn")
    agent.remember(state(1), 0, 0.5, state(3))
    assert agent.replay.values[0] == 0.5  # the reward
    agent.network.weights[0][:] = [[10, 20]]
    seen = targets_learnt_from(agent, monkeypatch)
    # 0.5 + 0.5 * max(30, 60)
    assert seen["targets"].tolist() == [30.5] * 4
    assert seen["states"].tolist() == [[1]] * 4
    assert seen["actions"].tolist() == [0] * 4


def test_a_stored_target_stays_what_it_was(monkeypatch):
    agent = linear([1, 2], target="stored")
    agent.remember(state(1), 0, 0.5, state(3))
    assert agent.replay.next_states is None
    agent.network.weights[0][:] = [[10, 20]]
    # 0.5 + 0.5 * max(3, 6)
    assert targets_learnt_from(agent, monkeypatch)["targets"].tolist() == [3.5] * 4


@pytest.mark.parametrize("target", ["drawn", "stored"])
def test_with_gamma_0_the_target_is_the_reward(target, monkeypatch):
    agent = linear([1, 2], target=target, gamma=0)
    agent.remember(state(1), 1, 0.5, state(3))
    assert agent.replay.next_states is None
    assert targets_learnt_from(agent, monkeypatch)["targets"].tolist() == [0.5] * 4


# Gradient passes ---------------------------------------------------------------------------------


def test_the_printed_loss_is_that_of_the_first_pass_over_the_chosen_outputs():
    agent = linear([1, 2], hold_other_outputs=False)
    # Q(2, 1) = 4 and Q(1, 0) = 1: ((4 - 1)^2 + (1 - 2)^2) / 2
    loss = agent.fit(np.array([[2], [1]], np.float32), np.array([1, 0]), np.array([1.0, 2.0]))
    assert loss == 5


def test_with_the_other_outputs_held_the_loss_is_over_all():
    agent = linear([1, 2])
    # the same two errors among four outputs
    loss = agent.fit(np.array([[2], [1]], np.float32), np.array([1, 0]), np.array([1.0, 2.0]))
    assert loss == 2.5


@pytest.mark.parametrize("passes", [1, 5])
def test_there_are_as_many_optimiser_steps_as_passes(passes):
    agent = make(gradient_passes=passes)
    agent.remember(np.ones(4), 0, 1.0, np.ones(4))
    agent.learn()
    assert agent.optimiser.steps == passes


def drift_of_the_others(hold, passes):
    """How far the unchosen outputs go while the chosen one is drawn to its target."""
    agent = make(hold_other_outputs=hold, gradient_passes=passes, learning_rate=0.01)
    states = np.random.default_rng(1).normal(size=(32, 4)).astype(np.float32)
    before = agent.q_values(states)
    agent.fit(states, np.zeros(32, np.int64), before[:, 0] + 2)
    return np.abs(agent.q_values(states) - before)[:, 1:].mean()


def test_holding_the_other_outputs_pulls_them_back():
    assert drift_of_the_others(hold=True, passes=20) < 0.7 * drift_of_the_others(False, 20)


def test_in_the_first_pass_the_held_outputs_have_no_error():
    # Adam does not feel the scale of a loss, so one pass is the same with and without
    assert drift_of_the_others(True, 1) == pytest.approx(drift_of_the_others(False, 1), rel=1e-3)


def test_held_outputs_of_separate_weights_do_not_move():
    agent = linear([1, 2, 3])
    agent.fit(np.ones((4, 1), np.float32), np.full(4, 1), np.full(4, 9.0))
    weights = agent.network.weights[0][0]
    assert weights[[0, 2]].tolist() == [1, 3]
    assert weights[1] == pytest.approx(2 + 5 * 0.002, rel=1e-4)  # five steps of the learning rate


def test_learning_leaves_the_memory():
    agent = make()
    for i in range(10):
        agent.remember(np.full(4, i), i % 3, i, np.full(4, i + 1))
    before = [agent.replay.states.copy(), agent.replay.values.copy()]
    agent.learn()
    assert np.array_equal(agent.replay.states, before[0])
    assert np.array_equal(agent.replay.values, before[1])
    assert (len(agent.replay), agent.steps) == (10, 0)


# Schedule ----------------------------------------------------------------------------------------


def schedule(name, steps):
    """Steps at which the preset learns, and epsilon after each step."""
    agent = DQNAgent(
        preset(name).replace(hidden=(2,), batch_size=1, gradient_passes=1),
        1,
        np.random.default_rng(0),
    )
    learnt, epsilons = [], []
    for step in range(1, steps + 1):
        agent.remember(state(0), 0, 0.0, state(0))
        if agent.training_step() is not None:
            learnt.append(step)
        epsilons.append(agent.epsilon)
    return learnt, epsilons


def test_learning_begins_at_step_130_and_comes_every_fifth():
    learnt, epsilons = schedule("authors", 1600)
    assert learnt == list(range(130, 1601, 5))
    assert epsilons[:129] == [1.0] * 129
    for k in (1, 2, 10, 100, 295):
        assert epsilons[125 + 5 * k - 1] == pytest.approx(0.99**k)  # after k learning steps


def test_the_authors_epsilon_dips_under_the_minimum():
    # 0.99^389 = 0.02004, 0.99^390 = 0.01984; then 0.02, 0.0198, 0.02, ...
    epsilons = schedule("authors", 130 + 5 * 395)[1][129::5]
    assert epsilons[388] == pytest.approx(0.99**389)
    assert epsilons[389] == pytest.approx(0.99**390)
    assert epsilons[390:394] == pytest.approx([0.02, 0.0198, 0.02, 0.0198])


def test_the_papers_epsilon_stops_at_the_minimum():
    epsilons = schedule("paper", 130 + 5 * 395)[1][129::5]
    assert epsilons[388] == pytest.approx(0.99**389)
    assert set(epsilons[389:]) == {0.02}


def test_an_empty_memory_is_not_learnt_from():
    agent = make(learning_starts=1, learn_every=1)
    assert [agent.training_step() for _ in range(3)] == [None] * 3
    assert agent.epsilon == 1


def test_begin_training_explores_anew():
    agent = make(learning_starts=2, learn_every=1, batch_size=1)
    agent.remember(np.ones(4), 0, 1.0, np.ones(4))
    for _ in range(4):
        agent.training_step()
    assert agent.epsilon < 1
    agent.begin_training()
    assert (agent.epsilon, agent.steps) == (1, 0)
    assert [agent.training_step() for _ in range(2)] == [None, None]
    assert agent.training_step() is not None


# File --------------------------------------------------------------------------------------------


def trained(seed=3):
    agent = make(seed, batch_size=8, learning_starts=5, learn_every=1)
    agent.stamp = {"extractor": "abc", "size": 224}
    rng = np.random.default_rng(seed)
    for _ in range(30):
        agent.remember(rng.normal(size=4), int(rng.integers(3)), rng.random(), rng.normal(size=4))
        agent.training_step()
    return agent


@pytest.fixture
def saved(tmp_path):
    path = tmp_path / "agent.npz"
    trained().save(path)
    return path


def same_bits(one, other):
    return one.dtype == other.dtype and one.tobytes() == other.tobytes()


def test_a_saved_agent_comes_back_bit_by_bit(saved):
    before, after = trained(), DQNAgent.load(saved)
    assert after.config == before.config
    assert after.stamp == before.stamp
    assert after.state_size == 4
    assert same_bits(after.network.parameters, before.network.parameters)
    assert same_bits(after.optimiser.mean, before.optimiser.mean)
    assert same_bits(after.optimiser.variance, before.optimiser.variance)
    assert after.optimiser.steps == before.optimiser.steps == 125
    assert (after.epsilon, after.steps, len(after.replay)) == (0, 0, 0)
    for weight in after.network.weights:
        assert np.shares_memory(weight, after.network.parameters)


def test_a_loaded_agent_learns_on_as_the_saved_one_would(saved):
    before, after = trained(), DQNAgent.load(saved)
    batch = np.eye(4, dtype=np.float32), np.array([0, 1, 2, 0]), np.ones(4, np.float32)
    assert before.fit(*batch) == after.fit(*batch)
    assert same_bits(after.network.parameters, before.network.parameters)


def test_arrays_carry_exploration_on():
    before, after = trained(), make(9, batch_size=8, learning_starts=5, learn_every=1)
    after.from_arrays(before.to_arrays())
    assert (after.epsilon, after.steps) == (before.epsilon, before.steps)
    assert before.epsilon == pytest.approx(0.99**25)
    assert same_bits(after.network.parameters, before.network.parameters)


def test_the_same_seed_writes_the_same_arrays(saved, tmp_path):
    other = tmp_path / "other.npz"
    trained().save(other)
    with np.load(saved) as one, np.load(other) as two:
        assert one.files == two.files
        assert all(same_bits(one[name], two[name]) for name in one.files)


def test_another_seed_is_another_agent():
    assert not np.array_equal(trained(3).network.parameters, trained(4).network.parameters)


def test_there_is_no_pickle_in_the_file(saved):
    with zipfile.ZipFile(saved) as archive:
        assert archive.namelist()
        for name in archive.namelist():
            assert name.endswith(".npy")
            np.lib.format.read_array(io.BytesIO(archive.read(name)), allow_pickle=False)


def rewrite(path, **changes):
    """The same file with other values in its description, or with other arrays."""
    with np.load(path) as file:
        arrays = {name: file[name] for name in file.files}
    description = json.loads(str(arrays["description"]))
    del description["sha256"]
    for name, value in changes.items():
        if name in arrays:
            arrays[name] = value
        else:
            description[name] = value
    arrays["description"] = np.array(json.dumps(description))
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})


def assert_refused(path, words="", why="not an agent that can be used ("):
    with pytest.raises(AgentError) as caught:
        DQNAgent.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}: {why}")
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize("kept", [0, 1, 10, 100, 0.5, 0.9, 0.999])
def test_a_truncated_file_is_refused(saved, kept):
    data = saved.read_bytes()
    saved.write_bytes(data[: int(len(data) * kept) if isinstance(kept, float) else kept])
    assert_refused(saved)


def test_a_file_with_a_changed_byte_in_its_arrays_is_refused(saved):
    data = bytearray(saved.read_bytes())
    data[data.find(trained().network.parameters.tobytes()) + 8] ^= 255
    saved.write_bytes(data)
    assert_refused(saved)


@pytest.mark.parametrize(
    "content", [b"agent\nof\nmine\n", b"\x80\x04N.", b"PK\x03\x04" + b"x" * 99]
)
def test_another_kind_of_file_is_refused(saved, content):
    saved.write_bytes(content)
    assert_refused(saved)


def test_a_plain_array_is_refused(tmp_path):
    np.save(tmp_path / "agent.npy", np.zeros(3))
    assert_refused(tmp_path / "agent.npy")


def test_pickled_objects_are_refused(saved):
    rewrite(saved, parameters=np.array([{"a": 1}], dtype=object))
    assert_refused(saved)


def test_a_missing_file_and_a_folder_are_refused(tmp_path):
    assert_refused(tmp_path / "none.npz", why="there is no such file")
    assert_refused(tmp_path)


def test_a_file_of_another_version_is_refused(saved):
    rewrite(saved, format=99)
    assert_refused(saved, "another version wrote it, in format 99")


@pytest.mark.parametrize("name", ["parameters", "adam_mean", "adam_variance"])
def test_a_file_with_arrays_of_other_sizes_is_refused(saved, name):
    rewrite(saved, **{name: np.zeros(5, np.float32)})
    assert_refused(saved, f"5 {name}")


def test_a_file_for_other_states_is_refused(saved):
    rewrite(saved, state_size=9)
    assert_refused(saved, "parameters")


@pytest.mark.parametrize("name", ["parameters", "adam_mean", "adam_steps", "epsilon"])
def test_a_file_without_one_of_its_arrays_is_refused(saved, name):
    rewrite(saved, **{name: None})
    assert_refused(saved)


@pytest.mark.parametrize(
    "text", ["half of {", "5", "[]", "{}", None, '{"format": 1, "config": []}']
)
def test_a_file_with_another_description_is_refused(saved, text):
    arrays = load_arrays(saved)[1]
    np.savez(saved, **(arrays if text is None else arrays | {"description": np.array(text)}))
    assert_refused(saved)


def test_a_file_with_an_unknown_field_is_refused(saved):
    rewrite(saved, config=Config().to_json() | {"colour": "red"})
    assert_refused(saved, "colour")


@pytest.mark.parametrize("name", ["parameters", "adam_mean", "adam_variance"])
def test_what_does_not_fit_leaves_the_agent_as_it_was(name):
    agent, arrays = make(), trained().to_arrays()
    before = {key: array.copy() for key, array in agent.to_arrays().items()}
    with pytest.raises(AgentError, match=f"5 {name}, but this configuration 67"):
        agent.from_arrays(arrays | {name: np.zeros(5)})
    assert all(np.array_equal(array, before[key]) for key, array in agent.to_arrays().items())


def test_arrays_and_their_description_come_back(tmp_path):
    description = {"format": 7, "stamp": {"name": "übung", "sizes": [1, 2.5, None]}}
    arrays = {"a": np.arange(3, dtype=np.int8), "b": np.array(0.1)}
    save_arrays(tmp_path / "any.npz", description, arrays)
    read, others = load_arrays(tmp_path / "any.npz")
    assert read == description
    assert others.keys() == arrays.keys()
    assert all(same_bits(others[name], arrays[name]) for name in arrays)
    assert os.listdir(tmp_path) == ["any.npz"]


@pytest.mark.parametrize("broken", ["numpy.savez", "os.fsync", "os.replace"])
def test_a_failed_save_leaves_the_old_file_and_nothing_else(saved, broken, monkeypatch):
    before = saved.read_bytes()

    def fail(*arguments, **named):
        if broken == "numpy.savez":
            arguments[0].write(b"half of it")
        names = sorted(os.listdir(saved.parent))
        assert names == [ANY, saved.name]
        assert names[0].endswith(".partial")
        raise OSError("no space left on the device")

    monkeypatch.setattr(broken, fail)
    with pytest.raises(OSError, match="no space left"):
        make(8).save(saved)
    assert saved.read_bytes() == before
    assert os.listdir(saved.parent) == [saved.name]


def test_saving_replaces_the_old_file_and_leaves_nothing_else(saved):
    make(8).save(str(saved))
    assert np.array_equal(DQNAgent.load(saved).network.parameters, make(8).network.parameters)
    assert os.listdir(saved.parent) == [saved.name]


# Does it learn? ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "hold"), [("paper", True), ("paper", False), ("authors", True)])
def test_it_learns_a_contextual_bandit(name, hold):
    """One of four actions is right, and the state says which."""
    config = preset(name).replace(
        gamma=0.0,
        hold_other_outputs=hold,
        hidden=(32, 16),
        encodings=TEN_LEVELS[:4],
        batch_size=64,
        epsilon_decay=0.98,
    )
    rng = np.random.default_rng(11)
    agent = DQNAgent(config, 6, rng)

    def draw(count):
        states = rng.normal(size=(count, 6)).astype(np.float32)
        return states, states[:, :4].argmax(axis=1)

    states, best = draw(2000)
    for here, right, following in zip(states, best, states[1:], strict=False):
        action = agent.act(here)
        agent.remember(here, action, float(action == right), following)
        agent.training_step()
    states, best = draw(1000)
    assert np.mean(agent.q_values(states).argmax(axis=1) == best) > 0.9
