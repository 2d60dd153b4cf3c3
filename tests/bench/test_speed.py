"""The benches of speed: ratios by hand, and every row that is asked for. Times are not judged."""

import json
import sys

import numpy as np
import pytest

from bench.speed import footprint, latency, learning, ratios, throughput
from bench.speed.ratios import Row, ratio


def test_ratios_by_hand():
    ours = np.concatenate([np.full(10, 2.0), np.full(10, 6.0)])
    theirs = np.concatenate([np.full(10, 1.0), np.full(10, 2.0)])
    row = ratio("slower", ours, theirs, "<= 2")
    assert row.value == pytest.approx(4 / 1.5) and row.ok is False
    assert row.spread == pytest.approx((2.25, 2.75))  # quartiles of the turns' 2 and 3
    row = ratio("faster", theirs, ours, ">= 2")
    assert row.value == pytest.approx(4 / 1.5) and row.ok is True


def test_a_target_needs_a_value():
    assert Row("nothing", None, target="<= 1").ok is None
    assert Row("no target", 3.0).ok is None
    assert ratios.missing("a peer", "Keras", ">= 20").note == "Keras is not installed"


def test_turns_alternate_and_the_first_is_not_counted(monkeypatch):
    monkeypatch.setattr(ratios, "PAUSE", 0)
    calls = []
    jobs = {name: lambda name=name: calls.append(name) for name in "ab"}
    seconds = ratios.in_turns(jobs, 20)
    assert {name: len(values) for name, values in seconds.items()} == {"a": 20, "b": 20}
    turn = 1 + ratios.BLOCK  # one to warm
    assert calls == (["a"] * turn + ["b"] * turn) * 3


def test_the_exit_status_says_whether_a_target_is_missed(capsys):
    assert (
        ratios.show([Row("fine", 1.0, target="<= 2"), Row("absent", None, target="<= 2")], True)
        == 0
    )
    assert [row["ok"] for row in json.loads(capsys.readouterr().out)] == [True, None]
    assert ratios.show([Row("bad", 3.0, target="<= 2")], False) == 1
    assert "MISSED" in capsys.readouterr().out


def test_a_mosaic_has_its_size(photos):
    from adacompress_ref.imaging import read as images

    some = [images.read(photos / name).picture for name in ("coffee.jpg", "rocket.jpg")]
    assert images.read(latency.mosaic(some, (1000, 700))).picture.size == (1000, 700)


def rows_of(main, capsys, *arguments):
    assert main([*arguments, "--json"]) in (0, 1)
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        assert {"name", "value", "target", "ok"} <= row.keys()
        assert (row["value"] is None) == ("not installed" in row["note"])
    return {row["name"]: row for row in rows}


@pytest.mark.slow
def test_latency_has_every_row(capsys):
    rows = rows_of(latency.main, capsys, "--repetitions", "20")
    targets = [row["target"] for row in rows.values() if row["target"]]
    assert targets == [
        *("<= 1.15", "<= 1.35", "<= 1.6", "<= 4", ">= 20", "<= 20", ">= 4.5", "<= 1.25", "<= 2")
    ]
    for size in latency.SIZES:
        for preset in latency.PRESETS:
            assert rows[f"{size}: decision, {preset}"]["value"] > 0


@pytest.mark.slow
def test_learning_has_every_row(capsys):
    rows = rows_of(learning.main, capsys, "--repetitions", "20")
    targets = [row["target"] for row in rows.values() if row["target"]]
    assert targets == [">= 2", ">= 30", "<= 3"]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kibibytes on Linux alone")
def test_footprint_has_every_row(capsys):
    rows = rows_of(footprint.main, capsys, "--repetitions", "2")
    assert rows["peak memory of run, full memory of 2,000"]["value"] > 50
    assert rows["installed size"]["value"] > 50
    assert sum(row["target"] is not None for row in rows.values()) == 8


@pytest.mark.slow
def test_throughput_has_every_row(capsys):
    rows = rows_of(throughput.main, capsys, "--images", "4")
    assert {"label, 2 workers / 1", "compress, tuned, 2 workers / 1"} <= rows.keys()
