"""The bench of faults: nothing is lost, and it would be seen."""

import pytest

from adacompress_ref.controller import Label
from adacompress_ref.pilot import AdaCompress
from bench import faults


@pytest.fixture(autouse=True)
def short(monkeypatch):
    monkeypatch.setattr(faults, "CROPS", 12)
    monkeypatch.setattr(faults, "HOLD", 1.0)
    monkeypatch.setattr(faults, "DEADLINE", 0.7)
    for wire in faults.Server(None).formats:
        for variable in wire.environment(""):
            monkeypatch.setenv(variable, "")  # to be put back


@pytest.mark.slow
def test_nothing_is_lost():
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
    monkeypatch.setattr(AdaCompress, "send_waiting", lambda self, service: iter(()))
    monkeypatch.setattr(faults, "PATIENCE", 0.1)
    monkeypatch.setattr(faults, "AWAY", 1.0)
    report = faults.measure(40, 0.4, 0)
    assert report["wrong_labels"] > 0
    assert report["wrong_accuracies"] > 0
    assert report["lost"] > 0


def test_images_sent_twice_are_seen(monkeypatch):
    judge = faults.Stream.judge
    monkeypatch.setattr(faults, "AWAY", 0.0)
    monkeypatch.setattr(faults.Stream, "judge", lambda *given: [judge(*given) for _ in "12"])
    assert faults.measure(4, 0.0, 0)["duplicated"] == 4
