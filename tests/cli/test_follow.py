"""`adacompress run --follow` and how commands stop, in processes of their own; `--check`."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest
from PIL import Image
from service_helpers import raw_server

from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import REFERENCE, Encoding
from adacompress_ref.services import open_service

PATIENCE = 60  # seconds for what takes a moment on an idle machine
KEYS = {"AWS_ACCESS_KEY_ID": "AKID", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


def started(*arguments, **variables):
    command = [sys.executable, "-m", "adacompress_ref", *map(str, arguments)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env={**os.environ, **variables}, **pipes)


def until(condition, process):
    end = time.monotonic() + PATIENCE
    while not condition():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < end
        time.sleep(0.02)


def stopped(process, how=signal.SIGTERM):
    """Seconds, status, output and messages."""
    process.send_signal(how)
    since = time.monotonic()
    out, err = process.communicate(timeout=PATIENCE)
    return time.monotonic() - since, process.returncode, out, err


def logged(state):
    log = state / "log.jsonl"
    return [json.loads(line) for line in log.read_text().splitlines()] if log.exists() else []


def test_a_folder_is_followed(photos, tmp_path):
    folder, state = tmp_path / "camera", tmp_path / "state"
    folder.mkdir()
    run = ("run", "--follow", "--images", folder, "--service", "squeezenet", "--state", state)
    with started(*run, "--every", "0.2", "--settle", "0.2") as process:
        until(lambda: (state / "lock").exists(), process)
        file = (photos / "clock.jpg").read_bytes()
        (folder / "b.jpg").write_bytes(file[: len(file) // 2])
        until(lambda: len(logged(state)) == 1, process)
        (folder / "b.jpg").write_bytes(file)
        (folder / "a").mkdir()
        shutil.copy(photos / "coffee.jpg", folder / "a" / "c.jpg")
        shutil.copy(photos / "coffee.jpg", folder / "a" / "the same.jpg")
        until(lambda: len(logged(state)) == 3, process)
        time.sleep(1)
        seconds, status, out, err = stopped(process)
    assert (status, seconds < 5) == (143, True)
    lines = logged(state)
    assert [line["error"] is None for line in lines] == [False, True, True]
    assert sorted(line["image"][0] for line in lines[1:]) == ["a", "b"]
    assert [line["number"] for line in lines] == [1, 2, 3]
    assert "2 images, 0 failed" in out
    assert err.count("following") == 1
    times = [json.loads(line) for line in (state / "times.jsonl").read_text().splitlines()]
    assert [line["at"][:2] for line in times] == ["20"] * 3
    again = subprocess.run(
        [sys.executable, "-m", "adacompress_ref", *map(str, run[:1] + run[2:])],
        capture_output=True,
        text=True,
    )
    assert (again.returncode, len(logged(state))) == (0, 3)


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_while_an_answer_hangs(photos, tmp_path, how):
    state = tmp_path / "state"
    with raw_server(lambda handler: time.sleep(PATIENCE)) as (url, requests):
        run = ("run", "--images", photos, "--service", "rekognition", "--state", state)
        with started(*run, **KEYS, AWS_ENDPOINT_URL=url) as process:
            until(lambda: requests, process)
            seconds, status, _, err = stopped(process, how)
    assert (status, seconds < 5, "Traceback" in err) == (128 + how, True, False)
    assert logged(state) == []


def test_label_stops_at_the_second_signal_and_says_so(photos, tmp_path):
    label = ("label", "--images", photos, "--service", "rekognition", "-o", tmp_path / "t.npz")
    with (
        raw_server(lambda handler: time.sleep(PATIENCE)) as (url, requests),
        started(*label, "--workers", "2", **KEYS, AWS_ENDPOINT_URL=url) as process,
    ):
        until(lambda: requests, process)
        process.send_signal(signal.SIGINT)
        time.sleep(0.5)
        seconds, status, _, err = stopped(process, signal.SIGINT)
    assert (status, seconds < 5, "Traceback" in err) == (130, True, False)
    assert "stopping after the work at hand" in err
    assert "stopped at once" in err


def test_label_stops_after_the_work_at_hand(few, tmp_path):
    table = tmp_path / "t.npz"
    label = ("label", "--images", few, "--service", "squeezenet", "-o", table, "--workers", "1")
    finished = tmp_path / "t.npz.partial"
    with started(*label) as process:
        until(lambda: list(finished.glob("*.npz")), process)
        _, status, _, err = stopped(process)
    kept = len(list(finished.glob("*.npz")))
    if status:  # not done by then
        assert (status, f"stopped; {kept} images are kept" in err) == (143, True)
    assert kept < 3


def test_two_labels_of_one_table_are_kept_apart(few, tmp_path):
    label = ("label", "--images", few, "--service", "rekognition", "-o", tmp_path / "t.npz")
    with (
        raw_server(lambda handler: time.sleep(PATIENCE)) as (url, requests),
        started(*label, **KEYS, AWS_ENDPOINT_URL=url) as process,
    ):
        until(lambda: requests, process)
        with started(*label, **KEYS, AWS_ENDPOINT_URL=url) as other:
            _, err = other.communicate(timeout=PATIENCE)
        assert (other.returncode, "in use by another run" in err) == (2, True)
        process.kill()


def test_the_true_agreement(adacompress, few, tmp_path):
    """Of every image, and the run is the one that it is without."""
    run = ("run", "--images", few, "--service", "squeezenet", "--json", "--state")
    status, plain, _ = adacompress(*run, "plain")
    assert status == 0
    status, out, _ = adacompress(*run, "checked", "--check")
    *lines, last = map(json.loads, out.splitlines())
    assert (status, lines) == (0, [json.loads(line) for line in plain.splitlines()][:-1])
    service, right = open_service("squeezenet"), []
    for line in lines:
        picture = images.read(few / line["image"]).picture
        sent = Encoding.parse(line["encoding"])
        best = []
        for encoding in (sent, REFERENCE):
            own = encoding is sent and line["answered_by"] == "compressed"
            best.append(service.label(codec.encode(picture, encoding, own_tables=own))[0].name)
        right.append(best[0] == best[1])
    assert (last["totals"]["checked"], last["totals"]["true_agreement"]) == (3, sum(right) / 3)
    status, out, _ = adacompress(*run[:-2], "--check")
    assert f"true agreement {sum(right) / 3:.3f} in 3 checked aside" in out.splitlines()[-1]


def test_a_paid_service_is_not_checked_unless_told(adacompress, few):
    status, _, err = adacompress("run", "--images", few, "--service", "baidu", "--check")
    assert (status, "add --pay-for-check" in err) == (2, True)


def test_an_old_failure_does_not_make_later_passes_fail(adacompress, few):
    (few / "bad.jpg").write_bytes(b"no image")
    run = ("run", "--images", few, "--service", "squeezenet", "--state", "state")
    assert adacompress(*run)[0] == 1
    status, out, _ = adacompress(*run)
    assert (status, "4 images, 1 failed" in out) == (0, True)
    (few / "bad.jpg").unlink()
    Image.open(few / "clock.jpg").rotate(90).save(few / "new.jpg")
    assert adacompress(*run)[0] == 0


def test_the_agent_of_a_run_begins_another(adacompress, few, tmp_path):
    run = ("run", "--images", few, "--service", "squeezenet", "--state")
    assert adacompress(*run, "first")[0] == 0
    assert adacompress(*run, "second", "--agent", "first")[0] == 0
    status, _, err = adacompress(*run, "third", "--agent", few)
    assert (status, "no agent can be taken from it" in err or "no such file" in err) == (2, True)


def test_a_report_does_not_overwrite_its_log(adacompress, few, tmp_path):
    assert adacompress("run", "--images", few, "--service", "squeezenet", "--state", "st")[0] == 0
    (tmp_path / "page.html").symlink_to(tmp_path / "st" / "log.jsonl")
    before = (tmp_path / "st" / "log.jsonl").read_bytes()
    status, _, err = adacompress("report", "st", "-o", "page.html")
    assert (status, "would overwrite an input" in err) == (2, True)
    assert (tmp_path / "st" / "log.jsonl").read_bytes() == before
    (tmp_path / "st" / "log.jsonl").unlink()  # rotated away: the totals are there still
    status, out, _ = adacompress("report", "st", "-o", "other.html", "--json")
    assert (status, json.loads(out)["images"]) == (0, 3)
