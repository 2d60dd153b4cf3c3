"""Grad-CAM: its pictures, its command, and Figure 7's claim."""

import io
import json
import shutil

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging import read as images
from adacompress_ref.report import heatmaps
from adacompress_ref.report.heatmaps import Explanation, overlay, sheet
from bench.paper import insight

# The picture -----------------------------------------------------------------------------------


def made(name, order, picture, heat=None):
    heat = np.linspace(-1, 1, 49).reshape(7, 7) if heat is None else heat
    level = f"jpeg-q{5 + 10 * order}"
    return Explanation(name, level, 0.5, level, order, heat, picture)


def texts(monkeypatch):
    """The list that every line of text drawn from now on is added to."""
    drawn = []
    write = heatmaps.ImageDraw.ImageDraw.text

    def note(self, place, text, *rest):
        drawn.append(text)
        write(self, place, text, *rest)

    monkeypatch.setattr(heatmaps.ImageDraw.ImageDraw, "text", note)
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
    warmth = warmth_of(picture[16 + 7, 16 : 16 + 240])  # of the scale: blue, grey, orange
    assert np.all(np.diff(warmth) >= 0)
    assert warmth[0] < -100 < 100 < warmth[-1]
    assert np.ptp(picture[16 + 7, 16 + 120]) <= 4
    assert {"-1 against it", "0", "1 for it", "chelsea.jpg", "jpeg-q15, Q = 0.500"} <= set(drawn)


def warmth_of(pixels):
    """Red less blue."""
    return np.asarray(pixels, float) @ [1, 0, -1]


def test_overlay_is_hot_where_the_heat_is_and_grey_where_there_is_none():
    heat = np.zeros((7, 7))
    heat[5, 1], heat[1, 5] = 1, -1
    warmth = warmth_of(overlay(Image.new("RGB", (70, 140), "grey"), heat))
    for found, row, column in ((warmth.argmax(), 110, 15), (warmth.argmin(), 30, 55)):
        place = np.unravel_index(found, (140, 70))
        assert abs(place[0] - row) <= 10 and abs(place[1] - column) <= 5
    assert not warmth[70].any() and not warmth[0, 0]


def test_the_sheet_begins_with_the_lowest_level(monkeypatch):
    drawn = texts(monkeypatch)
    colours = ("red", "lime", "blue", "white", "black")
    pairs = zip("abcde", (7, 0, 3, 0, 9), colours, strict=True)
    picture = sheet([made(name, order, Image.new("RGB", (9, 9), c)) for name, order, c in pairs])
    assert [text for text in drawn if len(text) == 1 and text.isalpha()] == list("bdcae")
    first = np.asarray(picture)[74 + 42 + 100, [16 + 100, 16 + 422 + 100, 16 + 2 * 422 + 100]]
    assert first.tolist() == [[0, 255, 0], [255, 255, 255], [0, 0, 255]]


@pytest.mark.parametrize(
    ("value", "verdict"),
    [(0.0, "nothing speaks for it or against it"), (-1.0, "nothing speaks for it"), (1.0, "")],
)
def test_no_support_is_said_in_words(monkeypatch, value, verdict):
    drawn = texts(monkeypatch)
    one = made("a", 0, Image.new("RGB", (400, 20), "grey"), np.full((7, 7), value))
    picture = np.asarray(sheet([one]))
    assert one.verdict == verdict
    assert "jpeg-q5, Q = 0.500" + (f"; {verdict}" if verdict else "") in drawn
    assert np.sign(warmth_of(picture[-20, -30])) == np.sign(value)  # under the heat


def test_a_long_name_is_shortened(monkeypatch):
    drawn = texts(monkeypatch)
    picture = Image.new("RGB", (9, 9))
    sheet([made("W" * 3000 + ".jpg", 0, picture), made("b", 1, picture)])
    (shown,) = [text for text in drawn if text.startswith("WW")]
    assert "..." in shown
    assert shown.endswith(".jpg")
    assert heatmaps.ImageFont.load_default(15).getlength(shown) <= 406


# The command -----------------------------------------------------------------------------------


@pytest.fixture
def few(tmp_path, photos):
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("chelsea.jpg", "clock.jpg"):
        shutil.copy(photos / name, folder)
    return folder


@pytest.mark.parametrize("preset", ["paper", "authors", "tuned", "ladder"])
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
        # of what survives in any case, nothing is the reason
        certain = preset in ("tuned", "ladder") and line["encoding"] == "jpeg-q75"
        assert np.max(np.abs(line["heat"])) == pytest.approx(0 if certain else 1)
    assert Image.open("h.png").format == "PNG"


def test_the_level_named_is_explained(adacompress, few):
    def explained(*options):
        status, out, _ = adacompress("explain", few / "clock.jpg", "-o", "h.png", *options)
        assert status == 0
        return out.split()

    assert explained("--level", "75")[1] == "jpeg-q75"
    assert explained("--level", "jpeg-q75") == explained("--level", "75")
    assert float(explained()[2]) > float(explained("--level", "5")[2])


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
    assert "2 of 4 images explained: h.png" in err
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
