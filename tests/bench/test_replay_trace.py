"""Replaying recorded runs: the authors', one made up with a retraining, and damaged ones."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bench.paper import replay_trace

REPOSITORY = Path(__file__).resolve().parents[2]
GOLDEN = "authors_run_463.json"


def run(capsys, path):
    """Exit status, report or None, and standard error of the command."""
    status = replay_trace.main([str(path)])
    output, errors = capsys.readouterr()
    return status, json.loads(output) if output else None, errors


@pytest.fixture
def golden(shared):
    return json.loads((shared / "golden" / GOLDEN).read_text("utf-8"))


# A record by the authors' rules, written without the package -------------------------------------


def mean(values):
    return float(np.mean(values[-10:])) if values else float("nan")


def made_up(seed=0, steps=900):
    """A stream that turns difficult at step 200 and easy again at step 500."""
    draw = np.random.RandomState(seed)
    accuracies, rewards, means = [], [], []
    state, p_est, retrained, epsilon = 1, 0.2, 0, 0.0
    record = {name: [] for name in ("state", "accuracy", "reward", "p_est")}
    record |= {"recent_accuracy": [], "recent_reward": []}
    for step in range(steps):
        accuracy = int(draw.uniform() < (0.5 if 200 <= step < 500 else 0.97))
        reward = accuracy - draw.uniform(0.2, 0.5)
        recent, recent_reward = mean(accuracies), mean(rewards)
        row = (state, accuracy, reward, p_est, recent, recent_reward)
        for name, value in zip(record, row, strict=True):
            record[name].append(None if value != value else value)
        if state != 1:
            accuracies.append(accuracy)
            rewards.append(reward)
            means.append(recent)
        if state == 3:
            retrained += 1
            epsilon = 1.0 if retrained <= 128 else max(0.02, epsilon * 0.99)
            if recent_reward > 0.45 and recent > 0.8 and epsilon < 0.2:
                state, p_est = 1, 0.2
                accuracies, rewards, means = [], [], []
            continue
        if state == 2 and len(means) > 10:
            p_est = float(np.clip(p_est - 3 * np.gradient(means)[-1], 0.2, 0.95))
            if recent < 0.8:
                state = 3
                continue
        state = 2 if draw.uniform() < p_est else 1
    return record


def switches(record):
    """Pairs of states that follow each other, each once."""
    return set(zip(record["state"], record["state"][1:], strict=False))


@pytest.mark.parametrize("seed", range(5))
def test_a_made_up_run_with_a_retraining(seed, tmp_path, capsys):
    record = made_up(seed)
    assert {(2, 3), (3, 3), (3, 1), (1, 2), (2, 1), (2, 2)} <= switches(record)
    assert len(set(record["p_est"])) > 3  # it moves
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record))
    assert run(capsys, path) == (0, {"steps": 900, "mismatches": 0}, "")


def test_a_run_without_rewards_of_the_window_is_compared_in_the_rest():
    record = made_up()
    del record["recent_reward"]
    assert replay_trace.replay(record) == (900, [])


def test_windows_that_go_on_after_a_retraining_are_found():
    record = made_up()
    back = record["state"].index(1, record["state"].index(3))
    assert record["recent_accuracy"][back] is None
    record["recent_accuracy"][back] = 0.9
    mismatches = replay_trace.replay(record)[1]
    assert len(mismatches) == 1
    assert mismatches[0].startswith(f"step {back}: recent_accuracy nan, recorded 0.9")


@pytest.mark.parametrize("name", ["p_est", "recent_accuracy", "recent_reward"])
@pytest.mark.parametrize("change", [2e-9, 0.1])
def test_a_changed_value_is_found(name, change, tmp_path, capsys):
    record = made_up()
    record[name][150] += change
    path = tmp_path / "run.json"
    path.write_text(json.dumps(record))
    status, report, errors = run(capsys, path)
    assert (status, report) == (1, {"steps": 900, "mismatches": 1})
    assert errors.startswith(f"step 150: {name} ")
    assert errors.count("\n") == 1


def test_rounding_is_no_mismatch():
    record = made_up()
    record["p_est"][150] += 5e-10
    assert replay_trace.replay(record) == (900, [])


def test_a_changed_accuracy_changes_what_follows():
    record = made_up()
    step = record["state"].index(2)
    record["accuracy"][step] = 1 - record["accuracy"][step]
    assert len(replay_trace.replay(record)[1]) > 5


def test_a_retraining_against_the_rule_is_told_and_is_no_mismatch(capsys):
    record = made_up()
    stop = record["state"].index(2) + 1
    record = {name: values[: stop + 1] for name, values in record.items()}
    record["state"][stop] = 3
    assert replay_trace.replay(record) == (stop + 1, [])
    assert capsys.readouterr().err == (
        f"step {stop - 1}: the record goes to state 3, the rule not\n"
    )


# The authors' recorded run -----------------------------------------------------------------------


def test_the_recorded_run_of_the_authors(shared):
    command = [sys.executable, "-m", "bench.paper.replay_trace", shared / "golden" / GOLDEN]
    done = subprocess.run(command, capture_output=True, text=True, cwd=REPOSITORY)
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout) == {"steps": 463, "mismatches": 0}


@pytest.mark.parametrize("name", ["p_est", "recent_accuracy", "recent_reward"])
@pytest.mark.parametrize("step", [60, 300, 462])
def test_a_changed_value_in_the_recorded_run_is_found(golden, name, step):
    golden[name][step] += 1e-6
    steps, mismatches = replay_trace.replay(golden)
    assert (steps, len(mismatches)) == (463, 1)
    assert mismatches[0].startswith(f"step {step}: {name} ")


# Damaged files -----------------------------------------------------------------------------------


def without(name):
    record = made_up(steps=50)
    del record[name]
    return json.dumps(record)


def shorter(name):
    record = made_up(steps=50)
    record[name] = record[name][:20]
    return json.dumps(record)


DAMAGED = {
    "empty": "",
    "half": json.dumps(made_up(steps=50))[:500],
    "no object": "[1, 2]",
    "a number": "5",
    "no state": without("state"),
    "no accuracy": without("accuracy"),
    "no reward": without("reward"),
    "short": shorter("accuracy"),
    "short p_est": shorter("p_est"),
    "words": json.dumps(made_up(steps=50) | {"accuracy": ["good"] * 50}),
    "null": json.dumps(made_up(steps=50) | {"accuracy": [None] * 50}),
}


def assert_refused(capsys, path):
    status, report, errors = run(capsys, path)
    assert (status, report, errors.count("\n")) == (2, None, 1)
    assert errors.startswith(f"{path}: not a recorded run (")


@pytest.mark.parametrize("kind", DAMAGED)
def test_a_damaged_file_is_refused_in_one_line(kind, tmp_path, capsys):
    path = tmp_path / "run.json"
    path.write_text(DAMAGED[kind])
    assert_refused(capsys, path)


def test_no_text_a_folder_and_nothing_are_refused(tmp_path, capsys):
    (tmp_path / "run.json").write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "run.json", tmp_path, tmp_path / "none.json"):
        assert_refused(capsys, path)
