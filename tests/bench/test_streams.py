"""Streams against what needs no agent: by hand on three images, and whole on made-up tables."""

import json

import numpy as np
import pytest

from adacompress_ref import agents
from adacompress_ref.agents import view_of
from adacompress_ref.tables.table import Table
from bench import comparison, streams, unlike
from bench.alternatives import IDEAL, Curve, Paths, calibrate, fixed_rungs, ideal, over
from bench.comparison import compared

# Four images of 100 bytes at quality 75, which the third rung is with tables of its own: 90 bytes.
#         cheap (10)   middle (40)   quality 75 (90)
KEPT = [
    [False, True, True],
    [True, True, True],
    [False, False, True],
    [True, True, True],
]
SIZES = [[10, 40, 90]] * 4


def one_stream(kept=KEPT, sizes=SIZES):
    return np.array([kept]), np.array([sizes]), np.full((1, len(kept)), 100)


def calibrated(goal, count, **arrays):
    (paths,) = calibrate(*one_stream(**arrays), [goal], count)
    return [float(values[0]) for values in paths]


# Calibration -----------------------------------------------------------------------------------


def test_a_rung_is_dropped_with_the_upload_that_is_one_too_many():
    # No loss of two is allowed. The cheap rung goes with the first image, the middle one is tried
    # on both and stays: references 200, trials 10 + 40 + 40, then 40 + 40.
    assert calibrated(1.0, 2) == pytest.approx([3 / 4, 3 / 4, 370 / 400, 2])


def test_what_is_lost_while_it_calibrates_the_client_does_not_miss():
    # One loss of two is allowed, and the cheap rung has one: trials 20, then 10 + 10. Of what it
    # chooses half is lost, of what the client gets the third image alone.
    assert calibrated(0.5, 2) == pytest.approx([1 / 2, 3 / 4, 240 / 400, 2])


def test_rungs_behind_the_one_chosen_cost_nothing():
    dearer = [[10, 4000, 90]] * 4
    assert calibrated(0.5, 2, sizes=dearer) == calibrated(0.5, 2)


def test_quality_75_is_what_is_left_and_is_not_tried():
    # of three images none may be lost: cheap goes with the first (10), middle with the third
    # (40 + 40 + 40); references 300, then quality 75 for 90
    assert calibrated(1.0, 3) == pytest.approx([1, 1, (300 + 10 + 120 + 90) / 400, 3])


@pytest.mark.parametrize(
    ("goal", "choice"), [(0.67, 1), (0.66, 3 / 4), (0.34, 3 / 4), (0.33, 1 / 2)]
)
def test_losses_are_counted_against_those_allowed(goal, choice):
    """On the first three images cheap loses two labels and middle one; 3 (1 - T) are allowed."""
    assert calibrated(goal, 3)[0] == choice


def test_streams_do_not_mix():
    first, second = one_stream(), one_stream(kept=[[True, True, True]] * 4)
    both = [np.concatenate(pair) for pair in zip(first, second, strict=True)]
    apart = [calibrate(*arrays, [1.0], 2)[0] for arrays in (first, second)]
    (together,) = calibrate(*both, [1.0], 2)
    for name in Paths._fields:
        joined = np.concatenate([getattr(each, name) for each in apart])
        assert getattr(together, name) == pytest.approx(joined)


def sizes_of_rungs(table, preset):
    return fixed_rungs(table, view_of(agents.preset(preset)), table.bytes).sizes[0].tolist()


def test_rungs_are_those_of_the_same_encoder_up_to_quality_75(make_table):
    encodings = ("jpeg-q95", "jpeg-q75", "jpeg-q55", "jpeg-q5", "jpeg-160-q20", "webp-160-q20")
    table = make_table([[("cat",)] * 7], [[150, 99, 70, 20, 15, 25, 100]], encodings)
    assert sizes_of_rungs(table, "tuned") == [20, 70, 99]
    # where the service takes WebP, a JPEG made smaller is not sent
    assert sizes_of_rungs(table, "ladder") == [20, 25, 70, 99]
    without = make_table([[("cat",)] * 3], [[30, 20, 100]], encodings[2:4])
    assert sizes_of_rungs(without, "tuned") == [20, 30, 100]  # the reference itself


# The ideal mixture and the comparison ----------------------------------------------------------


@pytest.mark.parametrize(
    ("goal", "net", "choice"),
    [
        (0.75, 0.4, 0.75),  # the middle rung alone
        (0.875, 0.65, 0.875),  # half of it and half quality 75: (40 + 90) / 2
        (0.625, 0.25, 0.625),  # (10 + 40) / 2
        (0.2, 0.1, 0.5),  # the cheap rung does more than is asked
    ],
)
def test_the_ideal_mixture(goal, net, choice):
    paths = ideal(*one_stream(), goal)
    assert [float(values[0]) for values in paths] == pytest.approx([choice, choice, net, 0])


def test_the_alternative_is_interpolated_at_the_same_client_agreement():
    curve = Curve(np.array([[0.9, 0.8, 1.0]] * 2), np.array([[0.4, 0.2, 0.8]] * 2))
    # half-way between .8 and .9 it sends .3; at .95 .6
    assert over(np.array([0.85, 0.95]), np.array([0.15, 0.9]), curve) == pytest.approx([-0.5, 0.5])
    # less than it ever keeps is compared with the least that it sends
    assert over(np.array([0.5, 1.0]), np.array([0.2, 0.8]), curve) == pytest.approx([0, 0])


def test_a_row_by_hand():
    paths = Paths(*np.array([[0.9, 0.84, 0.96], [0.92, 0.89, 0.97], [0.3, 0.5, 0.4], [3, 5, 4]]))
    flat = {
        name: Curve(np.array([[0.8, 1.0]] * 3), np.full((3, 2), net))
        for name, net in (("calibrate-50", 0.5), ("calibrate-100", 0.4), (IDEAL, 0.2))
    }
    shown = compared("agent", paths, flat, 0.9)
    expected = {
        "choice": 0.9,
        "choice_sd": 0.06,
        "client": 2.78 / 3,
        "reached": 2 / 3,
        "missed_by_05": 1 / 3,  # .84 < .85
        "references": 4,
        "net": 0.4,
        "over_calibrate_50": -0.2,
        "over_calibrate_100": 0,  # of -.25, .25 and 0
        "over_ideal": 1,
        "wins_100": 1 / 3,
    }
    assert {name: shown[name] for name in expected} == pytest.approx(expected)
    assert shown["intervals"].keys() == expected.keys()
    assert shown["spread"].keys() == {"over_calibrate_50", "over_calibrate_100", "over_ideal"}
    assert shown["intervals"]["net"] == pytest.approx([0.3, 0.5])  # P(3 times the same) is 1 / 27
    assert shown["spread"]["over_ideal"] == pytest.approx([0.525, 1.475])


# Whole -------------------------------------------------------------------------------------------

LENGTH, STREAMS = 120, 3


@pytest.fixture
def path(make_table, tmp_path, monkeypatch):
    """A table of 12 images: quality 5 keeps every second label, 15 and above keep all but one."""
    monkeypatch.setattr(comparison, "RESAMPLES", 20)
    streams.world.cache_clear()
    encodings = agents.preset("tuned").encodings  # quality 5, 15, 25, 35, 75
    right, wrong = ("cat", "wolf"), ("dog",)
    labels = [
        [right if n % 2 else wrong, wrong if n == 0 else right, right, right, right, right]
        for n in range(12)
    ]
    table = make_table(labels, [[20, 40, 60, 80, 100, 100]] * 12, encodings)
    made = tmp_path / "made-up.npz"
    table.save(made)
    return made


@pytest.fixture
def agent(path):
    """A function that writes an agent, trained on the images of these digests."""

    def write(*digests):
        made = agents.new_agent(agents.preset("tuned"), np.random.default_rng(0))
        stamp = view_of(made.config).stamp("sha of E")
        made.stamp = {"extractor": stamp, "trained_on": list(digests)}
        agents.save(made, path.with_name("agent.npz"))
        return path.with_name("agent.npz")

    return write


def bench(capsys, path, agent, *options):
    arguments = ["--table", path, "--agent", agent, "--length", LENGTH, "--streams", STREAMS]
    status = streams.main([str(each) for each in (*arguments, "--agreement", 0.9, *options)])
    out, err = capsys.readouterr()
    return status, out, err


def test_rows_of_a_table(capsys, path, agent):
    status, out, err = bench(capsys, path, agent("digest-0"), "--json")
    rows = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert "11 photographs, not trained on" in err
    assert [shown["rule"] for shown in rows] == ["agent", "calibrate-50", "calibrate-100", IDEAL]
    for shown in rows:
        said = {name: shown[name] for name in ("service", "preset", "agreement", "length")}
        assert said == {"service": "fake", "preset": "tuned", "agreement": 0.9, "length": LENGTH}
        assert (shown["photographs"], shown["held_out"], shown["streams"]) == (11, True, STREAMS)
    mine, _, hundred, mixture = rows
    assert 0 < mine["references"] < LENGTH and mine["net"] > 0
    assert mine["photographs_95"].keys() == {
        "over_calibrate_50",
        "over_calibrate_100",
        "over_ideal",
    }
    # quality 5 is dropped at its 11th loss of 100, and without the first image 15 loses nothing
    assert (hundred["choice"], hundred["client"], hundred["reached"]) == (1, 1, 1)
    assert 1 + 0.4 * 20 / LENGTH < hundred["net"] - 0.4 * 100 / LENGTH + 20 / LENGTH < 1.2
    assert mixture["choice"] == 0.9 and mixture["references"] == 0
    assert bench(capsys, path, agent("digest-0"), "--json")[1] == out  # repeatable


def test_images_that_were_trained_on_are_taken_where_there_are_no_others(capsys, path, agent):
    status, out, err = bench(capsys, path, agent(*(f"digest-{n}" for n in range(12))))
    assert status == 0
    assert "12 photographs, ALL OF THEM TRAINED ON" in err
    assert len(out.splitlines()) == 5


def test_what_is_larger_than_the_reference_is_sent_as_the_reference(make_table, path, agent):
    encodings = agents.preset("tuned").encodings
    table = make_table([[("dog",)] * 4 + [("cat",)] * 2], [[20, 130, 60, 80, 100, 100]], encodings)
    table.save(path)
    here = streams.world(streams.Task(str(path), str(agent()), 0.0))
    assert here.kept.tolist() == [[False, True, False, False, True]]
    assert here.rungs.sizes.tolist() == [[20, 60, 80, 100, 100]]
    assert here.rungs.kept.tolist() == [[False, False, False, True, True]]


def test_labels_below_a_score_are_no_answers(path):
    table = Table.load(path)
    table.scores[:3, -1, 1] = 0.2
    table.scores[3, -1] = 0.2
    said = table.answered(0.3)
    assert said.labels[0, -1].tolist() == ["cat", "", "", "", ""]
    assert (said.labels[3, -1] == "").all()
    assert (said.labels[4:] == table.labels[4:]).all()


@pytest.mark.parametrize(
    ("options", "fault"),
    [(("--min-score", 0.6), "no image has a label of score 0.6"), (("--table", "none"), "none: ")],
)
def test_what_cannot_be_used_is_said_in_one_line(capsys, path, agent, options, fault):
    status, out, err = bench(capsys, path, agent(), *options)
    assert (status, out.count("agent")) == (2, 0)
    assert fault in err and "Traceback" not in err


def test_a_table_without_the_agent_s_encodings(capsys, make_table, path, agent):
    make_table([[("cat",)] * 3], [[1, 2, 3]]).save(path)
    status, _, err = bench(capsys, path, agent())
    assert status == 2
    assert "without the encodings of tuned" in err and "no table has the encodings" in err


def test_settings_other_than_the_agent_s_own(capsys, path, agent):
    file = agent("digest-0")
    once, often = (
        json.loads(
            bench(capsys, path, file, "--json", "--set", f"p_0={p}", "p_min=0")[1].split("\n")[0]
        )
        for p in (0.0, 1.0)
    )
    assert once["settings"] == {"p_0": "0.0", "p_min": "0"}
    assert once["references"] <= often["references"]
    status, _, err = bench(capsys, path, file, "--set", "colour=1")
    assert (status, err.count("\n")) == (2, 1) and "--set colour" in err


# What is earned at a held alpha ------------------------------------------------------------------


def test_differences_are_paired_with_the_best_rung_of_each_stream():
    rewards = np.array([[0.5, 0.7], [0.2, 0.4]])
    fixed = np.array([[[0.4, 0.9], [0.6, 0.3]], [[0.1, 0.0], [0.1, 0.8]]])  # means .5 .6, .1 .4
    np.testing.assert_allclose(unlike.differences(rewards, fixed), [0.0, -0.1])


def test_a_row_of_rewards(capsys, path, agent):
    arguments = ["--table", path, "--agent", agent("digest-0"), "--length", 60, "--after", 20]
    assert unlike.main([*map(str, arguments), "--streams", "2", "--json"]) == 0
    row = json.loads(capsys.readouterr().out)
    assert (row["service"], row["alpha"], row["photographs"]) == ("fake", 1.0, 11)
    assert row["best_fixed"] == pytest.approx(1 - 0.4)  # quality 15 keeps all but digest-0
    assert row["reward"] - row["best_fixed"] == pytest.approx(row["difference"])
    low, high = row["interval"]
    assert low <= row["difference"] <= high < 0.0


def test_rewards_that_cannot_be_had_are_said_in_one_line(capsys, path, agent):
    status = unlike.main(["--table", str(path), "--agent", str(agent()), "--min-score", "0.99"])
    assert (status, capsys.readouterr().err.count("\n")) == (2, 1)
