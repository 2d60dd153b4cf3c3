"""Lines of a log: what they say of a step, learning from them again, totals."""

import hashlib
import json

import numpy as np
import pytest

import adacompress_ref as ac
from adacompress_ref.imaging import read as images
from adacompress_ref.running import runlog
from adacompress_ref.running.snapshot import pack
from adacompress_ref.services import ProtocolError, RefusedError, UnavailableError


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


def system(preset):
    if preset == "untrained":
        settings = ac.preset("tuned").replace(encodings=ac.preset("tuned").encodings[:3])
        return ac.AdaCompress.untrained(settings, threads=1)
    return ac.AdaCompress.load(preset, threads=1)


@pytest.mark.parametrize("preset", ["tuned", "untrained", "authors"])
def test_learning_again_from_the_log_is_as_it_was(photos, preset):
    """In all states, with all faults: the same lines and the same system, without a service."""
    photographs = [images.read(path) for path in sorted(photos.glob("*.jpg"))[:6]]
    pilot, service, lines = system(preset), Flaky(), []
    for number in range(48):
        photo = photographs[number % 6]
        try:
            result = pilot.upload(photo, service)
        except ac.ServiceError:
            continue
        sha256 = hashlib.sha256(photo.file).hexdigest()
        line = runlog.answer(str(number), sha256, result)
        lines.append((json.loads(json.dumps(line)), photo))
    kinds = {(line["state"], line["answered_by"], line["fault"] is None) for line, _ in lines}
    assert len(kinds) >= 3
    again = system(preset)
    for line, photo in lines:
        assert line.keys() == set(runlog.FIELDS)
        assert runlog.learn_again(again, line, photo, service), line
    (fields, arrays), (others, other_arrays) = pack(pilot.controller), pack(again.controller)
    assert json.dumps(fields) == json.dumps(others)
    assert arrays.keys() == other_arrays.keys()
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, other_arrays[name], name)


def test_a_line_that_does_not_fit_is_noticed(photos):
    photo = images.read(photos / "clock.jpg")
    result = system("authors").upload(photo, Flaky())
    line = json.loads(json.dumps(runlog.answer("x", "y", result)))
    assert runlog.learn_again(system("authors"), line, photo, Flaky())
    for change in ({"bytes": 5}, {"encoding": "jpeg-q95"}, {"p_est": 0.123}, {"fault": "none"}):
        assert not runlog.learn_again(system("authors"), line | change, photo, Flaky())


def test_what_was_known_to_be_refused(photos):
    """The reference was never sent: its answer is not missing in the log."""
    photo = images.read(photos / "coffee.jpg")
    pilots = [system("tuned"), system("tuned")]
    for pilot in pilots:
        pilot.controller.state = "estimate"
    service = Flaky(faults=0, max_bytes=20_000)
    line = runlog.answer("x", "y", pilots[0].upload(photo, service))
    assert (line["bytes_sent"], line["answered_by"]) == (line["bytes"], "compressed")
    assert "flaky takes 20,000 bytes" in line["fault"]
    assert runlog.learn_again(pilots[1], json.loads(json.dumps(line)), photo, service)


def line_of(image, **fields):
    usual = {"bytes": 25, "bytes_sent": 25, "reference_bytes": 100, "original_bytes": 300}
    usual |= {"state": "inference", "answered_by": "compressed", "labels": [["cat", 0.5]]}
    return dict.fromkeys(runlog.FIELDS) | {"image": image, "alpha": 1.0} | usual | fields


def test_totals():
    lines = [
        line_of("a"),
        line_of("b", state="estimate", bytes=50, bytes_sent=150, agreement=1.0, labels=[])
        | {"answered_by": "reference", "compressed_labels": [["cat", 0.5]]},
        line_of("c", bytes_sent=125, answered_by="reference", fault="refused"),  # fell back
        runlog.failure("d", None, ValueError("damaged")),
        runlog.failure("e", None, ValueError("damaged")),
        line_of("e", alpha=2.0),  # mended since
    ]
    times = [{"image": "a", "upload": n / 100, "total": 1.0} for n in range(101)]
    totals = runlog.summary(lines, [*times, {"image": "d", "total": 1.0}])
    assert totals == {
        "images": 5,
        "failed": 1,
        "states": {"inference": 3, "estimate": 1},
        "unlabelled": 1,
        "faults": 1,
        "agreement": 1.0,
        "measured": 1,
        "size_ratio": pytest.approx((0.25 + 0.5 + 1 + 0.25) / 4),
        "net_size_ratio": pytest.approx((25 + 150 + 125 + 25) / 400),
        "bytes_sent": 325,
        "reference_bytes": 400,
        "original_bytes": 1200,
        "alpha": 2.0,
        "seconds": {
            "upload": {"p50": 0.5, "p90": 0.9, "p99": 0.99},
            "total": {"p50": 1.0, "p90": 1.0, "p99": 1.0},
        },
    }


def test_totals_of_nothing():
    totals = runlog.summary([], [])
    assert (totals["images"], totals["agreement"], totals["seconds"]) == (0, None, {})
