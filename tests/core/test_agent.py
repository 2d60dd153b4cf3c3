"""The agent: how it acts, what it stores, when and how it learns."""

import numpy as np
import pytest

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import AUTHORS, PAPER
from adacompress_ref.core.roles import Measurement, Upload

LEVELS = PAPER.encodings


def make(seed=0, inputs=4, **changes):
    """A small agent; preset `paper` but for the `changes`."""
    settings = {"hidden": (8,), "encodings": LEVELS[:3]} | changes
    return DQNAgent(PAPER.replace(**settings), inputs, np.random.default_rng(seed))


def remember(agent, here, action, reward, following):
    """What a measurement and the next image's state leave in D."""
    nothing = Upload(0, ())
    agent.observe(Measurement(here, action, nothing, nothing, 0.0, reward))
    agent.arrive(following)


def linear(weights, **changes):
    """Q(s, c) = s * weights[c], for states of one number."""
    settings = {"gamma": 0.5, "batch_size": 4} | changes
    agent = make(inputs=1, hidden=(), encodings=LEVELS[: len(weights)], **settings)
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


@pytest.mark.parametrize("shape", [(10, 4), (1, 4), (3,), ()])
def test_a_state_of_another_shape_is_refused_at_the_door(shape):
    agent = make()
    before = agent.rng.bit_generator.state
    with pytest.raises(ValueError, match=r"a state has shape \(4,\), not"):
        agent.act(np.ones(shape, np.float32))
    assert agent.rng.bit_generator.state == before


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
    remember(agent, state(1), 0, 0.5, state(3))
    assert agent.replay.values[0] == 0.5  # the reward
    agent.network.weights[0][:] = [[10, 20]]
    seen = targets_learnt_from(agent, monkeypatch)
    # 0.5 + 0.5 * max(30, 60)
    assert seen["targets"].tolist() == [30.5] * 4
    assert seen["states"].tolist() == [[1]] * 4
    assert seen["actions"].tolist() == [0] * 4


def test_a_stored_target_stays_what_it_was(monkeypatch):
    agent = linear([1, 2], target="stored")
    remember(agent, state(1), 0, 0.5, state(3))
    assert agent.replay.next_states is None
    agent.network.weights[0][:] = [[10, 20]]
    # 0.5 + 0.5 * max(3, 6)
    assert targets_learnt_from(agent, monkeypatch)["targets"].tolist() == [3.5] * 4


@pytest.mark.parametrize("target", ["drawn", "stored"])
def test_with_gamma_0_the_target_is_the_reward(target, monkeypatch):
    agent = linear([1, 2], target=target, gamma=0)
    remember(agent, state(1), 1, 0.5, state(3))
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
    remember(agent, np.ones(4), 0, 1.0, np.ones(4))
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
        remember(agent, np.full(4, i), i % 3, i, np.full(4, i + 1))
    before = [agent.replay.states.copy(), agent.replay.values.copy()]
    agent.learn()
    assert np.array_equal(agent.replay.states, before[0])
    assert np.array_equal(agent.replay.values, before[1])
    assert (len(agent.replay), agent.steps) == (10, 0)


# Schedule ----------------------------------------------------------------------------------------


def learns(agent):
    """Whether the next training step is a learning step too."""
    before = agent.optimiser.steps
    agent.training_step()
    return agent.optimiser.steps > before


def schedule(config, steps):
    """Steps at which the preset learns, and epsilon after each step."""
    config = config.replace(hidden=(2,), batch_size=1, gradient_passes=1)
    agent = DQNAgent(config, 1, np.random.default_rng(0))
    learnt, epsilons = [], []
    for step in range(1, steps + 1):
        remember(agent, state(0), 0, 0.0, state(0))
        if learns(agent):
            learnt.append(step)
        epsilons.append(agent.epsilon)
    return learnt, epsilons


def test_learning_begins_at_step_130_and_comes_every_fifth():
    learnt, epsilons = schedule(AUTHORS, 1600)
    assert learnt == list(range(130, 1601, 5))
    assert epsilons[:129] == [1.0] * 129
    for k in (1, 2, 10, 100, 295):
        assert epsilons[125 + 5 * k - 1] == pytest.approx(0.99**k)  # after k learning steps


def test_the_authors_epsilon_dips_under_the_minimum():
    # 0.99^389 = 0.02004, 0.99^390 = 0.01984; then 0.02, 0.0198, 0.02, ...
    epsilons = schedule(AUTHORS, 130 + 5 * 395)[1][129::5]
    assert epsilons[388] == pytest.approx(0.99**389)
    assert epsilons[389] == pytest.approx(0.99**390)
    assert epsilons[390:394] == pytest.approx([0.02, 0.0198, 0.02, 0.0198])


def test_the_papers_epsilon_stops_at_the_minimum():
    epsilons = schedule(PAPER, 130 + 5 * 395)[1][129::5]
    assert epsilons[388] == pytest.approx(0.99**389)
    assert set(epsilons[389:]) == {0.02}


def test_an_empty_memory_is_not_learnt_from():
    agent = make(learning_starts=1, learn_every=1)
    assert [learns(agent) for _ in range(3)] == [False] * 3
    assert agent.epsilon == 1


def test_begin_training_explores_anew():
    agent = make(learning_starts=2, learn_every=1, batch_size=1)
    remember(agent, np.ones(4), 0, 1.0, np.ones(4))
    for _ in range(4):
        agent.training_step()
    assert agent.epsilon < 1
    agent.begin_training()
    assert (agent.epsilon, agent.steps) == (1, 0)
    assert [learns(agent) for _ in range(3)] == [False, False, True]


# Does it learn? ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("preset", "hold"), [(PAPER, True), (PAPER, False), (AUTHORS, True)])
def test_it_learns_a_contextual_bandit(preset, hold):
    """One of four actions is right, and the state says which."""
    config = preset.replace(
        gamma=0.0,
        hold_other_outputs=hold,
        hidden=(32, 16),
        encodings=LEVELS[:4],
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
        remember(agent, here, action, float(action == right), following)
        agent.training_step()
    states, best = draw(1000)
    assert np.mean(agent.q_values(states).argmax(axis=1) == best) > 0.9
