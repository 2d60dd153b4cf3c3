"""The state of `tuned` and `ladder`: looks and distances by hand, what compression does."""

import threading
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from PIL import Image

from adacompress_ref.agents import preset, view_of
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.imaging.extractor import Extractor, pool
from adacompress_ref.survival import drift
from adacompress_ref.survival.config import LADDER, TUNED
from adacompress_ref.views.drift import PROBE, DriftView, context, look, probed, seen

FLOOR = np.log(1e-4)
vectors = hnp.arrays(np.float64, 5, elements=st.floats(0, 100))


class FakeExtractor:
    """Pools into the mean red, green and blue, eight times; remembers the views."""

    def __init__(self, threads=1):
        self.threads, self.views = threads, []

    def run(self, tensors):
        self.views.append(tensors)
        return np.tile(tensors * 127.5 + 127.5, (1, 8, 1, 1))


@pytest.fixture(scope="module")
def extractor():
    return Extractor(threads=1)


@pytest.fixture
def centred():
    """Black, its centre white: the inner 3 x 3 of 5 x 5 cells of 160 by 80 pixels."""
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[16:64, 32:128] = 200
    return Image.fromarray(pixels)


# Looks -------------------------------------------------------------------------------------------


def test_a_picture_is_seen_whole(centred):
    seeing = FakeExtractor()
    found = seen(seeing, centred)
    assert [view.shape for view in seeing.views] == [(1, 3, 160, 160)]
    assert found.shape == (1, 24, 160, 160)
    np.testing.assert_allclose(pool(found, "global"), 200 * 9 / 25, atol=2)


@pytest.mark.parametrize("size", [(1, 1), (50, 1), (2, 300)])
def test_looks_at_odd_shapes(size):
    shown = Image.new("RGB", size, (9, 9, 9))
    found = look(FakeExtractor(), shown, partial(codec.encode, shown))
    np.testing.assert_allclose(found, 9, atol=1.01)  # the probe rounds


def looked(centred, threads=1, *others):
    """Looks, and what was encoded for them; the probe is said to be plain grey."""
    asked = []

    def encoded(encoding):
        asked.append(encoding)
        return codec.encode(Image.new("RGB", (64, 64), "grey"), encoding)

    seeing = FakeExtractor(threads)
    return seeing, look(seeing, centred, encoded, *others), asked


def test_a_look_has_the_image_its_probe_and_its_centre(centred):
    seeing, (itself, probe, centre), asked = looked(centred)
    assert asked == [Encoding("jpeg", None, 5)]
    np.testing.assert_allclose(itself, 200 * 9 / 25, atol=2)
    np.testing.assert_allclose(probe, 128, atol=2)
    np.testing.assert_allclose(centre, 200, atol=4)
    assert [view.shape[-1] for view in seeing.views] == [160, 160]


def test_other_work_is_done_at_the_same_time(centred):
    done = []
    for threads in (1, 3):
        _, found, _ = looked(centred, threads, *[partial(done.append, n) for n in range(4)])
        assert len(found) == 3
    assert sorted(done) == [0, 0, 1, 1, 2, 2, 3, 3]
    meeting = threading.Barrier(2, timeout=10)  # each waits: one after the other would never end
    looked(centred, 4, meeting.wait, meeting.wait)


def test_a_large_picture_is_reduced_before_it_is_looked_at():
    """By squares, as a JPEG decoder reduces the probe: both in the same way."""
    pixels = np.random.default_rng(0).integers(0, 256, (640, 960, 3), np.uint8)
    shown = Image.fromarray(pixels)
    seeing, again = FakeExtractor(), FakeExtractor()
    look(seeing, shown, partial(codec.encode, shown))
    seen(again, shown.reduce(4))  # 160 x 240
    np.testing.assert_array_equal(seeing.views[1], again.views[0])


def test_of_a_very_large_picture_the_probe_is_worked_out(extractor, photos):
    """Nothing is encoded, and features move as far as by the file."""
    shown = images.read(photos / "coffee.jpg").picture.resize(
        (1950, 1300), Image.Resampling.BICUBIC
    )
    itself, file, found = (
        pool(seen(extractor, each), "global")[0]
        for each in (
            codec.reduced(shown, 160),
            codec.decode(codec.encode(shown, PROBE), 160),
            probed(shown, lambda encoding: pytest.fail("encoded")),
        )
    )
    np.testing.assert_allclose(drift.drift(found, itself), drift.drift(file, itself), atol=0.25)


# Drift -------------------------------------------------------------------------------------------


def test_drift_by_hand():
    # at right angles, 2 * sqrt(2) apart
    right = [0, np.log(np.sqrt(8))]
    found = drift.drift(np.array([0.0, 2.0]), np.array([2.0, 0.0]))
    np.testing.assert_allclose(found, right, atol=1e-6)
    # at 45 degrees, 3 apart
    payload, itself = np.array([3.0, 3.0]), np.array([3.0, 0.0])
    half = [np.log(1 - np.sqrt(0.5)), np.log(3)]
    np.testing.assert_allclose(drift.drift(payload, itself), half, atol=1e-6)
    many = drift.drift(np.stack([payload, itself]), itself)
    np.testing.assert_allclose(many, [half, [FLOOR] * 2], atol=1e-6)


@given(vectors)
def test_the_drift_of_equal_features_is_the_floor(itself):
    itself[itself < 1e-2] = 0
    cosine, distance = drift.drift(itself, itself)
    assert distance == pytest.approx(FLOOR)
    # without any feature there is no angle
    assert cosine == pytest.approx(FLOOR if itself.any() else 0, abs=1e-6)


@given(vectors, vectors)
def test_drift_is_symmetric_finite_and_never_below_the_floor(one, other):
    found = drift.drift(one, other)
    np.testing.assert_allclose(found, drift.drift(other, one), rtol=1e-6, atol=1e-6)
    assert np.isfinite(found).all()
    assert (found >= FLOOR - 1e-9).all()
    assert found[0] <= 1e-6  # features are not negative: at most a right angle


@given(vectors, vectors, st.floats(0.5, 4))
def test_a_scale_moves_the_distance_and_not_the_angle(one, other, scale):
    one, other = one + 1, other + 1
    before, after = drift.drift(one, other), drift.drift(scale * one, scale * other)
    assert after[0] == pytest.approx(before[0], abs=1e-6)
    if before[1] > -2:
        assert after[1] == pytest.approx(before[1] + np.log(scale), abs=1e-6)


# Context -----------------------------------------------------------------------------------------


def test_context_by_hand():
    rest = [0.0] * 38
    itself, centre = np.array([*rest, 3.0, 4.0]), np.array([0.0, *rest, 2.0])
    probe = itself + 2
    found = drift.context((itself, probe, centre), 1250, 100, 50)
    assert (found.shape, found.dtype) == ((drift.CONTEXT,), np.float32)
    expected = [
        *[np.log(5), np.log(7 / 20), *drift.drift(probe, itself)],
        *[np.log(2), np.log(2 / 20), np.log(1 - 4 / 5)],  # cosine: 8 / (5 * 2)
        *[np.log(0.25), np.log(50)],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)
    assert expected[3] == pytest.approx(np.log(np.sqrt(40 * 4)))


def test_the_strongest_are_the_same_in_any_order():
    shuffled = np.random.default_rng(0).random(200)
    ordered = np.sort(shuffled)
    one, other = (drift.context((each,) * 3, 1, 1, 1) for each in (shuffled, ordered))
    np.testing.assert_allclose(one, other, rtol=1e-5)
    assert one[1] == pytest.approx(np.log(ordered[-20:].mean()), rel=1e-5)


def test_what_a_table_keeps_of_an_image(extractor, photos):
    picture = images.read(photos / "clock.jpg").picture
    found = context(extractor, picture, 30_000)
    assert (found.shape, found.dtype) == ((9,), np.float32)
    features = look(extractor, picture, partial(codec.encode, picture))
    np.testing.assert_array_equal(found, drift.context(features, 30_000, *picture.size))
    file = codec.encode(picture, PROBE)
    moved = pool(seen(extractor, codec.decode(file, 160)), "global")[0]
    np.testing.assert_allclose(found[2:4], drift.drift(moved, features[0]), rtol=1e-4)


def test_the_drift_of_what_is_unchanged_is_the_floor(extractor):
    """At any size: the image and its payload reach E in the same way."""
    for size in ((300, 400), (639, 900), (2600, 2570)):
        plain = Image.new("RGB", size, (128, 128, 128))
        found = context(extractor, plain, 1000)
        np.testing.assert_allclose(found[2:4], FLOOR, atol=1e-3)


def test_inputs_are_near_to_what_they_should_be(extractor, photos):
    picture = images.read(photos / "chelsea.jpg").picture
    found = context(extractor, picture, len(codec.encode(picture, REFERENCE)))
    assert np.abs((found - drift._MEAN) / drift._SPREAD).max() < 6


# Rows --------------------------------------------------------------------------------------------


def test_rows_by_hand():
    context = drift._MEAN + np.arange(9) * drift._SPREAD
    found = drift.rows(context, np.array([0.5, np.inf, 1]), np.array(400))
    assert (found.shape, found.dtype) == ((3, drift.row_length(3)), np.float32)
    expected = [
        [*range(9), 1, 0, 0, np.log(400), np.log(0.5), 0.5],
        [*range(9), 0, 1, 0, np.log(400), np.inf, np.inf],
        [*range(9), 0, 0, 1, np.log(400), 0, 1],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("config", [LADDER, TUNED])
def test_rows_of_many_images_are_those_of_each(config):
    draw = np.random.default_rng(0)
    actions = len(config.encodings)
    context, ratios = draw.normal(size=(5, 9)), draw.uniform(0.1, 1, (5, actions))
    references = draw.uniform(100, 1000, 5)
    together = drift.rows(context, ratios, references)
    assert together.shape == (5, actions, 9 + actions + 3)
    logs = np.log(references)[:, None].repeat(actions, axis=1)
    np.testing.assert_allclose(together[..., drift.LOG_REFERENCE], logs, rtol=1e-6)
    for row in range(5):
        alone = drift.rows(context[row], ratios[row], references[row])
        np.testing.assert_array_equal(together[row], alone)


def test_the_wholes_part_of_a_gradient_is_unscaled():
    """By differences: moving the log distances moves the row by as much as it says."""
    weights = np.random.default_rng(0).normal(size=drift.row_length(5))

    def value(context):
        return drift.rows(context, np.full(5, 0.5), np.array(400))[3] @ weights

    context = drift._MEAN.copy()
    for number, slope in enumerate(drift.by_whole(weights, np.ones(len(weights)))):
        moved = context.copy()
        moved[2 + number] += 1  # norm, strongest, then the probe
        assert value(moved) - value(context) == pytest.approx(slope, rel=1e-3)


# Which actions -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("formats", "names"),
    [
        (("jpeg",), "jpeg-9-q5 jpeg-q5"),
        (("webp",), "webp-9-q5 webp-q5"),
        (("jpeg", "webp"), "jpeg-q5 webp-9-q5 webp-q5"),
        (("png",), ""),
    ],
)
def test_open_actions(formats, names):
    encodings = ("jpeg-9-q5", "jpeg-q5", "webp-9-q5", "webp-q5")
    found = DriftView(TUNED.replace(encodings=encodings)).open_actions(formats)
    assert [name for name, open_ in zip(encodings, found, strict=True) if open_] == names.split()


def test_without_webp_in_the_preset_its_jpegs_stay_open():
    view = DriftView(TUNED.replace(encodings=("jpeg-160-q20", "jpeg-q5")))
    assert view.open_actions(("jpeg", "webp")).tolist() == [True, True]
    assert DriftView(TUNED).open_actions(("jpeg", "webp")).all()


# The stamp ---------------------------------------------------------------------------------------


def test_a_stamp_says_what_states_are_made_of():
    extractor = {"sha256": "x", "input_size": 224}
    stamps = {name: view_of(preset(name)).stamp("x") for name in ("paper", "authors", "tuned")}
    assert stamps["paper"] == extractor | {"resize": "bilinear", "pooling": "global"}
    assert stamps["authors"] == extractor | {"resize": "nearest", "pooling": "corner"}
    looks = {"sha256": "x", "input_size": 160, "probe": "jpeg-q5", "centre": "3 x 3"}
    assert stamps["tuned"] == view_of(LADDER).stamp("x") == looks
