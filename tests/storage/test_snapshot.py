"""A running system packed in the middle goes on from there, bit for bit."""

import json
from collections import deque

import numpy as np
import pytest
from stream_helpers import LEVELS, Image, Sized, everything

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.running.state import revive
from adacompress_ref.storage import snapshot

ANSWERS = ["good"] * 60 + ["bad"] * 40 + ["good"] * 60


def system(name, trained=True, seed=5):
    """A small system of a preset that soon retrains where labels are lost."""
    ours = name in ("tuned", "ladder")
    changes = {"encodings": LEVELS, "window": 5, "p_0": 0.5, "p_min": 0.4}
    changes |= {"training_steps": 50, "replay_capacity": 30, "p_max": 0.9}
    paper = {"hidden": (4,), "batch_size": 8, "learning_starts": 5, "learn_every": 1}
    changes |= {"surprise_limit": 1.5, "early_losses": 10.0, "goal_images": 9} if ours else paper
    rng = np.random.default_rng(seed)
    agent = agents.new_agent(agents.preset(name).replace(**changes), rng, channels=2)
    running = Controller(agent, agents.monitor_of(agent), trained)
    if ours and trained:
        agent.aim(None, 0.9, 0.8)
    return running


def images(name, numbers):
    """Images [start, stop) of a stream, which does not depend on what was asked before."""
    for number in numbers:
        answer, draw = ANSWERS[number], np.random.default_rng(number)
        reference = () if number % 13 == 4 else ("cat",)
        image = Image(answer, number=draw.normal(), reference=reference)
        if name in ("tuned", "ladder"):
            inputs = system(name).agent.inputs
            image = Sized(answer, number=draw.normal(), reference=reference, inputs=inputs)
        yield image


def through_json(packed):
    fields, arrays = packed
    return json.loads(json.dumps(fields)), {name: array.copy() for name, array in arrays.items()}


def resumed(running):
    """A second system that has what the first would leave on disk."""
    fields, arrays = through_json(snapshot.pack(running))
    description = json.loads(json.dumps(agents.describe(running.agent)))
    return revive(description | {"running": fields}, arrays)


def packed(running):
    fields, arrays = snapshot.pack(running)
    return json.dumps(fields), [(name, everything(array)) for name, array in arrays.items()]


@pytest.mark.parametrize("name", agents.presets())
@pytest.mark.parametrize(("trained", "stop"), [(True, 0), (True, 45), (True, 75), (False, 30)])
def test_packed_in_the_middle_it_goes_on_bit_for_bit(name, trained, stop):
    running = system(name, trained)
    modes = {running.step(image).state for image in images(name, range(stop))}
    other = resumed(running)
    assert packed(other) == packed(running)
    for image in images(name, range(stop, len(ANSWERS))):
        step = running.step(image)
        assert repr(other.step(image)) == repr(step)
        modes.add(step.state)
    assert modes == {"inference", "estimate", "retrain"}
    assert packed(other) == packed(running)


def test_only_what_is_kept_is_packed_and_all_of_it():
    running = system("paper")
    for image in images("paper", range(20)):
        running.step(image)
    fields, arrays = snapshot.pack(running)
    assert set(fields) == {"state", "initial", "early", "agent", "monitor"}
    rows = len(running.agent.replay)
    assert 0 < rows < 30
    assert arrays["agent.replay.states"].shape == (rows, 2)  # and no more of D
    fields, arrays = snapshot.pack(running.agent, leave=("replay", "rng", "pending"))
    assert set(fields) == {"network", "optimiser", "epsilon", "steps"}
    assert set(arrays) == {"network.parameters", "optimiser.mean", "optimiser.variance"}


def test_what_an_agent_does_not_take_along_is_of_what_it_keeps():
    for name in agents.presets():
        agent = system(name).agent
        assert set(agent.MEMORY) < set(agent.KEPT)
    fields, arrays = snapshot.pack(agent, leave=agent.MEMORY)
    assert set(fields) == {"alpha", "epsilon", "steps"}
    assert set(arrays) == {"w", "sigma"}


def learned(arrays):
    """Names of arrays that learning has made."""
    paper = ("network.parameters", "optimiser.mean", "optimiser.variance")
    ours = ("w", "u", "covariance")
    return [f"agent.{name}" for name in (ours if "agent.w" in arrays else paper)]


DAMAGES = {
    "state": lambda fields, arrays: fields.update(state=5),
    "a class": lambda fields, arrays: fields.pop("agent"),
    "a number": lambda fields, arrays: fields["agent"].pop("epsilon"),
    "a text": lambda fields, arrays: fields["agent"].update(epsilon="0.5"),
    "a flag": lambda fields, arrays: fields.update(initial=1),
    "a list": lambda fields, arrays: fields["monitor"].pop("accuracies"),
    "the generator": lambda fields, arrays: fields["agent"]["rng"].pop("state"),
    "the count": lambda fields, arrays: fields["agent"]["replay"].update(count=3),
    "NaN": lambda fields, arrays: arrays[learned(arrays)[0]].__setitem__(1, np.nan),
    "infinity": lambda fields, arrays: arrays[learned(arrays)[1]].__setitem__(1, np.inf),
    "length": lambda fields, arrays: arrays.update(
        {learned(arrays)[0]: arrays[learned(arrays)[0]][:-1]}
    ),
    "absence": lambda fields, arrays: arrays.pop(learned(arrays)[2]),
    "kind": lambda fields, arrays: arrays.update(
        {"agent.replay.actions": arrays["agent.replay.actions"].astype(float)}
    ),
}


@pytest.mark.parametrize("name", ["paper", "tuned"])
@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_damaged_values_are_refused(name, damage):
    running = system(name)
    for image in images(name, range(20)):
        running.step(image)
    fields, arrays = through_json(snapshot.pack(running))
    snapshot.unpack(system(name), fields, arrays)
    damage(fields, arrays)
    with pytest.raises((ValueError, KeyError, TypeError)):
        snapshot.unpack(system(name), fields, arrays)


class Thing:
    KEPT = ("numbers", "rows", "pair", "nothing")

    def __init__(self):
        self.numbers, self.rows = deque(maxlen=2), deque(maxlen=2)
        self.pair = self.nothing = None


@pytest.mark.parametrize("full", [True, False])
def test_lists_of_numbers_lists_of_arrays_and_a_tuple_by_hand(full):
    thing, other = Thing(), Thing()
    if full:
        thing.numbers.extend([1.5, 2.5])
        thing.rows.extend([np.arange(3), np.arange(3) + 1])
        thing.pair = np.ones(2, np.float32), 3, 0.25
    fields, arrays = through_json(snapshot.pack(thing))
    assert fields["numbers"] == ([1.5, 2.5] if full else [])
    assert set(arrays) == ({"rows", "pair"} if full else set())
    snapshot.unpack(other, fields, arrays)
    assert everything(other) == everything(thing)
    assert (other.numbers.maxlen, other.rows.maxlen) == (2, 2)
