"""The benches of speed: ratios by hand, and every row that is asked for. Times are not judged."""

import io
import json
import math
import os
import subprocess
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from bench.speed import (
    break_even,
    footprint,
    gateway,
    latency,
    learning,
    ratios,
    small_host,
    throughput,
)
from bench.speed.break_even import Cost
from bench.speed.link import Way
from bench.speed.ratios import Row, ratio


def test_ratios_by_hand():
    ours = np.concatenate([np.full(10, 2.0), np.full(10, 6.0)])
    theirs = np.concatenate([np.full(10, 1.0), np.full(10, 2.0)])
    row = ratio("slower", ours, theirs, "<= 2")
    assert row.value == pytest.approx(4 / 1.5) and row.ok is False
    assert row.spread == pytest.approx((2.25, 2.75))  # quartiles of the turns' 2 and 3
    row = ratio("faster", theirs, ours, ">= 2")
    assert row.value == pytest.approx(4 / 1.5) and row.ok is True


def test_what_is_beyond_a_peer_by_hand():
    ours = np.concatenate([np.full(10, 0.030), np.full(10, 0.034)])
    row = ratios.beyond("beyond", ours, np.full(20, 0.010), "<= 20")
    assert row.value == pytest.approx(22) and row.ok is False  # medians: 32 and 10 ms
    assert row.spread == pytest.approx((21, 23))  # quartiles of the turns' 20 and 24


def test_a_target_needs_a_value():
    assert Row("nothing", None, target="<= 1").ok is None
    assert Row("no target", 3.0).ok is None
    assert Row("of NumPy", np.float64(3.0), target=">= 2").ok is True
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


def test_json_has_no_infinity(capsys):
    rows = [Row("memory", math.inf, target="<= 512", spread=(1.5, math.inf)), Row("fine", 1.0)]
    assert ratios.show(rows, True) == 1

    def refused(name):
        raise AssertionError(name)

    first, second = json.loads(capsys.readouterr().out, parse_constant=refused)
    assert (first["value"], first["spread"], first["ok"]) == (None, [1.5, None], False)
    assert second["value"] == 1


def test_quartiles_next_to_what_has_no_limit():
    assert ratios.quartiles(np.array([1.0, 2.0, 3.0])) == (1.5, 2.5)
    assert ratios.quartiles(np.array([1.0, 2.0, 3.0, math.inf, math.inf])) == (2, math.inf)


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="of Linux")
def test_one_core_is_given_back():
    before = os.sched_getaffinity(0)
    with pytest.raises(KeyError), ratios.one_core():
        assert len(os.sched_getaffinity(0)) == 1
        raise KeyError
    assert os.sched_getaffinity(0) == before


def test_time_to_an_answer_by_hand():
    # 10 ms, 25 KB at 5 Mbit/s: 40 ms, a round trip of 50 ms, a service of 20 ms
    assert break_even.answered(Cost(0.01, 25_000), 5, 0.02) == pytest.approx(0.12)
    both = break_even.answered(Cost(0.01, 25_000), np.array([5, 50]), 0.02)
    assert both == pytest.approx([0.12, 0.084])


@pytest.mark.parametrize(
    ("cost", "expected"),
    [
        (Cost(0.03, 15_000), (0, 4)),  # 10 KB less in 20 ms more: 80,000 bits in .02 s
        (Cost(0.03, 25_000), (0, 0)),
        (Cost(0.03, 30_000), (0, 0)),
        (Cost(0.01, 30_000), (0, 0)),
        (Cost(0.01, 25_000), (0, 0)),  # the same
        (Cost(0.01, 15_000), (0, math.inf)),
        (Cost(0.005, 25_000), (0, math.inf)),
        (Cost(0.005, 30_000), (8, math.inf)),  # 5 KB more in 5 ms less
    ],
)
def test_break_even_by_hand(cost, expected):
    other = Cost(0.01, 25_000)
    low, high = break_even.break_even(cost, other)
    assert (low, high) == pytest.approx(expected)
    for rate in (0.01, 1, 3.9, 4.1, 7.9, 8.1, 1000):  # as the times say
        mine, theirs = (break_even.answered(each, rate, 0.02) for each in (cost, other))
        assert (theirs - mine > 1e-12) == (low < rate < high)


def test_the_headline_is_of_medians_and_its_quartiles_of_repetitions():
    cost = Cost(np.array([0.02, 0.03, 0.05]), 15_000.0)
    other = Cost(np.array([0.01, 0.01, 0.01]), 25_000.0)
    row = break_even.head("here", cost, other)
    assert row.value == pytest.approx(4) and row.unit == "Mbit/s"
    assert row.spread == pytest.approx((3, 6))  # of 8, 4, 2
    assert row.note == "computed: 15.0 KB, 30.0 ms against 25.0 KB, 10.0 ms"
    row = break_even.head("here", Cost(np.array([0.005]), 30_000.0), Cost(np.array([0.01]), 25e3))
    assert row.value == math.inf and row.note.startswith("above 8 Mbit/s alone; computed: ")


def test_a_policy_pays_for_its_references(monkeypatch):
    files = []
    for side in (64, 96):
        stream = io.BytesIO()
        Image.effect_noise((side, side), 60).convert("RGB").save(stream, "JPEG", quality=92)
        files.append(stream.getvalue())
    pilot = SimpleNamespace(choose=lambda file, service: SimpleNamespace(payload=file[:100]))
    service = SimpleNamespace(label=lambda payload: [])

    def in_turns(jobs, repetitions):
        for job in jobs.values():
            job()
        return {name: np.full(repetitions, place) for place, name in enumerate(jobs)}

    monkeypatch.setattr(break_even, "in_turns", in_turns)
    found, own = break_even.costs(files, {"tuned": pilot}, {"tuned": 0.25}, service, 3)
    always, fixed = found[break_even.ALWAYS], found[break_even.FIXED]
    level = break_even.LEVELS[break_even.ALWAYS]
    assert always.bytes == np.mean([len(break_even.at_level(file, level)) for file in files])
    assert fixed.bytes < always.bytes
    assert found["tuned"].bytes == pytest.approx(100 + always.bytes / 4)
    assert found["tuned"].seconds.tolist() == [2, 2, 2] and own == 3


def test_a_link_sends_one_after_the_other():
    way = Way(8000, 0.25)  # 1,000 bytes a second
    assert way.arrival(500, 10.0) == pytest.approx(10.75)
    assert way.arrival(1000, 10.0) == pytest.approx(11.75)  # waits for the first
    assert way.arrival(1000, 20.0) == pytest.approx(21.25)


def test_rates_by_hand():
    row = throughput.rate("rate", 60, np.array([1.0, 2.0, 3.0]))
    assert (row.value, row.unit) == (30, "/s") and row.spread == pytest.approx((25, 45))
    spent, other = np.array([1.0, 2.0, 4.0]), np.array([2.0, 3.0, 4.0])
    row = throughput.faster("faster", spent, other, ">= 1.5", "over it")
    assert row.value == 1.5 and row.ok is True and row.note == "over it"
    assert row.spread == pytest.approx((1.25, 1.75))  # of 2, 1.5, 1


def test_commands_alternate():
    calls = []
    seconds = {"a": 1.0, "b": 2.0}
    jobs = {name: lambda name=name: calls.append(name) or seconds[name] for name in seconds}
    assert {name: each.tolist() for name, each in throughput.in_turns(jobs, 2).items()} == {
        "a": [1, 1],
        "b": [2, 2],
    }
    assert calls == ["a", "b", "a", "b"]


def test_the_default_is_set_against_the_better_number_of_workers(monkeypatch, tmp_path):
    for number in range(6):
        (tmp_path / f"{number}.jpg").touch()
    spent = {"1 worker on one thread": 3.0, "1 worker": 1.0, "2 workers": 1.5, "default": 2.0}
    monkeypatch.setattr(throughput, "command", lambda name, way, photos, made: spent[way])
    rows = {row.name: row for row in throughput.ours("label", tmp_path, tmp_path, 2)}
    assert rows["label, 2 workers / 1"].value == 2 and rows["label, 2 workers / 1"].ok is True
    last = rows["label, default / the better of 1 and 2 workers"]
    assert (last.value, last.ok, last.note) == (0.5, False, "here 1")
    assert rows["label, default"].value == 3


def test_a_peer_that_is_missing_is_named(monkeypatch, tmp_path):
    (tmp_path / "0.jpg").touch()
    monkeypatch.setattr(throughput, "which", lambda tool: tool == "there")
    monkeypatch.setattr(throughput, "first_file", lambda photos, made: 0.5)
    peers = {"one": (lambda photos, made: 0.25, "there"), "other": (None, "absent")}
    monkeypatch.setattr(throughput, "PEERS", peers)
    one, other, first = throughput.beside(tmp_path, tmp_path, 1)
    assert (one.value, other.value, first.value) == (4, None, 0.5)
    assert other.note == "absent is not installed"


@pytest.mark.parametrize(("needed", "least"), [(100, 128), (128, 128), (2048, 2048), (2049, None)])
def test_the_least_limit_is_found(monkeypatch, needed, least):
    def run(call, **_):
        limit = int(call[-1].partition("RLIMIT_DATA, (")[2].partition(" ")[0])
        return SimpleNamespace(returncode=int(limit < needed))

    monkeypatch.setattr(subprocess, "run", run)
    assert small_host.allowance("pass") == (least or math.inf)


@pytest.mark.skipif(sys.platform != "linux", reason="RLIMIT_DATA counts such memory on Linux")
def test_memory_that_is_reserved_has_to_be_allowed():
    assert 320 <= small_host.allowance("import mmap; held = mmap.mmap(-1, 320 << 20, 2)") <= 384


def test_a_mosaic_has_its_size(photos):
    from adacompress_ref.imaging import read as images

    some = [images.read(photos / name).picture for name in ("coffee.jpg", "rocket.jpg")]
    assert images.read(latency.mosaic(some, (1000, 700))).picture.size == (1000, 700)


def rows_of(main, capsys, *arguments):
    assert main([*arguments, "--json"]) in (0, 1)
    rows = json.loads(capsys.readouterr().out)
    for row in rows:
        assert {"name", "value", "target", "ok"} <= row.keys()
        assert (row["value"] is None) == ("not installed" in row["note"]) or row["unit"] == "Mbit/s"
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
    assert sum(row["target"] is not None for row in rows.values()) == 6


@pytest.mark.slow
def test_throughput_has_every_row(capsys):
    rows = rows_of(throughput.main, capsys, "--images", "4")
    assert {"label, 2 workers / 1", "compress, tuned, 2 workers / 1"} <= rows.keys()
    peers = {name for name in rows if name.endswith("the same files as compress")}
    assert len(peers) == len(throughput.PEERS) and throughput.FIRST in rows


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="peak memory is in kibibytes on Linux alone")
def test_small_host_has_every_row(capsys):
    rows = rows_of(
        small_host.main, capsys, "--images", "4", "--repetitions", "2", "--logged", "200"
    )
    targets = [row["target"] for row in rows.values() if row["target"]]
    assert targets == [*("<= 150", "<= 0.6", "<= 150", "<= 512") * 2, "<= 150"]


@pytest.mark.slow
def test_break_even_has_every_row(capsys):
    rows = rows_of(
        break_even.main, capsys, "--stream", "12", "--repetitions", "4", "--uploads", "2"
    )
    names = list(rows)
    for size in latency.SIZES:
        for preset in break_even.PRESETS:
            for level in break_even.LEVELS:
                assert names.index(f"{size}: break-even, {preset} / {level}") < 3 * 4 * 2
            for rate in break_even.RATES:
                row = rows[break_even.title(size, rate, preset)]
                assert row["value"] > 50 and row["note"] == "computed"
    through = [row for name, row in rows.items() if name.endswith("through serve")]
    assert len(through) == len(break_even.MEASURED) * len(break_even.BY)
    assert all(row["note"].startswith("measured: 2, ") for row in through)


@pytest.mark.slow
def test_rows_of_the_gateway(capsys):
    rows = rows_of(gateway.main, capsys, "--repetitions", "10", "--images", "16", "--latency", "0")
    values = {name: row["value"] for name, row in rows.items()}
    ratio_of_rates = values["gateway, 8 clients"] / values["one pilot, 8 threads"]
    assert values["gateway, 8 clients / one pilot"] == pytest.approx(ratio_of_rates)
    assert all(values[name] > 0 for name in values if not name.startswith("gateway, one"))
