"""The cross-validation, its intervals and its report, on small tables made by hand."""

import argparse
import dataclasses
import json

import numpy as np
import pytest

from adacompress_ref.agents import preset
from bench import tables
from bench.paper import adaptivity
from bench.paper.adaptivity import Problem

IMAGES = 40
PAIR = "jpeg-q5", "jpeg-q25"
CONFIG = preset("tuned").replace(encodings=PAIR, training_steps=60)
LADDER = preset("ladder").encodings


@pytest.fixture
def table(make_table):
    """Level 5 keeps the label of every second image; sizes are 20, 50 and 100 bytes."""
    labels = [[["a"] if n % 2 else ["b"], ["a"], ["a"]] for n in range(IMAGES)]
    made = make_table(labels, [[20, 50, 100]] * IMAGES)
    context = np.zeros((IMAGES, 9), np.float32)
    context[:, 0] = [int(name.split(".")[0]) % 2 for name in made.images]
    return dataclasses.replace(made, context=context * 10)


def numbers(rows, policy, alpha=1):
    (row,) = [row for row in rows if (row["policy"], row["alpha"]) == (policy, alpha)]
    return row


def test_numbers_by_hand(table):
    rows = adaptivity.compared("here", Problem(table, CONFIG), 1, (1,))
    # rewards: level 5: .5 - .2 = .3; level 25: 1 - .5 = .5; the oracle: 1 - (.2 + .5) / 2 = .65
    assert numbers(rows, "best fixed")["reward"][0] == pytest.approx(0.5)
    assert numbers(rows, "oracle")["reward"][0] == pytest.approx(0.65)
    assert numbers(rows, "oracle")["gap_captured"] == [1, 1, 1]
    random = numbers(rows, "random")
    assert random["agreement"][0] == pytest.approx(0.75)
    assert random["size_ratio"][0] == pytest.approx(0.35)
    assert random["reward_above_best_fixed"][0] == pytest.approx(-0.1)
    assert random["gap_captured"][0] == pytest.approx(-0.1 / 0.15, abs=1e-5)
    assert random["saving_vs_fixed"][0] == pytest.approx(0)  # on the line between both levels
    assert numbers(rows, "oracle")["saving_vs_fixed"][0] == pytest.approx(1 - 0.35 / 0.5)
    for row in rows:
        assert row["agreement"][1] <= row["agreement"][0] <= row["agreement"][2]


def test_an_agent_that_sees_what_matters_is_judged_on_what_it_has_not_seen(table):
    rows = adaptivity.compared("here", Problem(table, CONFIG.replace(training_steps=400)), 1, (1,))
    assert numbers(rows, "tuned")["gap_captured"][0] > 0.9


def test_the_same_seeds_give_the_same_numbers(table):
    first, again = (adaptivity.compared("here", Problem(table, CONFIG), 2, (1, 4)) for _ in "12")
    assert first == again
    assert {row["alpha"] for row in first} == {1, 4}


def test_images_of_one_photograph_stay_together(table):
    problem = Problem(table, CONFIG, [f"photograph {n // 4}" for n in range(IMAGES)])
    fold = problem.folds(0).reshape(-1, 4)
    assert (fold == fold[:, :1]).all()
    assert sorted(np.bincount(fold[:, 0])) == [2] * 5
    drawn = adaptivity.weights(problem.photographs).reshape(-1, IMAGES // 4, 4)
    assert (drawn == drawn[:, :, :1]).all()
    assert np.allclose(drawn.sum(axis=(1, 2)), 1)
    assert (drawn[0] == 1 / IMAGES).all()


def test_images_without_labels_are_left_out(make_table):
    labels = [[["a"], ["a"], ["a"]], [[], [], []], [["b"], ["a"], ["a"]]]
    problem = Problem(make_table(labels, [[1, 2, 4]] * 3), CONFIG)
    assert problem.rows.tolist() == [0, 2]
    assert problem.both[0].tolist() == [[1, 1], [0, 1]]
    (image,) = problem.images(np.array([1]))
    assert image.upload(0, False)[0].labels[0].name == "b"


def test_no_room_means_no_gap():
    assert adaptivity.summary(np.full(11, np.nan)) == [None, None, None]
    assert adaptivity.summary(np.array([2.0, *range(101)])) == [2, 2.5, 97.5]


def test_a_closed_rung_takes_no_part(make_table):
    count = len(LADDER)
    made = make_table([[["a"]] * (count + 1)] * 2, [[*range(1, count + 1), 30]] * 2, LADDER)
    problem = Problem(made, preset("ladder"))
    assert [LADDER[n] for n in np.flatnonzero(~problem.open)] == [
        name for name in LADDER if name.startswith("jpeg") and not name.startswith("jpeg-q")
    ]
    assert problem.reward(1).argmax(axis=1).tolist() == [10, 10]  # jpeg-q45, the smallest open one


def test_what_a_new_agent_needs(table, monkeypatch):
    monkeypatch.setattr(adaptivity, "UPLOADS", (2, 10, 24))
    curve = adaptivity.curve(Problem(table, CONFIG.replace(training_steps=24)), 0)
    assert len(curve) == 3
    assert curve[0] < -0.1  # level 5 for all

    options = argparse.Namespace(data=None)
    for curve, expected in ([-1, 0.1, 0], 10), ([0, -0.1, 0], 24), ([0, 0, -1], None):
        monkeypatch.setattr(adaptivity, "curve", lambda problem, seed, curve=curve: curve)
        monkeypatch.setattr(tables, "table", lambda *_: table)
        monkeypatch.setattr(adaptivity, "preset", lambda name: CONFIG)
        (row,) = adaptivity.untrained("squeezenet", options)
        assert row["equal_after"] == expected


def test_the_command_measures_what_is_there(table, monkeypatch, capsys):
    def there(service, scenery, data):
        if scenery in ("ladder", "night"):
            raise tables.Missing(f"no {scenery}")
        return table

    monkeypatch.setattr(tables, "table", there)
    monkeypatch.setattr(adaptivity, "preset", lambda name: CONFIG)
    monkeypatch.setattr(adaptivity, "UPLOADS", (10, 20))
    monkeypatch.setattr(adaptivity, "NEW_AGENTS", 2)
    asked = ["--service", "squeezenet", "--seeds", "1"]
    assert adaptivity.main([*asked, "--json"]) == 1
    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert {row["policy"] for row in report["imagenet"]} == {
        "tuned", "best fixed", "random", "oracle"
    }  # fmt: skip
    assert report["ladder"] == report["day_and_night"] == []
    assert "no ladder" in printed.err and "no night" in printed.err
    assert adaptivity.main(asked) == 1
    assert "fake               imagenet          oracle" in capsys.readouterr().out


def test_the_ladder_with_and_without_webp(make_table, monkeypatch):
    count = len(LADDER)
    made = make_table([[["a"]] * (count + 1)] * 10, [[*range(1, count + 1), 30]] * 10, LADDER)
    config = preset("ladder").replace(training_steps=20)
    monkeypatch.setattr(tables, "table", lambda *_: made)
    monkeypatch.setattr(adaptivity, "preset", lambda name: config)
    monkeypatch.setattr(adaptivity, "DRAWS", 20)
    options = argparse.Namespace(data=None, seeds=1)
    rows = adaptivity.ladder("squeezenet", options)
    sizes = {row["scenery"]: row["size_ratio"][0] for row in rows if row["policy"] == "oracle"}
    # the smallest JPEG of all; the smallest encoding where small JPEGs are closed
    assert sizes == pytest.approx({"ladder, JPEG only": 1 / 30, "ladder": 11 / 30}, abs=1e-5)
    assert [row["alpha"] for row in rows if "reaches" in row] == [1, 1]
