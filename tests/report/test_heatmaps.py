"""Grad-CAM: its gradient against two judges, its pictures, its command, and Figure 7's claim."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.core import equations
from adacompress_ref.core.config import PRESETS, Encoding
from adacompress_ref.core.qnetwork import QNetwork
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.extractor import pool, tensor
from adacompress_ref.report import heatmaps as explaining
from adacompress_ref.report.heatmaps import (
    Explanation,
    drift_gradient,
    map_gradient,
    overlay,
    sheet,
)
from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.views import drift
from bench.paper import insight

POOLINGS = ("global", "corner")


@pytest.fixture
def network():
    return QNetwork((6, 8, 5, 3), np.random.default_rng(0), np.float64)


@pytest.fixture
def feature_map():
    return np.random.default_rng(1).random((6, 7, 7))


# The gradient ----------------------------------------------------------------------------------


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("action", range(3))
def test_gradient_against_finite_differences(network, feature_map, pooling, action):
    def q_value(at):
        return network.q_values(pool(at[None], pooling))[0, action]

    expected = np.zeros_like(feature_map)
    for place in np.ndindex(feature_map.shape):
        step = np.zeros_like(feature_map)
        step[place] = 1e-5
        expected[place] = (q_value(feature_map + step) - q_value(feature_map - step)) / 2e-5
    found = map_gradient(network, feature_map, action, pooling)
    assert np.abs(expected).max() > 1e-4
    assert np.abs(found - expected).max() < 1e-9


@pytest.mark.parametrize("glance", [True, False])
@pytest.mark.parametrize("own_drift", [True, False])
def test_drift_gradient_against_finite_differences(own_drift, glance):
    """A sum of one row, with the payload's map moved cell by cell; all in the units of the row."""
    rng = np.random.default_rng(3)
    payload, image = rng.random((2, 24, 5, 5)) + 0.1  # [channels, rows, columns]
    payload[:6] *= 3
    config = PRESETS["tuned"].replace(own_drift=own_drift, glance=glance)
    weights = rng.normal(size=drift.row_length(config))
    itself, probe, centre = image.mean(axis=(1, 2)), *rng.random((2, 24))  # these stay

    def row(at):
        pooled = at.mean(axis=(1, 2))  # [channels]
        seen = [itself, probe if own_drift else pooled, centre]
        context = drift.context(seen[: 2 + glance], 0.5, 40)
        own = drift.drift(pooled, itself)[None].repeat(10, axis=0)
        return drift.rows(context, own, np.linspace(0.1, 1, 10), config)[1].astype(np.float64)

    found = drift_gradient(payload, image, drift.by_whole(weights, config))
    for place in [(0, 0, 0), (3, 2, 4), (5, 4, 1)]:
        step = np.zeros_like(payload)
        step[place] = 0.5  # rows are float32
        expected = weights @ (row(payload + step) - row(payload - step))
        assert abs(expected) > 1e-3
        assert found[place] == pytest.approx(expected, rel=0.02, abs=2e-5)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_gradient_against_pytorch(network, feature_map, pooling):
    torch = pytest.importorskip("torch", reason="PyTorch, the judge of gradients, is not here")
    at = torch.tensor(feature_map, requires_grad=True)
    corner = torch.nn.functional.avg_pool2d(at, 4)[:, 0, 0]  # what the authors' code keeps
    values = at.mean(dim=(1, 2)) if pooling == "global" else corner
    for depth, (weight, bias) in enumerate(zip(network.weights, network.biases, strict=True)):
        values = values @ torch.tensor(weight) + torch.tensor(bias)
        values = values.relu() if depth < len(network.weights) - 1 else values
    values[1].backward()
    found = map_gradient(network, feature_map, 1, pooling)
    assert np.abs(found - at.grad.numpy()).max() < 1e-12
    # AC-9 by PyTorch: weights [6], heat [7, 7]
    heat = (at.grad.mean(dim=(1, 2))[:, None, None] * at.detach()).mean(dim=0)
    assert heat.max() > 0
    assert np.allclose(equations.grad_cam(found, feature_map), (heat / heat.max()).numpy())


def test_a_cell_that_is_not_pooled_has_no_gradient(network, feature_map):
    gradient = map_gradient(network, feature_map, 0, "corner")
    assert np.all(gradient[:, :4, :4] != 0)
    assert not gradient[:, 4:].any()
    assert not gradient[:, :, 4:].any()


@pytest.mark.parametrize("pooling", POOLINGS)
def test_heat_by_hand(pooling):
    # Q(s, 0) = 3 s0 - s1; channel 0 is hot in one cell, channel 1 in another
    network = QNetwork((2, 1), dtype=np.float64)
    network.weights[0][:] = [[3], [-1]]
    feature_map = np.zeros((2, 7, 7))
    feature_map[0, 1, 2], feature_map[1, 6, 5] = 2, 3
    share = 1 / 49 if pooling == "global" else 1 / 16
    gradient = map_gradient(network, feature_map, 0, pooling)
    assert gradient[:, 0, 0].tolist() == pytest.approx([3 * share, -share])
    expected = np.zeros((7, 7))
    expected[1, 2], expected[6, 5] = 1, -0.5  # 3 * 2 = 6 is the maximum, -1 * 3 half of it
    assert np.allclose(equations.grad_cam(gradient, feature_map), expected)


# The picture -----------------------------------------------------------------------------------


def made(name, order, picture, heat=None):
    heat = np.linspace(0, 1, 49).reshape(7, 7) if heat is None else heat
    level = f"jpeg-q{5 + 10 * order}"
    return Explanation(name, level, 0.5, level, order, heat, picture)


def texts(monkeypatch):
    """The list that every line of text drawn from now on is added to."""
    drawn = []
    write = explaining.ImageDraw.ImageDraw.text

    def note(self, place, text, *rest):
        drawn.append(text)
        write(self, place, text, *rest)

    monkeypatch.setattr(explaining.ImageDraw.ImageDraw, "text", note)
    return drawn


def test_the_photograph_its_heat_scale_and_caption(photos, monkeypatch):
    drawn = texts(monkeypatch)
    photo = images.read(photos / "chelsea.jpg").picture
    photo = photo.resize((420, round(420 * photo.height / photo.width)))
    picture = np.asarray(sheet([made("cats/chelsea.jpg", 1, photo)]))
    height, side = photo.height, 420
    foot = picture.shape[0] - 16
    assert np.array_equal(picture[foot - height : foot, 16 : 16 + side], np.asarray(photo))
    heated = picture[foot - height : foot, 16 + side + 6 : 16 + 2 * side + 6].astype(float)
    grey = np.asarray(photo.convert("L"), float)
    assert np.corrcoef(heated.mean(axis=2).ravel(), grey.ravel())[0, 1] > 0.5
    scale = picture[16 + 7, 16 : 16 + 240].astype(float)
    lightness = scale @ [0.2126, 0.7152, 0.0722]
    assert np.all(np.diff(lightness) >= -0.5)
    assert scale[0].tolist() == [68, 1, 84]
    assert scale[-1].tolist() == [253, 231, 37]
    assert {"0", "0.5", "1", "chelsea.jpg", "jpeg-q15, Q = 0.500"} <= set(drawn)


def test_overlay_is_hot_where_the_heat_is():
    heat = np.zeros((7, 7))
    heat[5, 1] = 1
    found = np.asarray(overlay(Image.new("RGB", (70, 140), "grey"), heat), float)
    row, column = np.unravel_index(found[:, :, 1].argmax(), (140, 70))
    assert abs(row - 110) <= 10
    assert abs(column - 15) <= 5


def test_the_sheet_begins_with_the_lowest_level(monkeypatch):
    drawn = texts(monkeypatch)
    colours = ("red", "lime", "blue", "white", "black")
    pairs = zip("abcde", (7, 0, 3, 0, 9), colours, strict=True)
    picture = sheet([made(name, order, Image.new("RGB", (9, 9), c)) for name, order, c in pairs])
    assert [text for text in drawn if len(text) == 1 and text.isalpha()] == list("bdcae")
    first = np.asarray(picture)[74 + 42 + 100, [16 + 100, 16 + 422 + 100, 16 + 2 * 422 + 100]]
    assert first.tolist() == [[0, 255, 0], [255, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize("value", [0.0, -0.004])
def test_no_heat_at_all(value):
    sheet([made("a", 0, Image.new("RGB", (30, 20)), np.full((7, 7), value))])


def test_one_cell_far_below_leaves_the_others_their_colours(monkeypatch):
    drawn = texts(monkeypatch)
    heat = np.full((7, 7), 0.5)
    heat[0, 0], heat[6, 6] = -400, 1
    sheet([made("a", 0, Image.new("RGB", (30, 20)), heat)])
    assert {"-1 and below", "0", "1"} <= set(drawn)


def test_a_long_name_is_shortened(monkeypatch):
    drawn = texts(monkeypatch)
    picture = Image.new("RGB", (9, 9))
    sheet([made("W" * 3000 + ".jpg", 0, picture), made("b", 1, picture)])
    (shown,) = [text for text in drawn if text.startswith("WW")]
    assert "..." in shown
    assert shown.endswith(".jpg")
    assert explaining.ImageFont.load_default(15).getlength(shown) <= 406


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def few(tmp_path, photos):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("chelsea.jpg", "clock.jpg"):
        shutil.copy(photos / name, folder)
    return folder


@pytest.mark.parametrize("preset", ["paper", "authors", "tuned", "ladder", "fast"])
def test_explain_agrees_with_compress(adacompress, few, preset):
    status, out, _ = adacompress("explain", few, "-o", "h.png", "--preset", preset, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    _, out, _ = adacompress("compress", few, "--preset", preset, "--json")
    for line, other in zip(lines, map(json.loads, out.splitlines()), strict=True):
        names = ["image", "encoding", "chosen", "q_value", "heat", "error"]
        assert list(line) == names
        assert line["image"] == other["image"]
        assert line["chosen"] == line["encoding"] == other["encoding"]
        cells = 7 if preset in ("paper", "authors") else 5
        assert np.shape(line["heat"]) == (cells, cells)
        assert np.max(line["heat"]) == pytest.approx(1) or np.max(line["heat"]) <= 0
    assert Image.open("h.png").format == "PNG"


@pytest.mark.parametrize(("preset", "compressed"), [("fast", "jpeg-q5"), ("ladder", "jpeg-q45")])
def test_heat_of_drift_is_that_of_the_payload_seen(photos, preset, compressed, monkeypatch):
    """The maps of the payload and of the image, both as the state sees them, in this order."""
    handed, pilot = [], AdaCompress.load(preset, threads=1)
    gradient_of = explaining.drift_gradient

    def note(*arguments):
        handed.append((*arguments, gradient_of(*arguments)))
        return handed[-1][-1]

    monkeypatch.setattr(explaining, "drift_gradient", note)
    photo = images.read(photos / "coffee.jpg")
    names = [encoding.name for encoding in pilot.config.encodings]
    action = names.index(compressed if preset == "ladder" else "jpeg-q25")
    found = explaining.explain(pilot, photo, action)
    ((of_payload, of_image, by_drift, gradient),) = handed
    sent = codec.decode(codec.encode(photo.picture, Encoding.parse(compressed)), 160)
    for seen, at in ((sent, of_payload), (codec.reduced(photo.picture, 160), of_image)):
        expected = pilot.extractor.run(tensor(seen, "bilinear", 160)[None])[0]
        np.testing.assert_allclose(at, expected, rtol=1e-3, atol=1e-3)
    assert np.abs(by_drift).max() > 0
    np.testing.assert_allclose(found.heat, equations.grad_cam(gradient, of_payload))


def test_the_level_named_is_explained(adacompress, few):
    def explained(*options):
        status, out, _ = adacompress("explain", few / "clock.jpg", "-o", "h.png", *options)
        assert status == 0
        return out.split()

    assert explained("--level", "95")[1] == "jpeg-q95"
    assert explained("--level", "jpeg-q95") == explained("--level", "95")
    assert float(explained()[2]) > float(explained("--level", "95")[2])


def test_the_picture_on_standard_output(piped, few):
    status, out, err = piped(b"", "explain", few, "-o", "-")
    assert (status, Image.open(io.BytesIO(out)).format) == (0, "PNG")
    assert out[-8:-4] == b"IEND"  # and nothing else
    assert "2 of 2 images explained" in err


def test_the_others_are_done(adacompress, few):
    (few / "broken.jpg").write_bytes(b"no image")
    status, out, err = adacompress("explain", few, "no.jpg", "-o", "h.png", "--json")
    assert status == 1
    errors = [bool(json.loads(line)["error"]) for line in out.splitlines()]
    assert errors == [True, False, False, True]
    assert len([line for line in err.splitlines() if line.startswith("adacompress: ")]) == 2
    assert "2 of 4 images explained" in err
    Image.open("h.png").load()


def test_nothing_is_written_where_nothing_is_explained(adacompress, tmp_path):
    status, out, err = adacompress("explain", "no.jpg", "-o", "h.png")
    assert (status, out) == (1, "")
    assert err.startswith("adacompress: no.jpg: ")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ("few -o h.png --level 12", "jpeg-q5, jpeg-q15"),
        ("few -o h.png --level best", "jpeg-q5, jpeg-q15"),
        ("few -o nothing/h.png", "nothing"),
        ("few -o h.jpg", ".png"),
        ("few here.png -o few/../here.png", "overwrite an input"),
        ("few", "-o"),
        ("few -o h.png --agent few/clock.jpg", "clock.jpg"),
        ("few -o h.png --preset best", "best"),
    ],
)
def test_unusable_arguments(adacompress, few, tmp_path, arguments, match):
    Image.new("RGB", (8, 8)).save(tmp_path / "here.png")
    before = sorted(tmp_path.rglob("*"))
    status, out, err = adacompress("explain", *arguments.split())
    assert (status, out) == (2, "")
    assert match in err.strip().splitlines()[-1]
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("size", [(1, 1), (5000, 2), (2, 5000)])
def test_odd_images(adacompress, tmp_path, size):
    Image.new("RGB", size, "orange").save(tmp_path / "odd.png")
    assert adacompress("explain", "odd.png", "-o", "h.png")[0] == 0
    picture = np.asarray(Image.open("h.png").convert("RGB"))
    assert np.sum((picture == (255, 165, 0)).all(axis=2)) >= 144


# The claim behind Figure 7 (bench.paper.insight) -----------------------------------------------


def test_needed_level_by_hand(make_table):
    yes, no = ["a"], ["b"]
    table = make_table(
        # levels from low to high, the reference last
        [[yes, yes, yes], [yes, no, yes], [no, yes, yes], [yes, yes, []]],
        [[1, 2, 3]] * 4,
    )
    assert insight.needed_levels(table).tolist() == pytest.approx(
        [0, np.nan, 1, np.nan], nan_ok=True
    )


def test_block_measures_by_hand():
    pixels = np.zeros((17, 16, 3), np.uint8)  # the last row belongs to no block
    pixels[:8, :8:2] = 20  # of four blocks, one is half 20, half 0: variance 100
    pixels[16] = 255
    assert insight.block_measures(pixels) == (25, 0.75)


def test_correlations_by_hand():
    x, y = np.array([1.0, 2, 2, 4]), np.array([1.0, 3, 3, 100])
    assert insight.ranks(x).tolist() == [0, 1.5, 1.5, 3]
    assert insight.spearman(x, y) == pytest.approx(1)
    assert insight.spearman(x, -y) == pytest.approx(-1)
    assert insight.pearson(x, y) == pytest.approx(np.corrcoef(x, y)[0, 1])
