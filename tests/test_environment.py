"""The environment: five values a step, passes without gaps, live equal to recorded."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from adacompress_ref import images
from adacompress_ref.config import LADDER, PRESETS, TEN_LEVELS, Config, Encoding
from adacompress_ref.controller import Label, Upload
from adacompress_ref.environment import Environment, LiveImage, RecordedImage
from adacompress_ref.extractor import Extractor
from adacompress_ref.labelling import Labelling
from adacompress_ref.services import open_service
from adacompress_ref.table import Table

TWO = Config(encodings=TEN_LEVELS[:2])


class FakeImage:
    """Action 0 sends 20 bytes and keeps one label of two, action 1 sends 50 and keeps both."""

    def __init__(self, number, labelled=True):
        self.state = np.full(3, number, np.float32)
        self.labelled = labelled

    def upload(self, action):
        if not self.labelled:
            return Upload(100, [])
        names = {0: "cat", 1: "dog cat", None: "cat dog"}[action].split()
        return Upload({0: 20, 1: 50, None: 100}[action], [Label(name, 0.5) for name in names])


def environment(count, seed=0, **options):
    images = [FakeImage(number, **options) for number in range(count)]
    return Environment(images, TWO, np.random.default_rng(seed))


def visited(env, steps):
    """Numbers of the images that `steps` steps show, the first one included."""
    states = [env.reset()[0], *(env.step(0)[0] for _ in range(steps))]
    return [int(state[0]) for state in states]


def test_five_values():
    env = environment(3)
    state, info = env.reset()
    assert (state.shape, state.dtype, info) == ((3,), np.float32, {})
    state, reward, terminated, truncated, info = env.step(0)
    assert (state.shape, terminated, truncated) == ((3,), False, False)
    assert reward == pytest.approx(0.5 - 0.2)
    assert info == {"accuracy": 0.5, "agreement": 1.0, "size_ratio": 0.2}
    assert env.step(np.int64(1))[1] == pytest.approx(1 - 0.5)  # as `predict` returns an action


def test_alpha_and_beta_reach_the_reward():
    env = Environment([FakeImage(0)], TWO.replace(alpha=2.0, beta=0.25), np.random.default_rng(0))
    env.reset()
    assert env.step(1)[1] == pytest.approx(2 - 0.5 + 0.25)


@given(st.integers(1, 9), st.integers(0, 99))
def test_each_pass_is_a_permutation(count, seed):
    order = visited(environment(count, seed), 3 * count - 1)
    for start in range(0, 3 * count, count):
        assert sorted(order[start : start + count]) == list(range(count))


def test_passes_have_orders_of_their_own():
    order = visited(environment(9), 17)
    assert order[:9] != order[9:]


def test_seed_and_reset():
    env = environment(9)
    first = [int(env.reset(seed=5)[0][0]), *(int(env.step(0)[0][0]) for _ in range(12))]
    again = [int(env.reset(seed=5)[0][0]), *(int(env.step(0)[0][0]) for _ in range(12))]
    other = [int(env.reset(seed=6)[0][0]), *(int(env.step(0)[0][0]) for _ in range(12))]
    assert first == again != other


def test_reset_in_the_middle_begins_a_whole_pass():
    env = environment(5)
    visited(env, 2)
    assert sorted(visited(env, 4)) == [0, 1, 2, 3, 4]


def test_without_labels_the_reward_is_zero():
    env = environment(1, labelled=False)
    env.reset()
    _, reward, *_, info = env.step(0)
    assert reward == 0
    assert info == {"accuracy": None, "agreement": None, "size_ratio": 1.0}


def test_functions_are_called_at_each_draw():
    opened = []

    def entry():
        opened.append(1)
        return FakeImage(0)

    env = Environment([entry], TWO, np.random.default_rng(0))
    visited(env, 3)
    assert len(opened) == 4


def test_no_images():
    with pytest.raises(ValueError, match="at least one image"):
        Environment([], TWO, np.random.default_rng(0))


@pytest.mark.parametrize("preset", ["paper", "authors"])
def test_live_equals_recorded(photos, photo_table, preset):
    table, config = Table.load(photo_table), PRESETS[preset]
    extractor, service = Extractor(threads=1), open_service("squeezenet", 1)
    for row in (0, 3, 5):
        photo = images.read(photos / table.images[row])
        live = LiveImage(photo, config, extractor, service)
        recorded = RecordedImage(table, row, config)
        np.testing.assert_allclose(live.state, recorded.state, rtol=1e-4, atol=1e-4)
        for action in (0, 4, 8, None):
            one, other = live.upload(action), recorded.upload(action)
            assert one.size == other.size
            assert [label.name for label in one.labels] == [label.name for label in other.labels]
            np.testing.assert_allclose(
                [label.score for label in one.labels],
                [label.score for label in other.labels],
                rtol=1e-3,
            )


@pytest.fixture(scope="module")
def ladder_table(photos, tmp_path_factory):
    """Three of these photographs at the rungs of `ladder`."""
    work = Labelling(photos, "squeezenet", LADDER, tmp_path_factory.mktemp("t") / "ladder.npz")
    work.left = ["chelsea.jpg", "clock.jpg", "microaneurysms.jpg"]
    work.run(None, lambda name: None)
    return work.finish()


@pytest.mark.parametrize("preset", ["tuned", "ladder"])
def test_live_equals_recorded_in_presets_of_drift(photos, photo_table, ladder_table, preset):
    config = PRESETS[preset]
    table = ladder_table if preset == "ladder" else Table.load(photo_table)
    extractor, service = Extractor(threads=1), open_service("squeezenet", 1)
    for name in ("chelsea.jpg", "clock.jpg"):
        (row,) = table.indices([name])
        live = LiveImage(images.read(photos / name), config, extractor, service)
        recorded = RecordedImage(table, row, config)
        assert live.state.shape == recorded.state.shape
        assert np.isfinite(recorded.state).all()  # all are open there, for training
        usable = np.isfinite(live.state[:, -1])
        closed = [e.format == "jpeg" and e.short_side is not None for e in config.encodings]
        assert usable.tolist() == [not each for each in closed]
        np.testing.assert_array_equal(live.state[usable, -1], recorded.state[usable, -1])
        np.testing.assert_allclose(live.state[usable], recorded.state[usable], rtol=1e-3, atol=1e-3)
        for action in np.flatnonzero(usable):
            assert live.upload(action).size == recorded.upload(action).size


class Colours:
    """In the place of E: mean and spread of red, green and blue in 25 cells."""

    def maps(self, views, resize, side):
        cells = np.stack(views).reshape(len(views), 5, side // 5, 5, side // 5, 3)
        numbers = np.concatenate([cells.mean((2, 4)), cells.std((2, 4))], axis=-1)
        return numbers.transpose(0, 3, 1, 2)  # [n, 6, 5, 5]


class Taking:
    """A service that takes these formats."""

    def __init__(self, *formats):
        self.formats = formats

    def label(self, payload):
        return [Label(str(len(payload)), 1.0)]


def scene(kind, height=210, width=330):
    rows, columns = np.mgrid[:height, :width]
    if kind == "noise":
        return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)
    grey = rows + columns if kind == "ramp" else (rows // 8 + columns // 8) % 2 * 200
    return np.repeat((grey % 256).astype(np.uint8)[:, :, None], 3, axis=2)


@pytest.mark.parametrize("formats", [("jpeg",), ("jpeg", "webp"), ("jpeg", "webp", "png")])
@pytest.mark.parametrize("kind", ["noise", "ramp", "squares"])
@pytest.mark.parametrize("size", [(210, 330), (40, 17), (1, 1)], ids=str)
def test_on_the_ladder_no_payload_costs_more_or_is_larger_than_what_it_stands_for(
    formats, kind, size
):
    pixels = scene(kind, *size)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    photo = images.read(stream.getvalue())
    image = LiveImage(photo, PRESETS["ladder"], Colours(), Taking(*formats))
    state = image.state
    assert state.shape == (len(LADDER), 19 + 4 + len(LADDER) + 2)
    usable = np.isfinite(state[:, -1])
    assert not np.isnan(state).any()
    assert np.isfinite(state[usable]).all()
    for action in np.flatnonzero(usable):
        name, payload = image.payload(action)
        assert len(payload) <= len(image.reference)
        assert state[action, -1] == np.float32(len(payload) / len(image.reference))
        assert image.upload(action).size == len(payload)
        assert name in (LADDER[action].name, "jpeg-q75", "original")
        if name != "original":
            height, width = images.decode(payload).shape[:2]
            assert (height <= size[0], width <= size[1]) == (True, True)
    rungs = [encoding.name for encoding, open_ in zip(LADDER, usable, strict=True) if open_]
    assert ("jpeg-160-q20" in rungs) == ("webp" not in formats)
    assert ("webp-160-q20" in rungs) == ("webp" in formats)
    assert "jpeg-q45" in rungs


def test_what_would_cost_more_than_the_reference_is_the_reference():
    image = LiveImage(images.read(noise_png()), PRESETS["tuned"], Colours())
    assert [image.payload(action)[0] for action in (0, 8, 9)] == ["jpeg-q5", "jpeg-q75", "jpeg-q75"]
    assert image.payload(9)[1] == image.reference
    assert image.state[6:, -1].tolist() == [pytest.approx(image.state[6, -1]), 1, 1, 1]
    paper = LiveImage(images.read(noise_png()), PRESETS["paper"], Colours())
    assert paper.payload(9)[0] == "jpeg-q95"  # as published


def test_recorded_too(make_table):
    table = make_table([[("dog",), ("cat",), ("cow",)]], [[120, 30, 100]])
    config = PRESETS["tuned"].replace(encodings=table.source.encodings)
    image = RecordedImage(table, 0, config)
    assert image.state[:, -1].tolist() == [1, np.float32(0.3)]
    assert image.upload(0) == image.upload(None) == Upload(100, [Label("cow", 0.5)])
    assert image.upload(1) == Upload(30, [Label("cat", 0.5)])
    paper = Config(encodings=table.source.encodings)
    assert RecordedImage(table, 0, paper).upload(0) == Upload(120, [Label("dog", 0.5)])


@pytest.mark.parametrize("preset", ["tuned", "ladder"])
def test_a_service_that_takes_no_action_s_format(preset):
    image = LiveImage(images.read(noise_png()), PRESETS[preset], Colours(), Taking("png"))
    with pytest.raises(images.ImageError, match="cannot be sent") as caught:
        image.state  # noqa: B018
    assert "\n" not in str(caught.value)


def noise_png():
    stream = io.BytesIO()
    Image.fromarray(scene("noise", 60, 90)).save(stream, "PNG")
    return stream.getvalue()


def test_an_image_too_long_for_webp_is_sent_in_another_way():
    """WebP has room for 16383 pixels a side, JPEG for 65500."""
    stream = io.BytesIO()
    Image.new("L", (17_000, 8)).save(stream, "PNG")
    image = LiveImage(
        images.read(stream.getvalue()), PRESETS["ladder"], Colours(), Taking("jpeg", "webp")
    )
    state = image.state
    assert np.isinf(state[[LADDER.index(Encoding("webp", None, 40))], -1])
    assert np.isfinite(state[[LADDER.index(Encoding("jpeg", None, 45))], -1])


class OfFormats:
    formats = ("webp",)

    def label(self, payload):
        return [Label(str(len(payload)), 1.0)]


def test_the_file_itself_is_sent_where_it_is_smaller_and_the_service_takes_its_format():
    pixels = np.zeros((64, 64, 3), np.uint8)
    pixels[::2] = 40
    file = images.encode(pixels, Encoding("jpeg", None, 5))
    photo = images.read(file)
    config = Config(encodings=(Encoding("jpeg", None, 95),))
    name, payload = LiveImage(photo, config, None).payload(0)
    assert (name, payload) == ("original", file)
    name, payload = LiveImage(photo, config, None, OfFormats()).payload(0)
    assert name == "jpeg-q95"
    assert len(payload) > len(file)


def test_an_image_without_a_service_is_not_uploaded(photos):
    with pytest.raises(TypeError, match="without a service"):
        LiveImage(images.read(photos / "clock.jpg"), TWO, None).upload(0)
