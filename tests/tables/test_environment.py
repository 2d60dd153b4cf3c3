"""The environment: five values a step, passes without gaps, live equal to recorded."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref.core.config import LADDER, PRESETS, TEN_LEVELS, Config
from adacompress_ref.core.controller import Label, Upload
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.extractor import Extractor
from adacompress_ref.running.labelling import Labelling
from adacompress_ref.running.live import LiveImage
from adacompress_ref.services import open_service
from adacompress_ref.tables.environment import Environment, RecordedImage
from adacompress_ref.tables.table import Table

TWO = Config(encodings=TEN_LEVELS[:2])


class FakeImage:
    """Action 0 sends 20 bytes and keeps one label of two, action 1 sends 50 and keeps both."""

    def __init__(self, number, labelled=True):
        self.state = np.full(3, number, np.float32)
        self.labelled = labelled

    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None

    def one(self, action):
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
        pairs = [
            pair
            for action in (0, 4, 8)
            for pair in zip(live.upload(action, True), recorded.upload(action, True), strict=True)
        ]
        for one, other in pairs:
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
            assert live.upload(action, False)[0].size == recorded.upload(action, False)[0].size


def test_recorded_too(make_table):
    table = make_table([[("dog",), ("cat",), ("cow",)]], [[120, 30, 100]])
    config = PRESETS["tuned"].replace(encodings=table.source.encodings)
    image = RecordedImage(table, 0, config)
    assert image.state[:, -1].tolist() == [1, np.float32(0.3)]
    assert image.upload(0, True) == (Upload(100, [Label("cow", 0.5)]),) * 2
    assert image.upload(1, False) == (Upload(30, [Label("cat", 0.5)]), None)
    paper = Config(encodings=table.source.encodings)
    assert RecordedImage(table, 0, paper).upload(0, False)[0] == Upload(120, [Label("dog", 0.5)])
