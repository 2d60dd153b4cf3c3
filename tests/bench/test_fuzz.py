"""The bench of damaged inputs: what it makes, and that it would see each sort of failure."""

import io
import json
import os
import re
import signal
import time
from functools import partial

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.imaging import read as images
from bench.robustness import fuzz
from bench.robustness.damage import general, kept, pictures


def photo(seed=0):
    return fuzz.photograph(np.random.default_rng(seed), None)


# What it makes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", fuzz.KINDS)
def test_cases_of_each_kind(kind, monkeypatch):
    monkeypatch.setattr(images, "PIXEL_LIMIT", 300_000)  # so that the largest are quick
    results = [fuzz.run_case(fuzz.Task(kind, number, fuzz.KINDS[kind])) for number in range(200)]
    assert [result for result in results if result.outcome == "failed"] == []
    assert {result.outcome for result in results} == {"typed_errors", "correct"}
    assert len({result.damage for result in results}) > 10


@pytest.mark.parametrize("kind", pictures.MODES)
def test_images_are_right_before_they_are_damaged(kind):
    rng = np.random.default_rng(0)
    for seed in range(40):
        variant, data = pictures.encoded(rng, kind, photo(seed))
        assert images.read(data).pixels.shape[2] == 3, variant
        assert b"".join(re.split(pictures.PARTS[kind], data)) == data
        assert images.read(pictures.mended(kind, data)).pixels.shape[2] == 3, variant


def test_an_interlaced_image():
    image = photo()
    read = Image.open(io.BytesIO(pictures.interlaced(image)))
    assert read.info["interlace"] == 1
    np.testing.assert_array_equal(np.asarray(read), np.asarray(image))


@pytest.mark.parametrize("kind", pictures.MODES)
def test_declared_sizes_are_below_and_above_the_limit(kind, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)  # Pillow's own limit
    rng, found = np.random.default_rng(0), []
    for _ in range(60):
        data = pictures.resized(rng, kind, pictures.encoded(rng, kind, photo())[1], 10**6)
        try:
            found.append(np.prod(Image.open(io.BytesIO(pictures.mended(kind, data))).size))
        except (OSError, ValueError):  # a side of 0
            continue
    assert min(found) < 10**6 < max(found) and len(set(found)) > 10


@pytest.mark.parametrize("kind", kept.FILES)
@pytest.mark.parametrize("preset", ["tuned", "paper"])
def test_files_are_right_before_they_are_damaged(kind, preset, tmp_path):
    for name, data in kept.written(kind, preset).items():
        (tmp_path / name).write_bytes(data)
    if (kind, preset) == ("recording", "paper"):
        with pytest.raises(fuzz.ServiceError, match="too small"):
            kept.read_recording(tmp_path)
    else:
        kept.FILES[kind][1](tmp_path)


def test_archives_get_past_the_checksum():
    rng = np.random.default_rng(0)
    data = kept.written("agent", "tuned")["agent.npz"]
    hows, checksums = [], []
    for _ in range(60):
        how, changed = general.rearranged(rng, data)
        hows.append(how.split()[0])
        with np.load(io.BytesIO(changed)) as archive:
            checksums.append("sha256" in str(archive["description"]))
    assert {"header", "gone", "bomb"} < set(hows)
    assert 10 < sum(checksums) < 50


def test_the_same_case_again():
    def case(kind, number, seed):
        return fuzz.run_case(fuzz.Task(kind, number, fuzz.KINDS[kind], seed))[:5]

    for kind in ("jpeg", "recording", "google"):
        first = case(kind, 3, 0)
        assert case(kind, 3, 0) == first
        assert first[2] not in (case(kind, 4, 0)[2], case(kind, 3, 1)[2])


def test_photographs_of_a_folder_are_taken(tmp_path):
    Image.new("RGB", (50, 30), "red").save(tmp_path / "red.png")
    rng = np.random.default_rng(0)
    seen = {fuzz.photograph(rng, tmp_path).getpixel((0, 0)) for _ in range(20)}
    assert (255, 0, 0) in seen and len(seen) > 1


# What it sees -------------------------------------------------------------------------------------


def planted(sort, rng, folder, photo):
    return f"planted {sort}", globals()[sort]


def correct():
    pass


def typed_errors():
    raise images.ImageError("one line")


def wrong_class():
    raise KeyError("a")


def wrong_result():
    general.expect(False, "no label")


def two_lines():
    raise images.ImageError("one\ntwo")


def long_message():
    raise images.ImageError("x" * 1001)


def no_message():
    raise images.ImageError


def hang():
    time.sleep(60)


def crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def memory():
    len(b"x" * 200_000_000)


FAILURES = {
    "wrong_class": "KeyError at test_fuzz.py:",
    "wrong_result": "Wrong at general.py:",
    "two_lines": "a message of 7 characters",
    "long_message": "a message of 1001 characters",
    "no_message": "a message of 0 characters",
    "hang": "no end within 3 s",
    "crash": "the process ended with status -11",
    "memory": " MB in memory",
}


@pytest.fixture
def plant(monkeypatch):
    """Kinds that end in one way each."""
    kinds = {
        sort: fuzz.Kind(partial(planted, sort), images.ImageError)
        for sort in ("correct", "typed_errors", *FAILURES)
    }
    monkeypatch.setattr(fuzz, "KINDS", kinds)
    monkeypatch.setattr(fuzz, "MEMORY_LIMIT", 250.0)


def run(capsys, *arguments):
    """Exit status and report of the command, with one worker."""
    status = fuzz.main([*arguments, "--workers", "1", "--time-limit", "3", "--json"])
    return status, json.loads(capsys.readouterr().out)


def test_each_sort_of_failure_is_seen_and_the_rest_goes_on(plant, capsys):
    sorts = ["hang", "correct", "crash", "memory", *list(FAILURES)[:5], "typed_errors"]
    status, report = run(capsys, "--cases", "10", "--kinds", *sorts)
    assert status == 1
    counts = [report[name] for name in ("inputs", "typed_errors", "correct", "failures")]
    assert counts == [10, 1, 1, 8]
    assert list(report["by_kind"]) == sorts
    assert report["by_kind"]["correct"] == {"inputs": 1, "typed_errors": 0, "correct": 1}
    assert report["by_kind"]["crash"] == {"inputs": 1, "typed_errors": 0, "correct": 0}
    assert report["slowest_seconds"] >= 3 and 250 < report["peak_megabytes"] < 1000
    assert len(report["failed"]) == 8
    for failure in report["failed"]:
        assert FAILURES[failure["kind"]] in failure["what"]
        assert failure["damage"] == f"planted {failure['kind']}"


def test_one_case_alone(plant, capsys):
    status, report = run(capsys, "--only", "correct:7")
    assert (status, report["inputs"], report["failures"]) == (0, 1, 0)
    status, report = run(capsys, "--only", "two_lines:7")
    assert (status, report["failed"][0]["number"]) == (1, 7)
    for wrong in ("correct", "correct:-1", "none:1"):
        with pytest.raises(SystemExit) as error:
            run(capsys, "--only", wrong)
        assert error.value.code == 2


def test_the_report_for_reading(plant, capsys):
    assert fuzz.main(["--only", "wrong_result:0", "--workers", "1"]) == 1
    text = capsys.readouterr().out
    assert "wrong_result" in text and "planted wrong_result" in text and "1 failures" in text


def test_real_kinds_in_workers(capsys):
    status, report = run(capsys, "--cases", "12", "--kinds", "jpeg", "state", "google")
    assert (status, report["inputs"], len(report["by_kind"])) == (0, 12, 3)
