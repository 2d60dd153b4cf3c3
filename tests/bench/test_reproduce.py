"""Arithmetic of the figures, by hand, and a run of the command without pictures or data."""

import json

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.core.config import PAPER
from adacompress_ref.tables.evaluation import Measures
from bench.paper import reproduce
from bench.paper.figures import common, latency, levels, report, services, streams


def test_published_latency_follows_from_its_inputs():
    result = latency.published()
    # 42.68 KB * 8 bit / 12.35 ms = 27.647 Mbit/s; 18.46 KB * 8 / 27.647 = 5.342 ms.
    assert result["implied_mbit_per_s"] == pytest.approx(27.647, abs=0.001)
    assert result["transmission_ms"]["adacompress"] == pytest.approx(5.34, abs=0.005)
    assert result["overall_ms"]["conventional"] == pytest.approx(12.35)
    assert result["overall_ms"]["adacompress"] == pytest.approx(7.43, abs=0.005)
    # (42.68 - 18.46) * 8 / 2.09 = 92.71
    assert result["break_even_mbit_per_s"] == pytest.approx(92.71, abs=0.01)


def test_at_the_break_even_bandwidth_both_take_equally_long():
    link = latency.break_even(40, 20, 8)
    assert link == 20
    assert latency.transmission_ms(40, link) == latency.transmission_ms(20, link) + 8


def test_published_constants_are_those_of_the_golden_file(shared):
    golden = json.loads((shared / "golden" / "published.json").read_text("utf-8"))
    names = ("amazon_rekognition", "baidu_vision", "face_plus_plus")
    for ours, name in zip(services.PUBLISHED.values(), names, strict=True):
        theirs = golden["figure_9"]["services"][name]
        assert ours == {key: theirs[key] for key in ours}
    times = golden["latency_simulated_1080ti"]
    assert times["upload_kb"] == latency.PUBLISHED_KB
    assert times["transmission_ms"] == latency.PUBLISHED_TRANSMISSION_MS
    assert times["overall_ms"] == latency.PUBLISHED_OVERALL_MS
    assert times["decision_ms"]["adacompress"] == latency.PUBLISHED_DECISION_MS
    assert {str(q): kb for q, kb in levels.PUBLISHED_KB.items()} == golden["motivation_mean_kb"]
    for ours, theirs in zip(
        levels.PUBLISHED_TOP1.values(), golden["motivation_top1"].values(), strict=True
    ):
        assert {str(q): value for q, value in ours.items()} == theirs


def test_moving_mean_by_hand():
    assert np.allclose(common.moving_mean(np.array([1, 3, 5, 7]), 2), [1, 2, 4, 6])


def test_interval_of_equal_values_is_a_point():
    result = common.interval([np.ones(10), np.ones(10)], draws=50)
    assert result == {"mean": 1.0, "low": 1.0, "high": 1.0}


def test_interval_covers_the_mean_and_repeats():
    samples = [np.arange(10.0), np.arange(10.0) + 1]
    first = common.interval(samples, draws=200)
    assert first["mean"] == 5
    assert first["low"] < 5 < first["high"]
    assert first == common.interval(samples, draws=200)


def test_policy_leaves_out_images_without_labels():
    agreement = np.array([[1.0, 0.0], [np.nan, np.nan], [1.0, 1.0]])
    ratio = np.array([[0.5, 0.1], [0.5, 0.1], [0.5, 0.1]])
    measures = Measures(agreement, ratio, 1.0, 0.0)
    result = common.policy_intervals(measures, [(np.arange(3), np.array([1, 1, 0]))])
    assert result["agreement"]["mean"] == 0.5
    assert result["size_ratio"]["mean"] == pytest.approx(0.3)
    assert result["reward"]["mean"] == pytest.approx(0.2)


def test_histogram_counts_held_out_images_alone():
    agent = common.Trained(np.array([0, 1, 1, 2]), np.array([0]), np.array([1, 2, 3]))
    assert common.histogram([agent], 3) == pytest.approx([0, 2 / 3, 1 / 3])


def test_crops_of_a_photograph_stay_together():
    names = [f"{photo}-{visit}.png" for photo in range(10) for visit in range(4)]
    train, test = common.split_photographs(names, np.random.default_rng(0))
    assert len(test) == 8 and len(train) == 32
    assert not {names[row].split("-")[0] for row in train} & {
        names[row].split("-")[0] for row in test
    }


def small_table(make_table):
    """Twelve photographs; level 5 keeps the label of the first half of them."""
    labels = [[["a"] if n < 6 else ["b"], ["a"], ["a"]] for n in range(12)]
    return make_table(labels, [[20, 50, 100]] * 12)


SMALL = PAPER.replace(
    encodings=("jpeg-q5", "jpeg-q25"), training_steps=20, batch_size=8, learning_starts=4
)


def test_a_stream_visits_every_image_before_one_again(make_table):
    table = small_table(make_table)
    visits = streams.visited(table, [4, 7, 9], 7, np.random.default_rng(0))
    rows = [row for _, row in visits]
    assert sorted(rows[:3]) == sorted(rows[3:6]) == [4, 7, 9]
    assert len(visits) == 7 and all(place is table for place, _ in visits)


def test_an_agent_is_trained_once_and_kept(make_table, tmp_path, monkeypatch):
    bench, table = common.Bench(tmp_path, tmp_path), small_table(make_table)
    first = common.trained(bench, table, SMALL, 0)
    assert sorted([*first.train, *first.test]) == list(range(12)) and len(first.actions) == 12
    monkeypatch.setattr(common, "train_agent", None)  # nothing is trained any more
    again = common.trained(bench, table, SMALL, 0)
    assert np.array_equal(again.actions, first.actions)
    with pytest.raises(TypeError):
        common.trained(bench, table, SMALL.replace(gamma=0.5), 0)


@pytest.mark.parametrize("trained", [True, False])
def test_the_trace_of_a_run(make_table, trained):
    table = small_table(make_table)
    agent = common.train_agent(table, SMALL, np.arange(12), 0)
    if not trained:
        agent = common.agents.new_agent(SMALL, np.random.default_rng(0))
    visits = streams.visited(table, range(12), 12, np.random.default_rng(0))
    trace = streams.run(agent, trained, visits)
    assert (trace.state[0] == streams.STATES.index("retrain")) != trained
    assert trace.reference == [100] * 12
    for state, sent in zip(trace.state, trace.sent, strict=True):
        assert sent in ((20, 50) if state == 0 else (120, 150))
    for (_, row), sent, kept in zip(visits, trace.sent, trace.agreement, strict=True):
        number = int(table.images[row].removesuffix(".jpg"))
        assert kept == (number < 6 or sent % 100 == 50)


def trace(sent):
    count = len(sent)
    return streams.Trace([0] * count, sent, [100] * count, [True] * count, [1.0] * count, [0.2])


def test_figure_10_in_words():
    kept = [True] * 400 + [False] * 100 + [True] * 1050 + [False] * 450 + [True] * 1500
    count = len(kept)
    one = streams.Trace([0] * count, [30] * count, [100] * count, kept, [1.0] * count, [0.2])
    runs = [streams.summary(one), streams.summary(one._replace(sent=[50] * count))]
    for name, shown in (("tuned", "tuned, the default"), ("paper", "paper")):
        assert streams.in_words(name, runs) == (
            f"{shown}: 40% of the bytes of quality 75, references counted; "
            "agreement 0.95 by day, 0.70 by night"
        )


def test_break_even_of_a_training_by_hand():
    # 4 steps at 150 owe 200; steps at 50 pay 50 each: even after step 8, below from step 9 on.
    result = streams.upload_overhead(trace([150] * 4 + [50] * 8))
    assert result["break_even_step"] == 8  # counted from 0
    assert result["net_size_ratio"] == pytest.approx(1000 / 1200)
    assert result["later_size_ratio"] == 0.5


def test_break_even_beyond_the_stream_is_estimated():
    result = streams.upload_overhead(trace([150] * 4 + [50] * 2))
    # Still 100 owed after 6 steps. The last two steps send 50 of 100: two more.
    assert result["break_even_step"] is None
    assert result["break_even_estimate"] == 8


def test_missing_photographs_are_one_line_and_the_status_says_so(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduce, "pyplot", lambda: None)
    monkeypatch.setattr(reproduce, "Bench", lambda data: common.Bench(data, tmp_path / "cache"))
    arguments = ["--only", "slides", "--data", str(tmp_path / "no"), "--output", str(tmp_path)]
    assert reproduce.main(arguments) == 1
    assert "no such folder" in capsys.readouterr().err


def test_without_matplotlib_there_is_json_alone(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(reproduce, "pyplot", lambda: None)
    measure = ("latency", (lambda bench: latency.published(), None))
    monkeypatch.setattr(reproduce, "FIGURES", dict([measure]))
    assert reproduce.main(["--only", "latency", "--output", str(tmp_path)]) == 0
    assert (tmp_path / "latency.json").exists() and not (tmp_path / "latency.png").exists()
    assert "JSON only" in capsys.readouterr().err


def test_a_report_in_two_columns_is_cut_between_sections_and_between_lines():
    pixels = np.full((4000, 8), 255, np.uint8)
    for first, last in ((0, 1000), (1060, 1800), (1812, 2880), (2900, 4000)):  # text
        pixels[first:last] = 0
    found = np.asarray(report.columns(Image.fromarray(pixels).convert("RGB")))[..., 0] == 0
    # 1,831 rows a column; the cut is 20 rows below row 999, so the next text begins at row 41
    assert found.shape == (1831, 16)
    assert found[:, 0].nonzero()[0].tolist() == [*range(1000)]
    assert found[:, 8].nonzero()[0].tolist() == [*range(41, 781)]
