"""Estimated sizes beside true ones, on a few photographs."""

import json
import shutil

import numpy as np
import pytest

from adacompress_ref.imaging import codec
from bench import sizes


@pytest.fixture
def data(tmp_path, photos):
    folder = tmp_path / "imagenet"
    folder.mkdir()
    for name in ("chelsea.jpg", "coffee.jpg", "rocket.jpg"):
        shutil.copy(photos / name, folder)
    return tmp_path


def test_rows(data, capsys):
    assert sizes.main(["--data", str(data), "--count", "2", "--json"]) == 0
    rows = {row["name"]: row for row in map(json.loads, capsys.readouterr().out.splitlines())}
    assert {row["photographs"] for row in rows.values()} == {2}
    assert all(abs(row["mean"]) < 0.05 for name, row in rows.items() if name.startswith("ratio"))
    growths = [rows[f"growth, webp-q{quality}"]["mean"] for quality in codec.GROWTH]
    assert (np.diff(growths) > 0).all()
    assert growths[3] == 0  # quality 60 itself
    assert rows["quick, of a picture"]["mean"] == pytest.approx(np.log(codec.QUICK), abs=0.05)
    assert len(rows) == 4 + len(codec.GROWTH) + 2


def test_all_numbers_of_one_by_hand(photos):
    picture = codec.decode((photos / "coffee.jpg").read_bytes())
    found = dict(sizes.measured(picture))
    encoding = sizes.Encoding("jpeg", None, 15)
    own, reference = (
        len(codec.encode(picture, each, own_tables=own))
        for each, own in ((encoding, True), (sizes.REFERENCE, False))
    )
    rows = codec.sample(picture, 3)
    estimates = [
        codec.estimate(rows, picture.size, each, own)
        for each, own in ((encoding, True), (sizes.REFERENCE, False))
    ]
    expected = estimates[0] / estimates[1] - own / reference
    assert found["ratio, jpeg-q15"] == pytest.approx(expected)


def test_without_photographs_it_is_said_in_one_line(tmp_path, capsys):
    assert sizes.main(["--data", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith("bench.sizes: ")
