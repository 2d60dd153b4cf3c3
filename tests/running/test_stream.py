"""A stream that goes on: what was answered already is learned from again, without a service."""

import itertools
import json

import numpy as np
import pytest

import adacompress_ref as ac
from adacompress_ref.running import runlog
from adacompress_ref.running.state import StateFolder
from adacompress_ref.running.stream import Stream
from adacompress_ref.services import ProtocolError, RefusedError, UnavailableError
from adacompress_ref.storage.snapshot import pack


class Flaky:
    """Answers by the size of the payload; now and then refuses, is away, or has no label."""

    name = "flaky"
    formats = ("jpeg", "webp")

    def __init__(self, faults=0.2, **limits):
        self.rng, self.faults = np.random.default_rng(0), faults
        vars(self).update(limits)

    def label(self, payload):
        draw = self.rng.random()
        if draw < self.faults:
            raise [RefusedError("no"), UnavailableError("away"), ProtocolError("odd")][
                int(draw * 15)
            ]
        if draw < 0.25:
            return []
        name = "cat" if len(payload) % 3 else "dog"
        return [ac.Label(name, self.rng.random()), ac.Label("mat", 1 / 3)]


class Silent(Flaky):
    """Takes the same, and is never asked."""

    def label(self, payload):
        raise AssertionError


@pytest.fixture
def state(tmp_path):
    """A function that makes a new state folder."""
    numbers = itertools.count()
    return lambda: StateFolder(tmp_path / f"state-{next(numbers)}", {})


def uploaded(stream, name):
    """The line of an image as the log has it; none where it had no answer."""
    try:
        line = stream._send(name)
    except ac.ServiceError:
        return []
    return [json.loads(json.dumps(line))] if line["error"] is None else []


def system(preset):
    if preset == "untrained":
        settings = ac.preset("tuned").replace(encodings=ac.preset("tuned").encodings[:3])
        return ac.AdaCompress.untrained(settings, threads=1)
    return ac.AdaCompress.load(preset, threads=1)


@pytest.mark.parametrize("preset", ["tuned", "untrained", "authors"])
def test_learning_again_from_the_log_is_as_it_was(photos, preset, state):
    """In all states, with all faults: the same system, without a service."""
    names = [path.name for path in sorted(photos.glob("*.jpg"))[:6]]
    pilot, lines = system(preset), []
    stream = Stream(photos, pilot, Flaky(), state(), once="")
    for name in names * 8:
        lines += uploaded(stream, name)
    kinds = {(line["state"], line["answered_by"], line["fault"] is None) for line in lines}
    assert len(kinds) >= 3
    again = system(preset)
    stream = Stream(photos, again, Silent(), state())
    for line in lines:
        assert line.keys() == set(runlog.FIELDS)
        assert stream._learn_again(line), line
    (fields, arrays), (others, other_arrays) = pack(pilot.controller), pack(again.controller)
    assert json.dumps(fields) == json.dumps(others)
    assert arrays.keys() == other_arrays.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, other_arrays[name], name)


def test_an_upload_that_would_be_another_leaves_no_trace(photos, state):
    (line,) = uploaded(Stream(photos, system("authors"), Flaky(faults=0), state()), "clock.jpg")
    stream = Stream(photos, system("authors"), Silent(), state())
    before = stream.pilot.controller.agent.rng.bit_generator.state
    for change in (
        *({"bytes": 5}, {"encoding": "jpeg-q95"}, {"sha256": "0"}, {"state": "retrain"}),
        *({"reference_bytes": 5}, {"image": "coffee.jpg"}, {"image": "none.jpg"}),
    ):
        assert not stream._learn_again(line | change)
        assert stream.pilot.controller.agent.rng.bit_generator.state == before
    assert stream._learn_again(line)
    assert stream.pilot.controller.agent.rng.bit_generator.state != before


def test_what_was_known_to_be_refused(photos, state):
    """The reference was never sent: its answer is not missing in the log."""
    pilots = [system("tuned"), system("tuned")]
    for pilot in pilots:
        pilot.controller.state = "estimate"
    limited = Flaky(faults=0, max_bytes=20_000)
    (line,) = uploaded(Stream(photos, pilots[0], limited, state()), "coffee.jpg")
    assert (line["bytes_sent"], line["answered_by"]) == (line["bytes"], "compressed")
    assert "flaky takes 20,000 bytes" in line["fault"]
    assert Stream(photos, pilots[1], Silent(max_bytes=20_000), state())._learn_again(line)
