"""Trap 13: what could not be compared is no measurement; the image is delivered none the less."""

import json

import numpy as np
import pytest

from adacompress_ref.agents import monitor_of, new_agent
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.storage import snapshot
from adacompress_ref.survival.config import TUNED
from adacompress_ref.tables.environment import Environment

CAT = [Label("cat", 0.9)]
ANSWERED = {"compressed": Upload(30, CAT), "reference": Upload(100, CAT)}
ENDS = [("inference", "compressed")]  # fell back
ENDS += [(mode, failed) for mode in ("estimate", "retrain") for failed in ANSWERED]


class Image:
    def __init__(self, state, compressed, reference):
        self.state, self.uploads = state, (compressed, reference)

    def upload(self, action, reference):
        return self.uploads


def system(state, seed=0):
    agent = new_agent(TUNED, np.random.default_rng(seed))
    running = Controller(agent, monitor_of(agent))
    running.state, running.monitor.suspect = state, 7
    return running


@pytest.mark.parametrize(("state", "failed"), ENDS)
def test_a_failed_upload_is_no_measurement(state, failed):
    uploads = ANSWERED | {failed: Upload(30, None)}
    running = system(state)
    rows = np.full((5, running.agent.inputs), 0.5, np.float32)
    before, suspect = snapshot.pack(running), running.monitor.suspect
    step = running.step(Image(rows, **uploads))
    assert (step.accuracy, step.agreement, step.reward, step.labels) == (None, None, None, CAT)
    assert running.monitor.suspect == suspect - (state == "estimate")  # paid for
    # what is seen without a reference is seen where the compressed upload has a score
    assert len(running.monitor.shift.recent) == (failed == "reference" and state == "estimate")
    # and what it will cost is known, as that of each image
    assert (running.agent.images, len(running.agent.states)) == (1, 1)
    assert running.monitor.images == (failed == "reference" and state == "estimate")
    fresh = system(state).agent.rng  # the same draws: epsilon's and, but in retrain, the state's
    for _ in range(1 + (state != "retrain")):
        fresh.random()
    assert running.agent.rng.bit_generator.state == fresh.bit_generator.state
    # and nothing else has changed
    running.state, running.monitor.suspect = state, suspect
    running.monitor.shift.recent.clear()
    running.monitor.images, running.monitor.sent = 0, 0.0
    running.agent.states.clear()
    running.agent.images, running.agent.bytes = 0, 0.0
    running.monitor.p_est = before[0]["monitor"]["p_est"]
    running.agent.rng.bit_generator.state = before[0]["agent"]["rng"]
    after = snapshot.pack(running)
    assert json.dumps(after[0]) == json.dumps(before[0])
    assert all((after[1][name] == array).all() for name, array in before[1].items())


@pytest.mark.parametrize("failed", ["compressed", "reference"])
@pytest.mark.parametrize("size", [0, 30])
def test_nor_is_it_in_an_environment(failed, size):
    uploads = ANSWERED | {failed: Upload(size, None)}
    images = [Image(np.ones((5, 4), np.float32), **uploads)]
    environment = Environment(images, TUNED, np.random.default_rng(0))
    environment.reset()
    _, reward, _, _, info = environment.step(0)
    assert (reward, info["accuracy"], info["agreement"]) == (0, None, None)
