"""The bench of faults: nothing is lost, and it would be seen."""

import pytest

from adacompress_ref.core.roles import Label
from adacompress_ref.running.pilot import AdaCompress
from adacompress_ref.running.results import Result
from bench.robustness import faults


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(faults, "CROPS", 12)
    monkeypatch.setattr(faults, "HOLD", 1.0)
    monkeypatch.setattr(faults, "DEADLINE", 0.7)


@pytest.mark.slow
def test_nothing_is_lost(monkeypatch):
    monkeypatch.setattr(faults, "AWAY", 10.0)  # longer than all retries
    report = faults.measure(120, 0.3, 0)
    wrong = {name: report[name] for name in ("lost", "duplicated", "wrong_accuracies")}
    assert wrong == {"lost": 0, "duplicated": 0, "wrong_accuracies": 0}
    assert (report["uploads"], report["wrong_labels"]) == (120, 0)
    assert report["waited"] > 0
    assert sum(report["faults"].values()) > 5


def test_what_is_wrong_is_seen(monkeypatch):
    def untrue(self, payload):
        return [Label(str(len(payload)), 0.5)]

    monkeypatch.setattr(faults.Truth, "label", untrue)
    monkeypatch.setattr(faults, "AWAY", 0.0)
    report = faults.measure(40, 0.0, 0)
    assert (report["wrong_labels"], report["lost"]) == (40, 0)
    assert report["wrong_accuracies"] >= report["measured"] > 0


def test_what_is_lost_is_seen(monkeypatch):
    monkeypatch.setattr(AdaCompress, "upload", lambda *_, **named: Result(pending=True))
    monkeypatch.setattr(faults, "AWAY", 0.0)
    assert faults.measure(8, 0.0, 0)["lost"] == 8


def test_images_sent_twice_are_seen(monkeypatch):
    judge = faults.Stream.judge
    monkeypatch.setattr(faults, "AWAY", 0.0)
    monkeypatch.setattr(faults.Stream, "judge", lambda *given: [judge(*given) for _ in "12"])
    assert faults.measure(4, 0.0, 0)["duplicated"] == 4
