"""The bench of kills: an interrupted run ends as another one, and a difference would be seen."""

import os

import numpy as np
import pytest

from adacompress_ref.storage.arrays import save_arrays
from bench.robustness import crash


def test_a_difference_is_seen(tmp_path):
    fields, arrays = {"a": [1], "b": float("nan")}, {"x": np.zeros(3), "y": np.array([np.nan])}
    changed = [
        (fields | {"a": [2]}, arrays),
        (fields, arrays | {"x": np.array([0, 0, 1e-300])}),
        (fields, arrays | {"z": np.zeros(1)}),
    ]
    for number, given in enumerate([(fields, arrays), (fields, arrays), *changed]):
        save_arrays(tmp_path / f"{number}.npz", *given)
    files = [tmp_path / f"{number}.npz" for number in range(5)]
    assert [crash.same(files[0], file) for file in files] == [True, True, False, False, False]


@pytest.mark.slow
def test_killed_and_continued():
    environment = dict(os.environ)
    report = crash.measure(60, 10, 1)
    assert (report["log_equal"], report["agent_equal"], report["lines"]) == (True, True, 60)
    # each kill may cut off one image, of two uploads at most, whose answer nobody heard
    assert dict(os.environ) == environment
    assert 0 <= report["uploads_with_kills"] - report["uploads"] <= 20
