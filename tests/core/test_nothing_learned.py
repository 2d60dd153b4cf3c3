"""Trap 13: what could not be compared is no measurement; the image is delivered none the less."""

import numpy as np
import pytest

from adacompress_ref.core.agent import DQNAgent
from adacompress_ref.core.config import PRESETS
from adacompress_ref.core.controller import Controller, Label, Upload
from adacompress_ref.running.snapshot import pack
from adacompress_ref.tables.environment import Environment

CAT = [Label("cat", 0.9)]
ANSWERED = {"compressed": Upload(30, CAT), "reference": Upload(100, CAT)}


class Image:
    state = np.tile(np.arange(4, dtype=np.float32), (10, 1))

    def __init__(self, compressed, reference):
        self.uploads = compressed, reference

    def upload(self, action, reference):
        return self.uploads


def system(state):
    running = Controller(DQNAgent.create(PRESETS["tuned"], 4, np.random.default_rng(0), {}))
    running.state = state
    return running


@pytest.mark.parametrize(
    ("state", "failed"),
    [
        ("inference", "compressed"),  # fell back
        ("estimate", "compressed"),
        ("estimate", "reference"),
        ("retrain", "compressed"),
        ("retrain", "reference"),
    ],
)
def test_a_failed_upload_is_no_measurement(state, failed):
    uploads = ANSWERED | {failed: Upload(30, None)}
    running = system(state)
    before, suspect = pack(running)[0], running.watch.suspect
    step = running.step(Image(**uploads))
    after = pack(running)[0]
    assert (step.accuracy, step.agreement, step.reward, step.labels) == (None, None, None, CAT)
    assert (after["windows"], after["remembered"], running.pending) == (before["windows"], 0, None)
    assert running.watch.suspect == suspect - (state == "estimate")  # paid for
    # what is seen without a reference is seen where the compressed upload has a score
    assert len(running.watch.recent) == (failed == "reference" and state == "estimate")
    fresh = system(state).agent.rng  # the same draws: epsilon's and, but in retrain, the state's
    for _ in range(1 + (state != "retrain")):
        fresh.random()
    assert running.agent.rng.random() == fresh.random()


@pytest.mark.parametrize("failed", ["compressed", "reference"])
@pytest.mark.parametrize("size", [0, 30])
def test_nor_is_it_in_an_environment(failed, size):
    uploads = ANSWERED | {failed: Upload(size, None)}
    environment = Environment([Image(**uploads)], PRESETS["tuned"], np.random.default_rng(0))
    environment.reset()
    _, reward, _, _, info = environment.step(0)
    assert (reward, info["accuracy"], info["agreement"]) == (0, None, None)
