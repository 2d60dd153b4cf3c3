"""The three states of the paper's agent, driven by scripted images."""

import math

import numpy as np
import pytest
from stream_helpers import Image, Sized, controller, everything, run, survivor

from adacompress_ref.core.controller import Controller
from adacompress_ref.core.estimator import Estimator
from adacompress_ref.core.roles import Label

# One step ----------------------------------------------------------------------------------------


def test_inference_uploads_once_and_delivers_the_compressed_labels():
    system, image = controller(start="inference", p_0=0.0, p_min=0.0), Image("bad")
    step = system.step(image)
    assert image.sent == ["compressed"]
    assert step.state == "inference"
    assert step.labels == [Label("dog", 0.9)]
    assert (step.compressed.size, step.reference, step.bytes_sent) == (25, None, 25)
    assert (step.accuracy, step.agreement, step.reward, step.mean_accuracy) == (None,) * 4
    assert system.agent.pending is None
    assert system.monitor.recorded == 0


@pytest.mark.parametrize("state", ["estimate", "retrain"])
def test_estimate_and_retrain_upload_both_and_deliver_the_references_labels(state):
    system, image = controller(start=state), Image("bad")
    step = system.step(image)
    assert sorted(image.sent) == ["compressed", "reference"]
    assert step.state == state
    assert step.labels == [Label("cat", 0.9), Label("mat", 0.9)]
    assert (step.compressed.size, step.reference.size, step.bytes_sent) == (25, 100, 125)
    assert (step.accuracy, step.agreement) == (0, 0)
    assert step.reward == -0.25  # 0 - 25 / 100
    assert system.monitor.recorded == 1


def test_the_reward_follows_the_preset():
    # the reference says cat and mat, the compressed upload cat: 1/1 and 1/2 survive
    by_code = controller("authors", alpha=2.0, beta=0.5).step(Image("good"))
    assert (by_code.accuracy, by_code.agreement, by_code.reward) == (1, 1, 2.25)  # 2 - 0.25 + 0.5
    by_text = controller("paper").step(Image("good"))
    assert (by_text.accuracy, by_text.agreement, by_text.reward) == (0.5, 1, 0.25)


def test_the_image_is_sent_at_the_agents_choice():
    system = controller()
    system.agent.network.parameters[:] = 0
    system.agent.network.biases[-1][:] = [0, 0, 1]
    assert system.step(Image()).action == 2


def test_a_step_reports_the_epsilon_that_it_acted_with():
    system = controller(start="retrain", epsilon=0.5)
    assert system.step(Image("bad")).epsilon == 0.5
    assert system.agent.epsilon == 1  # exploration has begun


@pytest.mark.parametrize("state", ["estimate", "retrain"])
def test_without_a_reference_label_nothing_is_recorded_and_the_image_is_delivered(state):
    system = controller(start=state)
    step = system.step(Image(reference=()))
    assert step.labels == []
    assert step.bytes_sent == 125  # counted all the same
    assert (step.accuracy, step.agreement, step.reward, step.mean_accuracy) == (None,) * 4
    assert system.monitor.recorded == 0
    assert (len(system.agent.replay), system.agent.pending) == (0, None)
    assert system.agent.steps == 0
    assert system.state == state  # p_est is 1


def test_after_an_estimate_without_labels_the_next_state_is_drawn():
    system = controller(p_0=0.0, p_min=0.0)
    system.step(Image(reference=()))
    assert system.state == "inference"


# Between steps -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("p_est", "state"), [(0.0, "inference"), (1.0, "estimate")])
@pytest.mark.parametrize("start", ["inference", "estimate"])
def test_the_next_state_is_drawn_with_p_est(start, p_est, state):
    system = controller(start=start, p_0=p_est, p_min=p_est)
    system.step(Image())
    assert system.state == state


def test_a_share_p_est_of_the_states_are_estimates():
    system = controller(p_0=0.3, p_min=0.3, p_max=0.3)
    share = np.mean([step.state == "estimate" for step in run(system, ["good"] * 2000)])
    assert share == pytest.approx(0.3, abs=0.03)


@pytest.mark.parametrize("name", ["paper", "authors"])
def test_a_transition_ends_in_the_state_of_the_next_image(name):
    system = controller(name, gamma=0.5)
    system.step(Image("good", number=1.0))
    assert len(system.agent.replay) == 0  # s' is still to come
    system.state = "inference"
    next_q = system.agent.q_values(np.array([2.0, 0.0]))
    step = system.step(Image(number=2.0))
    replay = system.agent.replay
    assert len(replay) == 1
    assert replay.states[0].tolist() == [1, 0]
    if name == "paper":
        assert replay.values[0] == 0.25  # A = 1/2, less 25/100
        assert replay.next_states[0].tolist() == [2, 0]
    else:
        assert replay.values[0] == pytest.approx(0.75 + 0.5 * next_q.max())
    assert (step.state, system.agent.pending) == ("inference", None)
    system.state = "inference"
    system.step(Image(number=3.0))
    assert len(replay) == 1  # an inference stores nothing


def test_a_transition_ends_in_an_image_without_labels_too():
    system = controller("paper")
    system.step(Image(number=1.0))
    system.step(Image(number=2.0, reference=()))
    system.step(Image(number=3.0))
    assert len(system.agent.replay) == 1
    assert system.agent.replay.next_states[0].tolist() == [2, 0]


@pytest.mark.parametrize("name", ["paper", "authors"])
@pytest.mark.parametrize(
    ("state", "upload"),
    [
        ("inference", "compressed"),
        ("estimate", "compressed"),
        ("estimate", "reference"),
        ("retrain", "compressed"),
        ("retrain", "reference"),
    ],
)
@pytest.mark.parametrize("error", [ConnectionError, KeyboardInterrupt])
def test_an_upload_that_raises_changes_nothing(name, state, upload, error):
    system = controller(name, start=state, learning_starts=1, learn_every=1, return_reward=9.0)
    run(system, ["good", "bad", "good"])
    system.state = state
    system.agent.pending = (np.ones(2, np.float32), 1, 0.5)
    system.agent.epsilon = 1.0  # an action takes two numbers of the generator
    before = everything(system)
    with pytest.raises(error):
        system.step(Image("bad", fail={upload: error()}))
    assert everything(system) == before
    system.step(Image("good"))  # and it goes on
    assert everything(system) != before


def test_the_steps_show_the_same_p_est():
    system = controller("authors", window=2, omega=-0.2, p_min=0.9, retrain_threshold=0)
    steps = []
    for answer in ["bad", "bad", "good", "good", "good"]:
        system.state = "estimate"
        steps.append(system.step(Image(answer)))
    # means 0, 0, then 0.5 and 1: gradients 0.5 and 0.5, so 1 - 0.1, then clipped
    assert [step.p_est for step in steps] == pytest.approx([1, 1, 1, 0.9, 0.9])
    assert [step.mean_accuracy for step in steps] == [None, 0, 0, 0.5, 1]


# To retraining and back --------------------------------------------------------------------------


def test_the_fall_starts_a_retraining():
    system = controller("paper", window=2)
    run(system, ["good"] * 3)  # A = 0.5 each
    assert system.state == "estimate"
    system.agent.steps = 99  # of a retraining before
    run(system, ["bad"])  # mean 0.25
    assert (system.state, system.initial) == ("retrain", False)
    assert (system.agent.steps, system.agent.epsilon) == (0, 1)


@pytest.mark.parametrize(("flush", "kept"), [("entry", 0), ("exit", 3)])
def test_the_memory_is_flushed_at_entry_or_kept(flush, kept):
    system = controller("paper", window=2, flush=flush)
    run(system, ["good", "good", "good", "bad"])
    assert system.state == "retrain"
    assert len(system.agent.replay) == kept
    assert (system.agent.pending is None) == (flush == "entry")
    run(system, ["bad"])
    assert len(system.agent.replay) == (0 if flush == "entry" else 4)


SHORT = {"window": 2, "learning_starts": 3, "learn_every": 1, "epsilon_decay": 0.5}


@pytest.mark.parametrize("flush", ["entry", "exit"])
def test_the_end_of_a_retraining(flush):
    system = controller("paper", start="retrain", flush=flush, return_reward=0.2, **SHORT)
    run(system, ["bad", "bad", "bad", "good"])
    assert system.state == "retrain"
    assert (system.agent.steps, len(system.agent.replay)) == (4, 3)
    assert system.agent.pending is not None
    parameters = system.agent.network.parameters.copy()
    step = system.step(Image("good"))  # rewards 0.25 and 0.25
    assert step.state == "retrain"
    assert system.state == "inference"
    assert (system.agent.epsilon, system.agent.steps) == (0, 4)
    assert np.array_equal(system.agent.network.parameters, parameters)  # nothing learnt at the end
    assert len(system.agent.replay) == (0 if flush == "exit" else 4)
    assert (system.agent.pending is None) == (flush == "exit")
    estimator = system.monitor
    assert (estimator.recorded, estimator.p_est, estimator.earliest) == (0, 1.0, [])
    assert math.isnan(estimator.mean_accuracy)
    assert math.isnan(estimator.mean_reward)


def test_the_paper_returns_once_learning_has_begun_and_not_before():
    """Random levels may please by chance."""
    system = controller("paper", start="retrain", return_reward=0.2, **SHORT)
    system.agent.begin_training()
    run(system, ["good"] * 4)
    assert system.state == "retrain"
    run(system, ["good"])
    assert system.state == "inference"
    assert system.agent.optimiser.steps > 0


def test_the_authors_judge_by_the_mean_before_the_step():
    changes = SHORT | {"learning_starts": 0, "return_epsilon": 1.0}
    system = controller("authors", start="retrain", **changes)
    run(system, ["good"])  # recorded: nothing
    assert system.state == "retrain"
    run(system, ["good"])  # then 1
    assert system.state == "inference"


def two_retrainings(explore_anew):
    """Epsilon with which each step of a first and of a second retraining acts."""
    system = controller(
        "authors", explore_anew=explore_anew, return_epsilon=1.0, return_accuracy=-1.0, **SHORT
    )
    seen = []
    for _ in range(2):
        system.state = "estimate"
        run(system, ["good"] * 3)
        while system.state != "retrain":
            run(system, ["bad"])
        steps = run(system, ["bad"] * 6)
        while system.state == "retrain":
            steps += run(system, ["good"])
        seen.append([step.epsilon for step in steps[:6]])
    return seen


def test_a_second_retraining_explores_anew_in_the_paper():
    first, second = two_retrainings(explore_anew=True)
    # three steps of exploration, the fourth learns before the fifth acts
    assert first == second == [1, 1, 1, 1, 0.5, 0.25]


def test_the_authors_counter_is_never_reset_so_a_second_retraining_does_not_explore():
    first, second = two_retrainings(explore_anew=False)
    # the first step still acts with the epsilon of inference; the code sets 1 after it
    assert first == [0, 1, 1, 1, 0.5, 0.25]
    # the memory is empty after the first step; after the second it learns: 0 is below the
    # minimum and put to 0.02, halved to 0.01, put back, and so on
    assert second == [0, 0, 0.02, 0.01, 0.02, 0.01]


def test_without_enough_steps_there_is_no_learning():
    system = controller("authors", start="retrain", return_reward=9.0, **SHORT)
    before = system.agent.network.parameters.copy()
    run(system, ["bad"] * 3)
    assert np.array_equal(system.agent.network.parameters, before)
    run(system, ["bad"])
    assert not np.array_equal(system.agent.network.parameters, before)


# Start -------------------------------------------------------------------------------------------


def test_a_trained_agent_starts_with_inference_and_without_exploring():
    agent = controller(epsilon=1.0).agent
    system = Controller(agent, Estimator(agent))
    assert (system.state, system.initial, agent.epsilon) == ("inference", False, 0)


def test_an_untrained_agent_starts_with_retraining():
    system = controller("paper", trained=False, epsilon=1.0)
    assert system.initial
    step = system.step(Image())
    assert (step.state, step.epsilon) == ("retrain", 1)
    assert system.agent.steps == 1


@pytest.mark.parametrize("name", ["paper", "authors"])
@pytest.mark.parametrize("answer", ["good", "bad"])
def test_the_initial_training_has_its_number_of_steps_whatever_it_earns(name, answer):
    system = controller(
        name, trained=False, epsilon=1.0, training_steps=8, reference_labels=1, **SHORT
    )
    run(system, [answer] * 4 + ["bad"] * 3)
    run(system, [answer] * 9, reference=())  # no step
    assert (system.state, system.initial, system.agent.steps) == ("retrain", True, 7)
    assert system.agent.optimiser.steps == 4  # steps 4 to 7
    run(system, [answer])
    assert (system.state, system.initial) == ("inference", False)
    assert (system.agent.epsilon, system.agent.steps) == (0, 0)  # as a loaded agent has them
    assert system.agent.optimiser.steps == 5
    assert (system.monitor.recorded, system.monitor.p_est) == (0, 1)


def test_a_retraining_after_the_initial_training_ends_by_what_it_earns():
    system = controller("authors", trained=False, training_steps=4, return_epsilon=1.0, **SHORT)
    run(system, ["good"] * 4)
    assert (system.state, system.initial) == ("inference", False)
    system.state = "estimate"
    while system.state == "estimate":
        run(system, ["bad"])
    assert [step.epsilon for step in run(system, ["bad"] * 6)] == [0, 1, 1, 1, 0.5, 0.25]
    assert system.agent.steps == 6  # past training_steps, and goes on
    steps = run(system, ["good"] * 3)  # the window means before each: 0, half, whole
    assert [step.state for step in steps] == ["retrain"] * 3
    assert system.state == "inference"


def test_the_same_seed_gives_the_same_run():
    def one(seed):
        system = controller("paper", seed=seed, p_0=0.5, p_min=0.2, p_max=0.9, **SHORT)
        mixed = np.random.default_rng(5).choice(["good", "bad"], 100).tolist()
        answers = ["good"] * 20 + ["bad"] * 20 + mixed
        return [(step.state, step.action, step.p_est) for step in run(system, answers)]

    assert one(1) == one(1)
    assert one(1) != one(2)
    assert {state for state, _, _ in one(1)} == {"inference", "estimate", "retrain"}


# Two halves --------------------------------------------------------------------------------------

KINDS = {"paper": controller, "authors": controller, "tuned": survivor, "ladder": survivor}


def eventful(name):
    """A small system, and 150 images that lead it through all states, some without labels."""
    changes = {"surprise_limit": 1.5} if KINDS[name] is survivor else {"retrain_threshold": 0.6}
    changes |= SHORT if KINDS[name] is controller else {"window": 5}
    system = KINDS[name](name, seed=4, p_0=0.5, p_min=0.4, p_max=0.9, **changes)
    draw, kind = np.random.default_rng(9), Image if KINDS[name] is controller else Sized
    answers = ["good"] * 40 + ["bad"] * 30 + ["good"] * 80
    labels = [() if number % 17 == 3 else ("cat", "mat") for number in range(150)]
    return system, [
        kind(answer, number=draw.normal(), reference=reference)
        for answer, reference in zip(answers, labels, strict=True)
    ]


def sent(image, decision):
    return image.upload(decision.action, decision.mode != "inference")


@pytest.mark.parametrize("name", KINDS)
def test_a_step_is_a_decision_its_upload_and_its_settlement(name):
    (whole, images), (halves, _) = eventful(name), eventful(name)
    modes = set()
    for image in images:
        decision = halves.decide(image.state)
        step = halves.settle(decision, *sent(image, decision))
        assert repr(step) == repr(whole.step(image))
        assert everything(halves) == everything(whole)
        modes.add(step.state)
    assert modes == {"inference", "estimate", "retrain"}


@pytest.mark.parametrize("name", KINDS)
def test_a_decision_that_is_given_up_leaves_no_trace(name):
    (system, images), (other, _) = eventful(name), eventful(name)
    for number, image in enumerate(images):
        before = everything(system)
        first, _, again = (system.decide(each.state) for each in (image, images[0], image))
        assert (first.mode, first.action) == (again.mode, again.action)
        with pytest.raises(ValueError, match="shape"):
            system.decide(np.zeros(number % 2))
        assert everything(system) == before
        assert repr(system.step(image)) == repr(other.step(image))
    assert everything(system) == everything(other)


def in_flight(name, width):
    """The steps of a run in which so many images are sent before the first is settled."""
    system, images = eventful(name)
    steps = []
    for start in range(0, len(images), width):
        several = images[start : start + width]
        decisions = [system.decide(image.state) for image in several]
        uploads = [sent(*pair) for pair in zip(several, decisions, strict=True)][::-1]
        for decision in decisions:
            steps.append(system.settle(decision, *uploads.pop()))
    assert system.settled == len(images)
    return steps, everything(system)


@pytest.mark.parametrize("name", KINDS)
def test_several_in_flight_are_settled_in_order_and_the_run_is_repeatable(name):
    steps, end = in_flight(name, 4)
    again, end_again = in_flight(name, 4)
    assert repr(steps) == repr(again)
    assert end == end_again
    assert {step.state for step in steps} == {"inference", "estimate", "retrain"}
    for start in range(0, len(steps), 4):  # all were decided on in the state of the first
        assert len({step.state for step in steps[start : start + 4]}) == 1
    system, images = eventful(name)
    assert repr(in_flight(name, 1)[0]) == repr([system.step(image) for image in images])


def test_chance_moves_on_with_each_that_is_settled():
    system = controller("paper", start="retrain", epsilon=1.0, **SHORT)
    images = [Image() for _ in range(3)]
    decisions, states = [system.decide(image.state) for image in images], []
    for image, decision in zip(images, decisions, strict=True):
        system.settle(decision, *sent(image, decision))
        states.append(repr(system.agent.rng.bit_generator.state))
    assert len({*states}) == 3


def test_what_was_decided_before_a_retraining_neither_ends_it_nor_counts_in_it():
    system = controller("paper", **SHORT)
    run(system, ["good"] * 3)
    images = [Image("bad"), Image("bad"), Image("good")]
    decisions = [system.decide(image.state) for image in images]
    for image, decision in zip(images, decisions, strict=True):
        system.settle(decision, *sent(image, decision))
    assert (system.state, system.agent.steps) == ("retrain", 0)  # since the first of them
    assert system.monitor.recorded == 4  # what comes late is not of these windows
