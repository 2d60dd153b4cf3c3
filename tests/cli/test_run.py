"""`adacompress run` in a process of its own, interrupted and killed: the log ends the same."""

import fcntl
import json
import os
import shutil
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from PIL import Image

from adacompress_ref.agents import monitor_of, new_agent
from adacompress_ref.cli.run import retrains
from adacompress_ref.core.config import AUTHORS
from adacompress_ref.core.controller import Controller
from adacompress_ref.running.state import load
from adacompress_ref.storage.arrays import load_arrays


def command(folder, state, *options):
    return [
        *(sys.executable, "-m", "adacompress_ref", "run", "--images", str(folder)),
        *("--service", "squeezenet", "--state", str(state), *options),
    ]


def run(folder, state, *options):
    return subprocess.run(command(folder, state, *options), capture_output=True, text=True)


def lines(path):
    return path.read_bytes().count(b"\n") if path.exists() else 0


def stop(folder, state, how, *options, after=1):
    """Start a run and send it a signal after some images. Returns its status and messages."""
    log = state / "log.jsonl"
    with subprocess.Popen(
        command(folder, state, *options),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        while lines(log) < after and process.poll() is None:
            time.sleep(0.002)
        process.send_signal(how)
        err = process.stderr.read()
        return process.wait(), err


def summary_of(out):
    return out[out.index(" images, ") :]


@pytest.mark.parametrize("options", [(), ("--untrained", "--seed", "3")])
@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_and_gone_on(photos, tmp_path, how, options):
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    uninterrupted = run(photos, whole, *options)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    status, err = stop(photos, parts, how, *options)
    assert 0 < lines(parts / "log.jsonl") < 12
    if how != signal.SIGKILL:
        assert status == 128 + how
        assert "run the same command to go on" in err
        assert "Traceback" not in err
    rest = run(photos, parts, *options)
    assert rest.returncode == 0, rest.stderr
    assert (parts / "log.jsonl").read_bytes() == (whole / "log.jsonl").read_bytes()
    assert summary_of(rest.stdout) == summary_of(uninterrupted.stdout)
    times = (parts / "times.jsonl").read_text().splitlines()
    timed = dict.fromkeys(json.loads(line)["image"] for line in times)  # killed in between: twice
    assert [*timed] == sorted(p.name for p in photos.glob("*.jpg"))
    assert "seconds" not in (parts / "log.jsonl").read_text()

    (fields, arrays), (others, other_arrays) = (
        load_arrays(state / "state.npz") for state in (whole, parts)
    )
    assert json.dumps(fields) == json.dumps(others)  # as text, where NaN equals NaN
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, other_arrays[name], name)
    if options:
        log = (whole / "log.jsonl").read_text().splitlines()
        states = [json.loads(line)["state"] for line in log]
        assert states == ["retrain"] * 12
        assert len(arrays["agent.replay.states"]) == 12


def test_stopped_twice(photos, tmp_path):
    run(photos, tmp_path / "whole")
    stop(photos, tmp_path / "parts", signal.SIGINT)
    first = lines(tmp_path / "parts" / "log.jsonl")
    stop(photos, tmp_path / "parts", signal.SIGKILL, after=first + 2)
    run(photos, tmp_path / "parts")
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_stopped_before_the_first_image(photos, tmp_path):
    state = tmp_path / "state"
    with subprocess.Popen(
        command(photos, state), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    ) as process:
        while not state.exists() and process.poll() is None:
            time.sleep(0.001)
        process.kill()
    assert run(photos, state).returncode == 0
    assert lines(state / "log.jsonl") == 12


@pytest.fixture(scope="module")
def finished(photos, tmp_path_factory):
    state = tmp_path_factory.mktemp("finished") / "state"
    assert run(photos, state).returncode == 0
    return state


@pytest.fixture
def state(finished, tmp_path):
    """A copy of the folder of a run that is over."""
    return shutil.copytree(finished, tmp_path / "state")


def test_all_is_done(photos, state):
    log = (state / "log.jsonl").read_bytes()
    done = run(photos, state)
    assert done.returncode == 0
    assert "12 images were done before, 0 are left" in done.stderr
    assert "12 images, 0 failed" in done.stdout
    assert (state / "log.jsonl").read_bytes() == log


def refused(done, text):
    assert done.returncode == 2
    assert done.stdout == ""
    assert text in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (["--seed", "1"], "its run has seed 0, now it is 1"),
        (["--alpha", "2"], "its run has no alpha, now it is 2.0; "),
        (["--preset", "authors"], "its run has preset 'tuned'"),
        (["--untrained"], "its run has untrained False"),
        (["--return-reward", "0.3"], "preset tuned has no r_th"),
    ],
)
def test_other_settings_are_refused(photos, state, options, text):
    refused(run(photos, state, *options), text)


def test_the_state_before_is_enough(photos, state):
    """Images learned since are learned from the log again, and nothing is uploaded."""
    (fields, arrays), log = load_arrays(state / "state.npz"), (state / "log.jsonl").read_bytes()
    (state / "state.npz").write_bytes(b"damaged")
    done = run(photos, state)
    assert "state.npz: damaged" in done.stderr
    assert "went on from state.previous.npz" in done.stderr
    assert "12 images were done before, 0 are left" in done.stderr
    assert (done.returncode, (state / "log.jsonl").read_bytes()) == (0, log)
    again, others = load_arrays(state / "state.npz")
    assert json.dumps(fields) == json.dumps(again)
    for name, value in arrays.items():
        np.testing.assert_array_equal(value, others[name], name)


def test_images_that_are_gone_are_not_learned_from_again(photos, state, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    (state / "state.npz").unlink()
    (folder / "brick.jpg").write_bytes((folder / "clock.jpg").read_bytes())
    log = (state / "log.jsonl").read_bytes()
    done = run(folder, state)
    assert "brick.jpg is not as it was when it was sent; the last 11 images are" in done.stderr
    assert "0 images were done before, 12 are left" in done.stderr  # another folder: looked at
    # brick.jpg has the bytes of clock.jpg now, which were sent
    assert (done.returncode, (state / "log.jsonl").read_bytes()) == (0, log)


def test_a_folder_in_use(photos, state):
    folder = os.open(state / "lock", os.O_RDWR)
    fcntl.flock(folder, fcntl.LOCK_EX)
    refused(run(photos, state), "in use by another run")
    os.close(folder)


def test_a_new_image_goes_on_the_list(photos, state, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    resized(photos / "clock.jpg", folder / "zebra.jpg")
    before = (state / "log.jsonl").read_bytes()
    done = run(folder, state)
    assert "13 are left" in done.stderr  # of which 12 have another time of change, and are known
    after = (state / "log.jsonl").read_bytes()
    assert after.startswith(before)
    assert json.loads(after[len(before) :])["image"] == "zebra.jpg"


def test_an_image_is_done_by_its_content(photos, state, tmp_path):
    folder = shutil.copytree(photos, tmp_path / "photos")
    resized(folder / "chelsea.jpg", folder / "clock.jpg")
    shutil.copy(folder / "chelsea.jpg", folder / "cat.jpg")
    (folder / "coffee.jpg").write_bytes(b"no image")
    before = (state / "log.jsonl").read_bytes()
    done = run(folder, state)
    assert (done.returncode, "14 images, 1 failed" in done.stdout) == (1, True)
    assert "sent under another name: 1; " in done.stderr  # cat.jpg is chelsea.jpg
    added = (state / "log.jsonl").read_bytes()[len(before) :].splitlines()
    assert [json.loads(line)["image"] for line in added] == ["clock.jpg", "coffee.jpg"]
    again = run(folder, state)
    assert (again.returncode, "13 images were done before, 0 are left" in again.stderr) == (0, True)
    assert "12 images were done before, 0 are left" in run(photos, state).stderr
    paid = run(folder, state, "--again")
    assert "14 images, 1 failed" in paid.stdout  # known already as they are


def resized(source, target):
    """Another photograph."""
    Image.open(source).resize((300, 200)).save(target)


def test_a_log_of_other_lines_is_refused(photos, state):
    (state / "state.npz").unlink()
    log = state / "log.jsonl"
    log.write_bytes(log.read_bytes().replace(b'"bytes_sent"', b'"bytes"', 1))
    refused(run(photos, state), "log.jsonl: damaged, after byte 0 line 1: has no bytes_sent")


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--untrained",)])
def test_sixty_photographs_interrupted_half_way(shared, tmp_path, options):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in sorted((shared / "data" / "imagenet").glob("*.[Jj][Pp]*"))[:60]:
        shutil.copy(path, folder)
    uninterrupted = run(folder, tmp_path / "whole", *options)
    assert uninterrupted.returncode == 0, uninterrupted.stderr
    status, _ = stop(folder, tmp_path / "parts", signal.SIGINT, *options, after=30)
    assert status == 130
    assert 30 <= lines(tmp_path / "parts" / "log.jsonl") < 60
    status, _ = stop(folder, tmp_path / "parts", signal.SIGKILL, *options, after=40)
    assert status == -signal.SIGKILL
    assert run(folder, tmp_path / "parts", *options).returncode == 0
    logs = [(tmp_path / name / "log.jsonl").read_bytes() for name in ("whole", "parts")]
    assert logs[0] == logs[1]


def test_r_th_is_the_user_s(few, tmp_path):
    """The agent of the state has it, and it must be the same at each return."""
    options = "--preset", "authors", "--return-reward", "0.3"
    assert run(few, tmp_path / "state", *options).returncode == 0
    controller = load(tmp_path / "state")[0]
    assert controller.agent.config.return_reward == controller.monitor.config.return_reward == 0.3
    refused(run(few, tmp_path / "state", "--preset", "authors"), "return_reward 0.3, now there is")


def test_a_retraining_says_what_it_waits_for():
    agent = new_agent(AUTHORS.replace(return_reward=0.5), np.random.default_rng(0))
    controller = Controller(agent, monitor_of(agent))
    controller.monitor.mean_reward = 0.25
    assert retrains(controller) == ""
    controller.state = "retrain"
    assert "mean reward, now 0.25, is above --return-reward 0.5" in retrains(controller)
    controller.initial = True  # which ends by its steps
    assert retrains(controller) == ""
