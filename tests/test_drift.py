"""The state of `tuned` and `ladder`: distances by hand, and what compression does to them."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from adacompress_ref import artifacts, drift, images
from adacompress_ref.config import LADDER, REFERENCE, TEN_LEVELS, Config, Encoding, preset
from adacompress_ref.extractor import Extractor

FLOOR = np.log(1e-4)
vectors = hnp.arrays(np.float64, (2, 5), elements=st.floats(0, 100))


class FakeExtractor:
    """Pools into the mean red, green and blue; remembers the views."""

    def maps(self, views, resize, side):
        self.views, self.asked = views, (resize, side)
        return np.stack([view.transpose(2, 0, 1).astype(np.float32) for view in views])


@pytest.fixture(scope="module")
def extractor():
    return Extractor(threads=1)


# Views -------------------------------------------------------------------------------------------


def test_the_centre_comes_first_and_the_whole_second():
    pixels = np.zeros((80, 160, 3), np.uint8)
    pixels[5:75, 45:115] = 200  # the centre: 70 by 70 of 80 by 160
    seeing = FakeExtractor()
    found = drift.features(seeing, [pixels, 255 - pixels])
    assert seeing.asked == ("bilinear", 160)
    assert [view.shape for view in seeing.views] == [(160, 160, 3)] * 4
    assert found.shape == (2, 2, 3)
    share = 70 * 70 / (80 * 160)
    np.testing.assert_allclose(found[0], [[200] * 3, [200 * share] * 3], atol=2)
    np.testing.assert_allclose(found[1], [[55] * 3, [255 - 200 * share] * 3], atol=2)


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 50, 3), (300, 2, 3)])
def test_views_of_odd_shapes(shape):
    found = drift.features(FakeExtractor(), [np.full(shape, 9, np.uint8)])
    np.testing.assert_allclose(found, 9, atol=1e-3)


# Drift -------------------------------------------------------------------------------------------


def test_drift_by_hand():
    payload = np.array([[0.0, 2.0], [3.0, 3.0]])
    reference = np.array([[2.0, 0.0], [3.0, 0.0]])
    # first view at right angles, 2 * sqrt(2) apart; second at 45 degrees, 3 apart
    expected = [0, np.log(np.sqrt(8)), np.log(1 - np.sqrt(0.5)), np.log(3)]
    np.testing.assert_allclose(drift.drift(payload, reference), expected, atol=1e-6)
    many = drift.drift(np.stack([payload, reference]), reference)
    np.testing.assert_allclose(many, [expected, [FLOOR] * 4], atol=1e-6)


@given(vectors)
def test_the_drift_of_equal_features_is_the_floor(features):
    features[features < 1e-2] = 0
    found = drift.drift(features, features)
    np.testing.assert_allclose(found[[1, 3]], FLOOR)
    silent = ~features.any(axis=1)
    # without any feature there is no angle
    np.testing.assert_allclose(found[[0, 2]], np.where(silent, 0, FLOOR), atol=1e-6)


@given(vectors, vectors)
def test_drift_is_symmetric_finite_and_never_below_the_floor(one, other):
    found = drift.drift(one, other)
    np.testing.assert_allclose(found, drift.drift(other, one), rtol=1e-6, atol=1e-6)
    assert np.isfinite(found).all()
    assert (found >= FLOOR - 1e-9).all()
    assert (found[[0, 2]] <= 1e-6).all()  # features are not negative: at most a right angle


@given(vectors, vectors, st.floats(0.5, 4))
def test_a_scale_moves_the_distance_and_not_the_angle(one, other, scale):
    one, other = one + 1, other + 1
    before, after = drift.drift(one, other), drift.drift(scale * one, scale * other)
    np.testing.assert_allclose(after[[0, 2]], before[[0, 2]], atol=1e-6)
    far = before[[1, 3]] > -2
    np.testing.assert_allclose(after[[1, 3]][far], before[[1, 3]][far] + np.log(scale), atol=1e-6)


# Context -----------------------------------------------------------------------------------------


def test_context_by_hand():
    reference = np.array([[3.0, 4.0] + [0.0] * 38, [0.0, 2.0] + [0.0] * 38])
    probes = np.stack([reference + shift for shift in (0.0, 1.0, 2.0)])
    found = drift.context(reference, probes, 5000, (100, 50, 3))
    assert (found.shape, found.dtype) == ((drift.CONTEXT,), np.float32)
    own = drift.drift(probes, reference)  # [3, 4]
    centre = [np.log(5), np.log(7 / 20), *own[:, :2].ravel()]
    whole = [np.log(2), np.log(2 / 20), *own[:, 2:].ravel()]
    between = np.log(1 - 4 / 5)  # cosine: 8 / (5 * 2)
    rest = [between, np.log(5000 / 5000), np.log(50)]
    np.testing.assert_allclose(found, [*centre, *whole, *rest], rtol=1e-5, atol=1e-6)
    assert own[1, 1] == pytest.approx(np.log(np.sqrt(40)))


def test_payloads_are_measured_against_the_reference(photos):
    pixels = images.read(photos / "clock.jpg").pixels
    seeing = FakeExtractor()
    reference = images.encode(pixels, REFERENCE)
    files = [images.encode(pixels, Encoding("jpeg", None, q)) for q in (5, 1)] + [reference]
    payloads = [images.decode(file) for file in files]
    context, drifts = drift.measured(seeing, pixels, reference, payloads)
    assert len(seeing.views) == 2 * (1 + 3 + 3)
    assert (context.shape, drifts.shape, drifts.dtype) == ((19,), (3, 4), np.float32)
    np.testing.assert_allclose(drifts[2], FLOOR, rtol=1e-6)
    assert (drifts[1, [1, 3]] > drifts[2, [1, 3]]).all()
    np.testing.assert_allclose(drifts[0], [*context[2:4], *context[10:12]], rtol=1e-6)
    alone, none = drift.measured(seeing, pixels, reference, [])
    np.testing.assert_array_equal(alone, context)
    assert none.shape == (0, 4)


def test_stronger_compression_moves_features_further(extractor, photos):
    pixels = images.read(photos / "chelsea.jpg").pixels
    reference = images.encode(pixels, REFERENCE)
    levels = [Encoding("jpeg", None, quality) for quality in (5, 25, 65)]
    payloads = [images.decode(images.encode(pixels, level)) for level in levels]
    context, drifts = drift.measured(extractor, pixels, reference, payloads)
    assert (np.diff(drifts, axis=0) < 0).all()
    scaled = (context - drift._MEAN) / drift._SPREAD
    assert np.abs(scaled).max() < 6  # near enough to what inputs should be


# Rows --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("own", [False, True])
def test_rows_by_hand(own):
    config = Config(encodings=TEN_LEVELS[:2], own_drift=own)
    context = drift._MEAN + np.arange(19, dtype=np.float32) * drift._SPREAD
    drifts = np.array([drift._DRIFT_MEAN, drift._DRIFT_MEAN + 3 * drift._DRIFT_SPREAD])
    found = drift.rows(context, drifts, np.array([0.5, np.inf]), config)
    assert (found.shape, found.dtype) == ((2, drift.row_length(config)), np.float32)
    middle = [[0.0] * 4, [3.0] * 4] if own else [[], []]
    expected = [
        [*range(19), *middle[0], 1, 0, np.log(0.5), 0.5],
        [*range(19), *middle[1], 0, 1, np.inf, np.inf],
    ]
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-4)


def test_rows_of_many_images_are_those_of_each():
    config = preset("ladder")
    draw = np.random.default_rng(0)
    rungs = len(LADDER)
    context, drifts = draw.normal(size=(5, 19)), draw.normal(size=(5, rungs, 4))
    ratios = draw.uniform(0.1, 1, (5, rungs))
    together = drift.rows(context, drifts, ratios, config)
    assert together.shape == (5, rungs, 19 + 4 + rungs + 2)
    for row in range(5):
        alone = drift.rows(context[row], drifts[row], ratios[row], config)
        np.testing.assert_array_equal(together[row], alone)


def test_the_whole_views_part_of_a_gradient_is_unscaled():
    """By differences: moving a payload's log distances moves the row by as much as it says."""
    tuned, ladder = preset("tuned"), preset("ladder")
    weights = np.random.default_rng(0).normal(size=60)

    def value(context, drifts, config):
        row = drift.rows(context, drifts, np.full(len(config.encodings), 0.5), config)[3]
        return row @ weights[: len(row)]

    context = drift._MEAN.astype(np.float64)
    for config, encoding in ((tuned, drift.PROBES[1]), (ladder, LADDER[3])):
        by_row = weights[: drift.row_length(config)]
        drifts = np.zeros((len(config.encodings), 4))
        before = value(context, drifts, config)
        for number, slope in enumerate(drift.by_whole_view(by_row, config, encoding)):
            moved, moved_drifts = context.copy(), drifts.copy()
            if config.own_drift:
                moved_drifts[3, 2 + number] += 1
            else:
                moved[8 + 2 + 2 + number] += 1  # whole view; norm, strongest, then the second probe
            assert value(moved, moved_drifts, config) - before == pytest.approx(slope, rel=1e-3)


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
    config = Config(encodings=tuple(Encoding.parse(name) for name in encodings))
    found = drift.open_actions(config, formats)
    assert [name for name, open_ in zip(encodings, found, strict=True) if open_] == names.split()


def test_without_webp_in_the_preset_its_jpegs_stay_open():
    config = Config(encodings=(Encoding("jpeg", 160, 20), Encoding("jpeg", None, 5)))
    assert drift.open_actions(config, ("jpeg", "webp")).tolist() == [True, True]
    assert drift.open_actions(preset("tuned"), ("jpeg", "webp")).all()


# The stamp ---------------------------------------------------------------------------------------


def test_preprocessing_says_what_states_are_made_of():
    digest = artifacts.sha256(artifacts.find("mobilenetv2.onnx"))
    assert drift.preprocessing(digest, preset("authors")) == {
        "sha256": digest,
        "input_size": 224,
        "resize": "nearest",
        "pooling": "corner",
    }
    assert drift.preprocessing("x", preset("paper"))["resize"] == "bilinear"
    tuned = drift.preprocessing("x", preset("tuned"))
    assert tuned == drift.preprocessing("x", preset("ladder"))
    assert tuned == {
        "sha256": "x",
        "input_size": 160,
        "views": [0.875, 1],
        "probes": ["jpeg-q5", "jpeg-q15", "jpeg-q25"],
    }
