"""Streams whose scenery changes, on small made-up visits: no photographs, no services."""

import json
from types import SimpleNamespace

import numpy as np
import pytest

from adacompress_ref.core.controller import Controller
from adacompress_ref.imaging.extractor import CHANNELS
from adacompress_ref.survival import drift
from bench import scenery, visits
from bench.paper.figures import sceneries
from bench.paper.figures.sceneries import STATES, Part, Trace, measures
from bench.tables import Missing

CHANGING = (Part(("day",), 60), Part(("night",), 50), Part(("day", "night"), 40, other=True))


def made_up(count, seed, lost):
    """Visits whose labels survive above the quality number `lost` of each service."""
    rng = np.random.default_rng(seed)
    columns = len(visits.ENCODINGS) + 1
    size = 200 + 100 * np.arange(columns)
    labels = np.full((count, len(visits.SERVICES), columns, 5), "", "<U8")
    for place, level in enumerate(lost):
        labels[:, place, :level, 0], labels[:, place, level:, 0] = "wrong", "right"
    labels[0, :, -1] = ""  # a visit without labels
    return {
        "context": rng.normal(size=(count, drift.CONTEXT)).astype(np.float32),
        "bytes": (sizes := size + rng.integers(0, 20, (count, columns))),
        "own_bytes": sizes,
        "labels": labels,
        "scores": rng.random(labels.shape, np.float32),
        "features": rng.normal(size=(count, 2, 2, CHANNELS)).astype(np.float16),
        "photograph": np.array([f"{n % 12}.jpg" for n in range(count)]),
    }


@pytest.fixture
def pool(monkeypatch):
    """Visits, streams and trainings, all of them small."""
    sceneries = {"day": (30, 1, (2, 4)), "night": (24, 2, (12, 14)), "lowlight": (12, 3, (3, 3))}
    raw = {name: made_up(*of) for name, of in sceneries.items()}
    monkeypatch.setattr(visits, "collect", lambda name, data: raw[name])
    monkeypatch.setattr(visits, "Extractor", lambda threads: SimpleNamespace(sha256="of E"))
    short = {"night": CHANGING, "still": (Part(("day",), 40),)}
    monkeypatch.setattr(scenery, "STREAMS", short)
    full = scenery.configured

    def configured(name, alphas):
        return full(name, alphas).replace(training_steps=30)

    monkeypatch.setattr(scenery, "configured", configured)
    return raw


def make(pool, start="others"):
    return scenery.Bench(None, start, dict(scenery.ALPHAS))


def test_no_photograph_is_both_trained_on_and_streamed(pool):
    bench = make(pool)
    for name, other in (("day", "night"), ("night", "day"), ("lowlight", "lowlight")):
        seen = pool[name]["photograph"][bench.rows(name, 0, trained=True)]
        shown = pool[other]["photograph"][bench.rows(other, 0, trained=False)]
        assert len(seen) and len(shown) and not set(seen) & set(shown)
    assert len(scenery.halves(pool["day"]["photograph"], 0)) == 6
    assert scenery.halves(pool["day"]["photograph"], 0) != scenery.halves(
        pool["day"]["photograph"], 1
    )


@pytest.mark.parametrize(
    ("preset", "start", "seen"),
    [
        ("tuned", "others", {("day", "efficientnet-lite0"), ("night", "efficientnet-lite0")}),
        ("tuned", "same", {("day", "squeezenet"), ("night", "squeezenet")}),
        ("tuned", "untrained", set()),
        ("authors", "others", {("day", "squeezenet")}),
        ("authors", "untrained", {("day", "squeezenet")}),
    ],
)
def test_what_the_starting_agent_is_trained_on(pool, monkeypatch, preset, start, seen):
    trained = []
    genuine = scenery.trained_agent

    def trained_agent(config, images, rng):
        trained.extend(images)
        return genuine(config, images, rng)

    monkeypatch.setattr(scenery, "trained_agent", trained_agent)
    bench = make(pool, start)
    agent, is_trained = bench.agent(preset, "squeezenet", 0, np.random.default_rng(0))
    assert is_trained == (len(seen) > 0) and agent.epsilon == (0 if is_trained else 1)
    tables = {id(visit.table) for visit in trained}
    assert tables <= {id(p.visits[0].table) for p in bench.pools.values()}
    labelled = {
        (place, service)
        for (place, service, *_), one in bench.pools.items()
        if id(one.visits[0].table) in tables
    }
    assert labelled == seen
    assert len(trained) in (0, len({id(visit) for visit in trained}))


def test_what_is_delivered_counts(pool, monkeypatch):
    """Preset `tuned` in inference alone, at the lowest level: night labels are lost."""
    bench = make(pool)
    monkeypatch.setattr(Controller, "_go_on", lambda *_: None)
    agent, _ = bench.agent("tuned", "squeezenet", 0, np.random.default_rng(0))
    monkeypatch.setattr(type(agent), "act", lambda self, state: 0)
    run = scenery.stream(bench, "tuned", "night", "squeezenet", 0)
    trace = run["trace"]
    assert run["steps"] == {"inference": 150, "estimate": 0, "retrain": 0}
    assert set(trace.kept[:60][~np.isnan(trace.kept[:60])]) == {0}
    assert np.all(trace.sent < trace.reference)
    monkeypatch.setattr(type(agent), "act", lambda self, state: 3)
    run = scenery.stream(bench, "tuned", "night", "squeezenet", 0)
    # by day quality 35 keeps all; by night squeezenet loses it
    assert [part["agreement"] for part in run["parts"][:2]] == [1, 0]


def test_unlabelled_visits_are_sent_and_not_judged(pool):
    for raw in pool.values():
        raw["labels"][:10, :, -1] = ""
    bench = make(pool, "same")
    run = scenery.stream(bench, "tuned", "still", "squeezenet", 0)
    assert np.isnan(run["trace"].kept).any() and (run["trace"].sent > 0).all()
    assert 0 <= run["agreement"] <= 1


@pytest.mark.parametrize("name", ["tuned", "ladder", "authors", "paper"])
def test_a_run_repeats(pool, name):
    first, again = (
        scenery.stream(make(pool), name, "night", "efficientnet-lite0", 1) for _ in range(2)
    )
    for one, other in zip(first.pop("trace"), again.pop("trace"), strict=True):
        assert np.array_equal(one, other, equal_nan=True)
    assert first == again
    assert [change["step"] for change in first["changes"]] == [60, 110]


def test_presets_meet_the_same_stream(pool):
    bench = make(pool)
    runs = [scenery.stream(bench, name, "night", "squeezenet", 0) for name in ("tuned", "authors")]
    assert np.array_equal(runs[0]["trace"].reference, runs[1]["trace"].reference)


def trace(retrain, count=30, p_est=None):
    state = np.zeros(count)
    for start, end in retrain:
        state[start:end] = STATES.index("retrain")
    sizes = np.full(count, 50)
    chances = np.full(count, 0.03) if p_est is None else np.array(p_est)
    return Trace(state, sizes, 2 * sizes, np.ones(count), chances)


PARTS = (Part(("day",), 10), Part(("night",), 10), Part(("day",), 10))


def test_delays_and_false_alarms_by_hand():
    result = measures(trace([(4, 6), (13, 15), (17, 18), (20, 22)]), PARTS, [0.2, 0.1], 1.0)
    # 13 detects the change at 10; 20 is due to image 19, so it belongs to the second part
    assert [change["delay"] for change in result["changes"]] == [3, None]
    assert [change["loss"] for change in result["changes"]] == [0.2, 0.1]
    assert (result["retrainings"], result["false_alarms"]) == (4, 3)
    assert result["steps"] == {"inference": 23, "estimate": 0, "retrain": 7}
    assert (result["net_size_ratio"], result["reward"]) == (0.5, 0.5)


def test_a_start_with_another_service_is_a_change():
    result = measures(trace([(4, 6), (8, 9)]), PARTS, [0, 0], 1.0, adapts_at_start=True)
    assert result["false_alarms"] == 1


def test_rises_to_the_highest_chance_are_alerts():
    chances = [1.0] * 5 + [0.03] * 5 + [1.0] * 3 + [0.03] * 17
    assert measures(trace([], p_est=chances), PARTS, [0, 0], 1.0)["alerts"] == 2


def test_median_delay_counts_what_is_never_noticed():
    assert sceneries.median_delay([10, None, 20]) == 20
    assert sceneries.median_delay([10, None, None]) is None


def test_the_command(pool, capsys, tmp_path):
    picture = tmp_path / "scenery.png"
    arguments = ["--service", "squeezenet", "--preset", "tuned", "ladder", "--seeds", "2"]
    assert scenery.main([*arguments, "--stream", "night"]) == 0
    assert "night, squeezenet" in capsys.readouterr().out
    arguments += ["--json", "--alpha-tuned", "2"]
    if sceneries_can_be_drawn():
        arguments += ["--figure", str(picture)]
    assert scenery.main(arguments) == 0
    result = json.loads(capsys.readouterr().out)
    assert result["alphas"]["tuned"] == 2 and len(result["runs"]) == 8
    assert picture.exists() == sceneries_can_be_drawn()


def sceneries_can_be_drawn():
    from bench.paper.reproduce import pyplot

    return pyplot() is not None


def test_missing_visits_are_one_line(pool, capsys, monkeypatch):
    def collect(name, data):
        raise Missing("no: no such folder; name the photographs' folder with --data")

    monkeypatch.setattr(visits, "collect", collect)
    assert scenery.main([]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1
