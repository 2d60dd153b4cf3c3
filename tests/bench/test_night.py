"""Simulated night: colours there and back, the statistics of its noise, crops, the command."""

import numpy as np
import pytest
from PIL import Image

from bench import night


def flat(value, side=200):
    return np.full((side, side, 3), value, np.uint8)


def test_colours_go_to_linear_light_and_back():
    levels = np.arange(256, dtype=np.uint8)
    light = night.to_linear(levels)
    assert light[0] == 0 and light[255] == 1
    assert light[188] == pytest.approx(0.503, abs=0.001)  # sRGB 188 is half the light
    assert np.array_equal(night.to_srgb(light), levels)


def test_full_exposure_keeps_the_photograph():
    dark = night.simulate(flat(128), 1.0, np.random.default_rng(0))
    assert abs(dark.astype(int) - 128).mean() < 4


@pytest.mark.parametrize("exposure", [1 / 8, 1 / 16])
def test_light_falls_by_the_exposure(exposure):
    dark = night.simulate(flat(200), exposure, np.random.default_rng(0))
    expected = night.to_linear(np.array([200]))[0] * exposure
    assert np.allclose(night.to_linear(dark).mean(axis=(0, 1)), expected, rtol=0.03)


def test_noise_is_shot_and_read_noise_times_the_gain():
    # In green, gain 1: 0.5 * 5000 * 1/8 = about 313 electrons, so sqrt(313 + 3 ** 2) of noise.
    light = night.to_linear(np.array([188]))[0]
    dark = night.simulate(flat(188), 1 / 8, np.random.default_rng(0))
    noise = night.to_linear(dark).std(axis=(0, 1)) * night.FULL_WELL
    for channel, gain in enumerate(night.WHITE_BALANCE):
        electrons = light / 8 * night.FULL_WELL / gain
        expected = gain * np.sqrt(electrons + night.READ_NOISE**2)
        assert noise[channel] == pytest.approx(expected, rel=0.05)


def test_red_is_noisier_than_green():
    noise = night.simulate(flat(188), 1 / 16, np.random.default_rng(0)).std(axis=(0, 1))
    assert noise[0] > noise[2] > noise[1]


def test_same_generator_same_night():
    photo = np.random.default_rng(1).integers(0, 256, (20, 30, 3), np.uint8)
    first, again = (night.simulate(photo, 1 / 8, night.generator(0, "a")) for _ in range(2))
    other = night.simulate(photo, 1 / 8, night.generator(0, "b"))
    assert first.dtype == np.uint8 and first.shape == photo.shape
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("exposure", [0, -1, 1.5, float("nan")])
def test_impossible_exposures_are_refused(exposure):
    with pytest.raises(ValueError, match="exposure"):
        night.simulate(flat(1, 2), exposure, np.random.default_rng(0))


def test_crops_are_parts_of_the_photograph():
    photo = np.arange(60 * 80, dtype=np.uint16).reshape(60, 80, 1).repeat(3, axis=2)
    rng = np.random.default_rng(0)
    sizes = set()
    for _ in range(50):
        part = night.crop(photo, rng)
        rows, columns = part.shape[:2]
        top, left = divmod(int(part[0, 0, 0]), 80)
        assert np.array_equal(part, photo[top : top + rows, left : left + columns])
        assert 24 <= rows <= 60 and abs(columns / rows - 80 / 60) < 0.1
        sizes.add(rows)
    assert len(sizes) > 20


def test_crop_of_one_pixel():
    assert night.crop(flat(7, 1), np.random.default_rng(0)).shape == (1, 1, 3)


def test_command_writes_a_night_copy(tmp_path, capsys):
    source, output = tmp_path / "day", tmp_path / "night"
    source.mkdir()
    Image.fromarray(flat(200, 32)).save(source / "a.jpg")
    (source / "b.jpg").write_bytes(b"not a picture")
    assert night.main(["--images", str(source), "--output", str(output)]) == 1
    assert [path.name for path in output.iterdir()] == ["a.jpg.png"]
    assert np.asarray(Image.open(output / "a.jpg.png")).mean() < 80
    shown = capsys.readouterr()
    assert "b.jpg" in shown.err and "1 photographs" in shown.out


def test_command_refuses_a_folder_that_is_not_there(tmp_path):
    with pytest.raises(SystemExit) as error:
        night.main(["--images", str(tmp_path / "none"), "--output", str(tmp_path / "x")])
    assert error.value.code == 2
