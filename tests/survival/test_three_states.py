"""The three states with the project's own agent and monitor, driven by scripted images."""

import math

import numpy as np
import pytest
from stream_helpers import Sized, everything, run, survivor

from adacompress_ref.agents import monitor_of
from adacompress_ref.core.controller import Controller
from adacompress_ref.survival.agent import ALPHAS
from adacompress_ref.survival.monitor import BEFORE, RECENT


def test_an_estimate_is_remembered_at_once_as_accuracy():
    system = survivor(alpha=2.0, beta=1.0, frozen=True)
    for answer, accuracy in (("good", 1), ("bad", 0)):
        step = run(system, [answer])[0]
        assert step.reward == 2 * accuracy - 0.25 + 1
        assert system.agent.replay.values[1 - accuracy] == pytest.approx(accuracy)
    assert system.agent.replay.states[:2, -1].tolist() == [0.25, 0.25]


def test_with_an_estimated_ds_what_is_learned_is_the_measured_accuracy():
    """The state says 25 bytes of 100, and 31 were sent: the reward is by what was sent."""

    class Estimated(Sized):
        def one(self, action):
            upload = super().one(action)
            return upload if action is None else upload._replace(size=upload.size + 6)

    system = survivor(alpha=0.5, beta=1.0, frozen=True)
    for place, (answer, accuracy) in enumerate((("good", 1), ("bad", 0))):
        step = system.step(Estimated(answer))
        assert (step.action, step.accuracy) == (0, accuracy)
        assert step.reward == pytest.approx(0.5 * accuracy - 0.31 + 1)
        assert system.agent.replay.values[place] == accuracy  # to the last bit
        assert system.agent.replay.states[place, -1] == 0.25


def test_estimates_teach_and_inferences_do_not():
    system = survivor()
    run(system, ["good", "good", "good"])
    after = system.agent.u.copy()
    assert after[0] > 0
    assert system.agent.epsilon == 0
    system.state = "inference"
    run(system, ["good"])
    np.testing.assert_array_equal(system.agent.u, after)


def test_a_measurement_is_judged_by_what_was_believed_before_it():
    system = survivor()
    run(system, ["bad"])
    assert list(system.monitor.residuals) == [pytest.approx(0.5)]  # P before was 1/2
    row = system.agent.replay.states[0]
    assert system.agent.survival(row) < 0.45


def test_losses_beyond_p_end_in_retraining_and_the_mean_accuracy_does_not():
    # P is 1/2: each loss adds 0.5 - 0.05, and 0.45 * 9 is above 4
    system = survivor(frozen=True, window=3, surprise_limit=4.0)
    run(system, ["bad"] * 8)
    assert system.state == "estimate"
    assert len(system.agent.replay) == 8
    assert run(system, ["bad"])[0].state == "estimate"
    assert system.state == "retrain"
    assert (system.agent.steps, system.agent.epsilon) == (0, 0)
    assert len(system.agent.replay) == 0  # of what was before
    assert (system.monitor.surprise, len(system.monitor.residuals)) == (0, 0)
    system = survivor(frozen=True, window=3)
    run(system, ["good"] * 4 + ["bad", "good"] * 20)  # half of them, as P says
    assert system.state == "estimate"


def test_retraining_is_over_once_p_fits_a_whole_window():
    system = survivor(start="retrain", frozen=True, window=4)
    assert [step.state for step in run(system, ["good", "bad"] * 2)] == ["retrain"] * 4
    assert system.state == "inference"
    system = survivor(start="retrain", frozen=True, window=4)
    run(system, ["bad", "good", "bad", "bad", "bad"])  # P stays 1/2
    assert system.state == "retrain"
    system = survivor(start="retrain", window=4)
    steps = run(system, ["bad"] * 60)  # nothing survives: once that is learned, P fits
    assert steps[4].state == "retrain"
    assert steps[-1].state != "retrain"


def test_the_initial_training_may_end_after_a_quarter_of_its_steps():
    system = survivor(trained=False, training_steps=20)
    run(system, ["good", "bad"] * 2)
    assert (system.state, system.agent.steps, system.agent.epsilon) == ("retrain", 4, 1)
    assert not system.agent.w.any()
    run(system, ["bad"] * 2)
    assert (system.state, system.initial, system.agent.steps) == ("inference", False, 0)
    assert system.agent.epsilon == 0
    assert system.agent.w.any()  # it has learned from all six
    assert len(system.agent.replay) == 6


def test_where_it_may_not_end_early_it_has_all_its_steps():
    agent = survivor(trained=False, training_steps=7).agent
    system = Controller(agent, monitor_of(agent), trained=False, early=False)
    run(system, ["bad"] * 6)
    assert (system.state, system.initial) == ("retrain", True)
    run(system, ["bad"])
    assert (system.state, system.initial, agent.steps) == ("inference", False, 0)


def test_p_est_jumps_to_p_max_on_suspicion_and_back_when_it_is_dismissed():
    chances = {"p_0": 0.5, "p_min": 0.1, "p_max": 0.9, "surprise_limit": 4.0, "suspect_for": 2}
    system = survivor(frozen=True, **chances)
    seen = []
    for answer in ["good"] * 2 + ["bad"] * 5 + ["good"] * 3:
        system.state = "estimate"
        seen.append(run(system, [answer])[0].p_est)
    # 0.45 for each loss, the fifth is above half the limit; -0.55 for each label kept: 2.25 - 0.55
    # is not, and two estimates later it is over
    assert seen == [0.5] * 6 + [0.9, 0.9, 0.5, 0.5]


def test_later_p_est_follows_the_bytes_that_are_sent():
    system = survivor(frozen=True, early_images=2, share=4.0, p_0=0.5, p_min=0.01)
    system.state = "inference"
    assert run(system, ["good"])[0].p_est == 0.5
    system.state = "inference"
    # 25 bytes of 100; the config's agreement is 0.95
    assert run(system, ["good"])[0].p_est == pytest.approx(4 * 0.05 * 0.25)


def images_until_suspicious(system, changed, **image):
    """Of inferences: enough as ever, and how many that are `changed`."""
    rng, enough = np.random.default_rng(0), RECENT + BEFORE + 5
    for count in range(enough + 35):
        system.state = "inference"
        more = changed if count >= enough else {}
        system.step(
            Sized(**({"number": rng.normal(), "score": rng.uniform(0.6, 0.9)} | image | more))
        )
        if system.monitor.suspect:
            assert system.monitor.p_est == system.monitor.config.p_max
            return count - enough + 1
    assert system.monitor.p_est == 0
    return None


QUIET = {"p_0": 0.0, "p_min": 0.0}


@pytest.mark.parametrize("changed", [{"number": 6.0}, {"score": 0.1}])
def test_other_scenery_and_other_scores_make_it_suspicious(changed):
    assert images_until_suspicious(survivor(**QUIET), {}) is None
    assert 0 < (images_until_suspicious(survivor(**QUIET), changed) or 0) <= 20


def test_so_they_do_where_the_first_action_is_closed():
    shut = {"ratios": (math.inf, 0.5, 0.75)}
    assert images_until_suspicious(survivor(**QUIET), {}, **shut) is None
    assert 0 < (images_until_suspicious(survivor(**QUIET), {"number": 6.0}, **shut) or 0) <= 20


def test_retraining_is_not_watched():
    system = survivor(start="retrain", window=50)
    run(system, ["good"] * 5)
    assert (len(system.monitor.shift.recent), system.monitor.images) == (0, 0)
    system.state = "estimate"
    run(system, ["good"] * 2)
    assert (len(system.monitor.shift.recent), system.monitor.images) == (2, 2)


@pytest.mark.parametrize("state", ["inference", "estimate", "retrain"])
@pytest.mark.parametrize("upload", ["compressed", "reference"])
def test_an_upload_that_raises_changes_nothing_in_these_presets(state, upload):
    system = survivor(start=state, window=50, goal=0.8)
    run(system, ["good", "bad", "good"])
    system.state, system.agent.epsilon = state, 1.0
    before = everything(system)
    if (state, upload) != ("inference", "reference"):
        with pytest.raises(ConnectionError):
            system.step(Sized("bad", fail={upload: ConnectionError()}))
        assert everything(system) == before
    run(system, ["good"])
    assert everything(system) != before


def test_a_goal_sets_alpha_at_each_measurement():
    system = survivor(frozen=True, goal=0.6, alpha=3.0)
    system.agent.w[11 + 3] = 2.0  # P is sigmoid(2 log ds): 0.06, 0.2, 0.36
    system.state = "inference"
    run(system, ["good"])
    assert system.agent.alpha == 3  # nothing is measured yet
    system.state = "estimate"
    run(system, ["good"])  # no action has that
    assert system.agent.alpha == ALPHAS[1]


def test_every_tenth_image_without_a_reference_does_so_too():
    system = survivor(frozen=True, goal=0.4, p_0=0.0, p_min=0.0, start="inference")
    for _ in range(10):
        before = system.agent.alpha
        run(system, ["good"])
    assert before == 4.5
    assert system.agent.alpha < 1.021 * ALPHAS[0]  # the first action has 1/2
    assert system.agent.images == 10


def test_the_same_seed_gives_the_same_run_in_these_presets():
    def one(seed):
        system = survivor(seed=seed, p_0=0.5, p_min=0.5, window=5, surprise_limit=1.0)
        answers = ["good"] * 60 + ["bad"] * 40 + ["good"] * 50
        numbers = np.random.default_rng(6).normal(size=150)
        steps = [
            system.step(Sized(answer, number=number))
            for answer, number in zip(answers, numbers, strict=True)
        ]
        return [(step.state, step.action, step.p_est, step.reward) for step in steps]

    assert one(1) == one(1)
    assert one(1) != one(2)
    assert {state for state, *_ in one(1)} == {"inference", "estimate", "retrain"}
