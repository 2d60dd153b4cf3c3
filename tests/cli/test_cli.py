"""The command line: what it prints, what it writes, how it refuses."""

import glob
import hashlib
import io
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from adacompress_ref import agents
from adacompress_ref.cli import common as commands
from adacompress_ref.cli import main as cli
from adacompress_ref.cli import run as commands_run
from adacompress_ref.cli import train as commands_train
from adacompress_ref.cli import weights
from adacompress_ref.core.roles import Label
from adacompress_ref.running import labelling, stream
from adacompress_ref.services import (
    AuthenticationError,
    ProtocolError,
    QuotaError,
    RefusedError,
    UnavailableError,
    open_service,
)
from adacompress_ref.storage import artifacts
from adacompress_ref.storage.arrays import load_arrays, save_arrays
from adacompress_ref.tables.table import Table

COMMANDS = ("compress", "label", "train", "evaluate", "run", "explain", "report")
COMMANDS += ("serve", "weights", "completion")


def records(out):
    return [json.loads(line) for line in out.splitlines()]


# Arguments -------------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_an_example(adacompress, command):
    status, out, err = adacompress(command, "--help")
    assert (status, err) == (0, "")
    assert f"example: adacompress {command}" in out


def test_the_examples_work_in_their_order(adacompress, few, tmp_path, monkeypatch):
    few.rename(tmp_path / "photos")
    monkeypatch.setenv("HOME", str(tmp_path))
    for command in COMMANDS:
        example = adacompress(command, "--help")[1].split("example: adacompress ")[1]
        if command == "serve":  # does not end: its own tests start it
            continue
        words = shlex.split(os.path.expanduser(example))
        words = [name for word in words for name in sorted(glob.glob(word)) or [word]]
        if ">>" in words:
            words = words[: words.index(">>")]
        if command == "train":
            words += ["--steps", "30"]  # for speed alone
        status, _, err = adacompress(*words)
        assert (command, status, err.count("adacompress: ")) == (command, 0, 0)


def test_help_of_all(adacompress):
    status, out, _ = adacompress("--help")
    assert status == 0
    assert all(command in out for command in COMMANDS)


def test_help_of_all_names_every_variable_of_the_environment(adacompress):
    _, out, _ = adacompress("--help")
    package = Path(cli.__file__).parents[1]
    text = "".join(path.read_text("utf-8") for path in package.rglob("*.py"))
    named = re.findall(
        r'environ(?:\.get\(|\.setdefault\(|\[)"(\w+)"|"((?:AWS|BAIDU|FACEPP|GOOGLE)_\w+)"', text
    )
    assert len(named) > 15
    assert {a or b for a, b in named} <= set(re.findall(r"\w+", out))


@pytest.mark.parametrize(
    ("arguments", "match"),
    [
        ("compress x.jpg --preset best", "best"),
        ("compress", "IMAGE"),
        ("nonsense", "nonsense"),
        ("train --images few -o x.npz", "--images and --service go together"),
        ("train -o x.npz", "--table --images"),
        ("train --table a --images b -o x.npz", "--images"),
        ("train --table a -o x.npz --test-share 0", "from 0.001 to 0.999"),
        ("train --table a -o x.npz --test-share 1", "from 0.001 to 0.999"),
        ("train --table a -o x.npz --test-share 0.5 --test-images few", "not allowed with"),
        ("train --table a -o x.npz --encodings jpeg-q5", "leave out --encodings"),
        ("train --table few/clock.jpg -o few/../few/clock.jpg", "would overwrite an input"),
        ("train --table a -o few/clock.jpg", "few/clock.jpg: exists and is no agent"),
        ("train --table a -o few", "few: a folder"),
        ("train --table a -o no/folder/a.npz", "no/folder/a.npz: there is no such folder"),
        ("label --images few --service squeezenet -o few", "few: a folder"),
        ("explain few -o folder.png", "folder.png: a folder"),
        ("compress few --seed 1", "--seed"),
        ("compress --quiet", "--files-from"),
        ("compress - few -", "read once"),
        ("compress - --files-from -", "read once"),
        ("compress few --csv --json", "not allowed with"),
        ("compress few --files-from few", "few: cannot be read as a list"),
        ("compress EMPTY", "images is empty"),
        ("compress few --dest EMPTY", "output is empty"),
        ("run --images few --service squeezenet --state EMPTY", "state is empty"),
        ("compress few -o few/clock.jpg", "few/clock.jpg: a file; name a folder with -o"),
        ("compress few -o - --json", "leave out --json"),
        ("compress few -o -", "one image, not 3"),
        ("compress - few", "one image, not 4"),
        ("explain few -o - --json", "leave out --json"),
        ("report few -o - --json", "leave out --json"),
        ("compress bare.jpg", "bare.jpg: no image in this folder ("),
        ("compress few --agent AGENT --preset authors", "an agent of preset paper"),
        ("explain few -o x.png --agent AGENT --preset authors", "an agent of preset paper"),
        ("evaluate --table few/clock.jpg --agent AGENT --preset authors", "clock.jpg"),
        ("run --images few --service squeezenet --untrained --agent AGENT", "not allowed with"),
        ("run --images few --service squeezenet --alpha 2 --agreement 0.9", "not allowed with"),
        ("weights verify squeezenet1_1.onnx", "only fetch takes a name"),
        ("weights list squeezenet1_1.onnx", "only fetch takes a name"),
        ("train --table a -o x.npz --steps many", "whole number, at least 1"),
        ("label --images few --service squeezenet -o t.npz --workers 0", "at least 1"),
        ("weights fetch best", "mobilenetv2-imagenet"),
        ("weights fetch", "mobilenetv2-imagenet"),
        ("compress few --agent nothing.npz", "nothing.npz"),
        ("compress few --agent few/clock.jpg", "clock.jpg"),
        ("label --images few --service nonsense -o t.npz", "there are: squeezenet"),
        ("label --images nothing --service squeezenet -o t.npz", "nothing"),
        ("label --images few --service squeezenet -o t.npz --encodings gif-q5", "gif-q5"),
        ("label --images few --service squeezenet -o t.npz --encodings jpeg-q5,jpeg-q5", "once"),
        ("label --images few --service onnx:none.onnx -o t.npz", "none.onnx"),
        ("run --images few --service nonsense", "there are: squeezenet"),
        ("run --images nothing --service squeezenet", "nothing"),
        ("run --images few --service squeezenet --agent nothing.npz", "nothing.npz"),
        ("train --table nothing.npz -o x.npz", "nothing.npz"),
        ("train --table few/clock.jpg -o x.npz", "clock.jpg"),
        ("train --images few --service nonsense -o x.npz", "there are: squeezenet"),
        ("evaluate --table nothing.npz", "nothing.npz"),
        ("evaluate --table few/clock.jpg", "clock.jpg"),
    ],
)
def test_unusable_arguments(adacompress, few, arguments, match):
    for name in ("bare.jpg", "folder.png"):
        Path(name).mkdir()
    arguments = arguments.replace("AGENT", str(artifacts.find("agent-paper.npz")))
    before = sorted(few.parent.rglob("*"))
    words = ["" if word == "EMPTY" else word for word in arguments.split()]
    status, out, err = adacompress(*words)
    assert sorted(few.parent.rglob("*")) == before
    assert (status, out) == (2, "")
    *before, last = err.strip().splitlines()
    assert match in last
    assert not before or before[0].startswith("usage: ")


@pytest.mark.skipif(not Path("/proc").is_dir(), reason="no folder that root cannot write")
@pytest.mark.parametrize(
    "arguments",
    [
        "train --table nothing.npz -o /proc/x.npz",
        "label --images nothing --service squeezenet -o /proc/x.npz",
        "explain few -o /proc/x.png --agent nothing.npz",
    ],
)
def test_a_folder_that_cannot_be_written_is_known_before_the_work(adacompress, few, arguments):
    status, _, err = adacompress(*arguments.split())
    assert (status, "its folder cannot be written" in err, err.count("\n")) == (2, True, 1)


# label, train, evaluate ------------------------------------------------------------------------

REPORT = ["images", "service", "alpha", "preset", "policies", "gap_captured", "saving_vs_fixed"]
FIXED = [f"fixed-{quality}" for quality in range(5, 100, 10)]
UNAIDED = ("mixture", "calibrate-50", "calibrate-100")


def test_the_chain(adacompress, few, tmp_path):
    label = ("label", "--images", few, "--service", "squeezenet", "-o", "t.npz")
    status, out, err = adacompress(*label, "--json", "--workers", 2)
    report = json.loads(out)
    assert (status, report["images"], report["failed"]) == (0, 3, {})
    assert "label 3/3, 0:00:00 left" in err
    table = (tmp_path / "t.npz").read_bytes()
    status, out, err = adacompress(*label)
    assert (status, "3 images were done before" in err) == (0, True)
    assert (tmp_path / "t.npz").read_bytes() == table
    assert "t.npz: 3 images, 10 encodings" in out

    train = ("train", "--table", "t.npz", "-o", "agent.npz", "--steps", 30, "--seed", 3)
    train += ("--preset", "paper")
    status, out, err = adacompress(*train, "--json")
    report = json.loads(out)
    assert (status, report["trained_on"], report["held_out"]) == (0, 2, 1)
    assert (report["agent"], report["preset"], report["steps"]) == ("agent.npz", "paper", 30)
    assert "train 30/30" in err
    agent = agents.load("agent.npz")
    assert len(agent.stamp["trained_on"]) == 2
    assert (agent.stamp["service"], agent.stamp["seed"]) == ("squeezenet", 3)
    first = (tmp_path / "agent.npz").read_bytes()
    status, out, _ = adacompress(*train)
    assert "trained on 2 images, 1 held out" in out
    assert (tmp_path / "agent.npz").read_bytes() == first

    evaluate = ("evaluate", "--table", "t.npz", "--agent", "agent.npz")
    status, out, _ = adacompress(*evaluate, "--json")
    tested = json.loads(out)
    assert status == 0
    assert [tested] == report["evaluation"]
    assert set(REPORT) <= set(tested)
    assert (tested["images"], tested["service"], tested["alpha"]) == (1, "squeezenet", 1)
    names = [policy["name"] for policy in tested["policies"]]
    assert names == [*FIXED, *UNAIDED, "random", "agent", "oracle"]
    for policy in tested["policies"]:
        assert {"name", "agreement", "size_ratio", "reward"} <= set(policy)
    status, out, _ = adacompress(*evaluate, "--alpha", 2)
    assert "alpha 2, preset paper" in out
    assert len(out.splitlines()) == 19
    assert f"({tested['best_fixed']}, chosen on training images)" in out
    assert "size ratio: the mean of the images' ratios" in out and "rows repeat" in out


def test_a_preset_of_fewer_levels_learns_from_a_table_of_more(adacompress, photo_table):
    train = ("train", "--table", photo_table, "-o", "tuned.npz", "--steps", 30)
    status, out, _ = adacompress(*train, "--json")
    report = json.loads(out)
    assert (status, report["preset"]) == (0, "tuned")
    agent = agents.load("tuned.npz")
    assert agent.config == agents.preset("tuned").replace(training_steps=30)
    status, out, _ = adacompress(
        "evaluate", "--table", photo_table, "--agent", "tuned.npz", "--json"
    )
    whole, few = (
        {policy["name"]: policy for policy in each["policies"]}
        for each in (json.loads(out), *report["evaluation"])
    )
    others = [*UNAIDED, "random", "agent", "oracle"]
    assert [*whole] == [*FIXED, *others]  # against all that the table has
    assert [*few] == [f"fixed-{q}" for q in (5, 15, 25, 35, 75)] + others
    for name in few.keys() - {*UNAIDED, "random", "oracle"}:
        assert whole[name] == few[name]


def test_a_table_of_before_is_for_the_paper_s_presets_until_it_is_labelled_again(
    adacompress, photo_table, photos, tmp_path
):
    description, arrays = load_arrays(photo_table)
    arrays.pop("own_bytes")
    arrays["drift"] = np.zeros((*arrays["bytes"][:, 1:].shape, 2), np.float32)
    save_arrays(tmp_path / "old.npz", description | {"format": 3}, arrays)
    for command in (("evaluate",), ("train", "-o", "a.npz", "--steps", "20")):
        status, _, err = adacompress(*command, "--table", "old.npz")
        assert status == 2
        assert re.fullmatch(
            r"adacompress: old\.npz: nothing for presets tuned .*`adacompress label`.*\n", err
        )
    status, out, _ = adacompress("evaluate", "--table", "old.npz", "--preset", "paper")
    assert (status, "tables of all rows: standard" in out) == (0, True)
    labelled = ("label", "--images", photos, "--service", "squeezenet", "-o", "old.npz", "--quiet")
    assert adacompress(*labelled)[0] == 0
    assert (tmp_path / "old.npz").read_bytes() == photo_table.read_bytes()
    status, out, _ = adacompress("evaluate", "--table", "old.npz")
    assert (status, "tables of all rows: own" in out) == (0, True)


def test_the_shipped_agent_is_evaluated_by_default(adacompress, photo_table, tmp_path):
    (tmp_path / "names").write_text("chelsea.jpg\n\ncoffee.jpg\n")
    for preset in ("paper", "authors", "tuned"):
        evaluate = ("evaluate", "--table", photo_table, "--preset", preset)
        status, out, _ = adacompress(*evaluate, "--json", "--test-images", "names")
        report = json.loads(out)
        assert (status, report["images"], report["preset"]) == (0, 2, preset)


@pytest.mark.parametrize("text", [b"nothing.jpg\n", b"\0\x01"])
def test_unknown_test_images(adacompress, photo_table, tmp_path, text):
    (tmp_path / "names").write_bytes(text)
    status, _, err = adacompress("evaluate", "--table", photo_table, "--test-images", "names")
    assert status == 2
    assert "nothing.jpg" in err or "cannot be read as a list" in err


def test_named_test_images_are_not_trained_on(adacompress, photo_table, tmp_path):
    (tmp_path / "names").write_text("chelsea.jpg\ncoffee.jpg\n")
    train = ("train", "--table", photo_table, "-o", "a.npz", "--steps", 5, "--json")
    status, out, _ = adacompress(*train, "--test-images", "names")
    assert (status, json.loads(out)["held_out"]) == (0, 2)
    table = Table.load(photo_table)
    held_out = {table.digests[row] for row in table.indices(["chelsea.jpg", "coffee.jpg"])}
    assert not held_out & set(agents.load("a.npz").stamp["trained_on"])
    (tmp_path / "names").write_text("")
    status, _, err = adacompress(*train, "--test-images", "names")
    assert (status, "names 0 of the 12 images" in err) == (2, True)


def test_label_lists_what_failed(adacompress, few):
    (few / "broken.jpg").write_bytes(b"no image")
    label = ("label", "--images", few, "--service", "squeezenet", "-o", "t.npz", "--workers", 1)
    status, out, err = adacompress(*label, "--json", "--encodings", "jpeg-q5,webp-64-q9")
    report = json.loads(out)
    assert (status, report["images"], list(report["failed"])) == (1, 3, ["broken.jpg"])
    assert report["encodings"] == ["jpeg-q5", "webp-64-q9"]
    assert "adacompress: broken.jpg: cannot be read" in err


# train, live ------------------------------------------------------------------------------------

LIVE = ("train", "--images", "few", "--service", "squeezenet", "--steps", 12, "--quiet")
LIVE += ("--encodings", "jpeg-q5,jpeg-q75")


def test_training_live(adacompress, few, tmp_path):
    (few / "broken.jpg").write_bytes(b"no image")
    status, out, err = adacompress(*LIVE, "-o", "live.npz", "--json")
    report = json.loads(out)
    assert status == 1  # the broken one; the others are done
    assert err.count("broken.jpg: cannot be read") == 1
    assert (report["trained_on"], report["held_out"], report["evaluation"]) == (2, 1, [])
    agent = agents.load("live.npz")
    assert agent.config.encodings == ("jpeg-q5", "jpeg-q75")
    assert len(agent.stamp["trained_on"]) == 2
    assert not (tmp_path / "live.npz.partial").exists()
    assert adacompress("compress", few / "clock.jpg", "--agent", "live.npz")[0] == 0


class Counting:
    """The bundled service; what follows so many answers is `then`."""

    name = "counting"

    def __init__(self, answers, then):
        self.inner, self.answers, self.then = open_service("squeezenet"), answers, then
        self.asked = 0

    def label(self, payload):
        self.asked += 1
        if self.asked > self.answers:
            self.then()
        return self.inner.label(payload)


def away_for_good():
    raise QuotaError("counting: paid up")


def killed():
    raise MemoryError  # as if the process ended: what is in memory alone is lost


@pytest.fixture
def counting(monkeypatch):
    def use(answers, then=lambda: None):
        service = Counting(answers, then)
        monkeypatch.setattr(commands_train, "open_named_service", lambda arguments: service)
        return service

    return use


@pytest.mark.parametrize("preset", ["tuned", "authors"])
@pytest.mark.parametrize(
    ("answers", "then", "status"),
    [
        (11, lambda: signal.raise_signal(signal.SIGINT), 130),
        (11, lambda: signal.raise_signal(signal.SIGTERM), 143),
        (10, away_for_good, 1),
        (10, killed, None),
    ],
    ids=["ctrl-c", "sigterm", "quota", "killed"],
)
def test_training_live_goes_on_where_it_was(
    adacompress, few, tmp_path, counting, monkeypatch, preset, answers, then, status
):
    """The same agent, and what is logged is not paid for twice."""
    monkeypatch.setattr(stream, "SAVE_EVERY", 2)
    live = (*LIVE, "--preset", preset, "-o")
    whole = counting(10**9)
    assert adacompress(*live, "whole.npz")[0] == 0
    first = counting(answers, then)
    if status is None:
        with pytest.raises(MemoryError):
            adacompress(*live, "parts.npz")
    else:
        ended, out, err = adacompress(*live, "parts.npz")
        assert (ended, out) == (status, "")
        assert "run the same command to go on" in err
    assert not (tmp_path / "parts.npz").exists()
    rest = counting(10**9)
    ended, _, err = adacompress(*live, "parts.npz")
    assert (ended, err) == (0, "")
    assert (tmp_path / "parts.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert not (tmp_path / "parts.npz.partial").exists()
    lost = 0 if status in (130, 143) else 2  # of the image at hand
    assert whole.asked <= first.asked + rest.asked <= whole.asked + lost


def test_an_image_without_an_answer_is_learned_from_later(adacompress, few, counting, monkeypatch):
    """It holds up nothing, and what others taught is kept."""
    monkeypatch.setattr(stream.time, "monotonic", lambda: 0.0)  # no waiting
    errors = [ProtocolError("counting: odd", False)] * 2

    def fail_once():
        if errors:
            raise errors.pop()

    counting(4, fail_once)
    status, _, err = adacompress(*LIVE, "-o", "a.npz")
    assert (status, err.count("left for another time"), err.count("\n")) == (0, 1, 1)


def test_the_folder_of_a_live_training_is_for_the_same_training(adacompress, few, counting):
    counting(9, away_for_good)
    assert adacompress(*LIVE, "-o", "a.npz")[0] == 1
    for options, match in (
        (("--seed", 1), "its run has seed 0"),
        (("--preset", "authors"), "its run has preset 'tuned'"),
        (("--test-images", "names"), "has learned from"),
    ):
        trained = json.loads(Path("a.npz.partial/log.jsonl").read_text().splitlines()[0])["image"]
        Path("names").write_text(trained)
        status, out, err = adacompress(*LIVE, "-o", "a.npz", *options)
        assert (status, out, err.count("\n")) == (2, "", 1)
        assert "a.npz.partial" in err and match in err


def test_training_on_a_table_leaves_the_folder_of_a_live_training(
    adacompress, few, counting, photo_table
):
    counting(9, away_for_good)
    assert adacompress(*LIVE, "-o", "a.npz")[0] == 1
    assert adacompress("train", "--table", photo_table, "-o", "a.npz", "--steps", 5)[0] == 0
    assert Path("a.npz.partial/log.jsonl").exists()


@pytest.mark.parametrize("broken", [True, False])
def test_nothing_to_learn_from_live(adacompress, few, monkeypatch, broken):
    if broken:
        for path in few.iterdir():
            path.write_bytes(b"no image")
    monkeypatch.setattr(Away, "label", lambda self, payload: [])
    monkeypatch.setattr(commands_train, "open_named_service", lambda arguments: Away())
    status, out, err = adacompress(*LIVE, "-o", "a.npz")
    assert (status, out) == (2, "")
    match = "no image can be used" if broken else "gave no label for any image"
    assert match in err.splitlines()[-1]


# run, in process -------------------------------------------------------------------------------


def test_run_for_people_and_on_return(adacompress, few, tmp_path):
    (few / "broken.jpg").write_bytes(b"no image")
    run = ("run", "--images", few, "--service", "squeezenet", "--state", "state")
    status, out, err = adacompress(*run)
    assert status == 1
    assert "4 images, 1 failed" in out
    assert "adacompress: broken.jpg: cannot be read" in err
    log = (tmp_path / "state" / "log.jsonl").read_bytes()
    status, out, err = adacompress(*run, "--json")
    (line,) = records(out)
    assert "4 images were done before, 0 are left" in err
    assert line["totals"]["images"] == 4
    assert (tmp_path / "state" / "log.jsonl").read_bytes() == log
    Image.open(few / "clock.jpg").rotate(180).save(few / "broken.jpg")  # fetched again
    status, out, err = adacompress(*run, "--json")
    line, totals = records(out)
    assert (status, line["image"], line["error"]) == (0, "broken.jpg", None)
    assert (totals["totals"]["images"], totals["totals"]["failed"]) == (4, 0)


def test_run_without_a_state_folder_prints_json(adacompress, few):
    status, out, _ = adacompress("run", "--images", few, "--service", "squeezenet", "--json")
    *lines, last = records(out)
    assert status == 0
    assert set(last) == {"totals"}
    file = (few / "chelsea.jpg").read_bytes()
    assert lines[0]["sha256"] == hashlib.sha256(file).hexdigest()
    assert [line["image"] for line in lines] == ["chelsea.jpg", "clock.jpg", "microaneurysms.jpg"]
    totals = last["totals"]
    assert totals["bytes_sent"] == sum(line["bytes_sent"] for line in lines)
    assert totals["reference_bytes"] == sum(line["reference_bytes"] for line in lines)
    assert totals["net_size_ratio"] == totals["bytes_sent"] / totals["reference_bytes"]
    ratios = [line["bytes"] / line["reference_bytes"] for line in lines]
    assert totals["size_ratio"] == pytest.approx(np.mean(ratios))
    assert totals["original_bytes"] == sum(path.stat().st_size for path in few.iterdir())
    assert sum(totals["states"].values()) == 3


def test_a_failed_image_has_all_fields_of_a_good_one(adacompress, few):
    (few / "broken.jpg").write_bytes(b"no image")
    (few / "link.jpg").symlink_to("nowhere.jpg")
    run = ("run", "--images", few, "--service", "squeezenet", "--json")
    broken, good, _, link, *_ = records(adacompress(*run)[1])
    assert list(broken) == list(link) == list(good)
    nulls = [name for name in good if name not in ("number", "image", "sha256", "error")]
    assert [broken[name] for name in nulls] == [link[name] for name in nulls] == [None] * len(nulls)
    assert broken["sha256"] == hashlib.sha256(b"no image").hexdigest()
    assert link["sha256"] is None


def test_only_failures(adacompress, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "x.jpg").touch()
    status, out, err = adacompress("run", "--images", "bad", "--service", "squeezenet")
    assert status == 1
    assert "1 images, 1 failed; none sent" in out
    assert "empty file" in err


def test_a_failed_start_leaves_the_state_folder_usable(adacompress, few):
    run = ("run", "--images", few, "--service", "squeezenet", "--state", "state")
    assert adacompress(*run, "--agent", "nothing.npz")[0] == 2
    status, _, err = adacompress(*run)
    assert status == 0, err


def test_the_state_knows_the_agent_by_its_content(adacompress, few, tmp_path):
    shipped = artifacts.find("agent-paper.npz")
    for name in ("a.npz", "b.npz"):
        shutil.copy(shipped, tmp_path / name)
    run = ("run", "--images", few, "--service", "squeezenet", "--state", "state", "--agent")
    assert adacompress(*run, "a.npz")[0] == 0
    assert adacompress(*run, "b.npz")[0] == 0
    assert adacompress(*run, "b.npz", "--preset", "paper")[0] == 0
    agent = agents.load(shipped)
    agent.network.parameters[0] += 1
    agents.save(agent, "a.npz")
    status, _, err = adacompress(*run, "a.npz")
    assert (status, "its run has agent" in err) == (2, True)


class Interrupting:
    """A service during whose second label a signal comes, `times` times."""

    name = "fake"

    def __init__(self, times, signal=signal.SIGINT):
        self.times, self.signal, self.calls = times, signal, 0

    def label(self, payload):
        self.calls += 1
        if self.calls == 2:
            for _ in range(self.times):
                signal.raise_signal(self.signal)
        return [Label(f"{len(payload)}", 0.5)]


@pytest.mark.parametrize(("times", "done"), [(1, 2), (2, 1)])
def test_ctrl_c_finishes_the_image_and_a_second_one_does_not(
    adacompress, few, tmp_path, monkeypatch, times, done
):
    monkeypatch.setattr(commands_run, "open_named_service", lambda arguments: Interrupting(times))
    monkeypatch.setattr(stream, "SAVE_EVERY", 1)
    handler = signal.getsignal(signal.SIGINT)
    run = ("run", "--images", few, "--service", "fake", "--state")
    status, _, err = adacompress(*run, "parts")
    assert signal.getsignal(signal.SIGINT) is handler
    assert (status, "stopped" in err) == (130, True)
    log = tmp_path / "parts" / "log.jsonl"
    assert len(log.read_text().splitlines()) == done

    monkeypatch.setattr(commands_run, "open_named_service", lambda arguments: Interrupting(0))
    assert adacompress(*run, "parts")[0] == 0
    assert adacompress(*run, "whole")[0] == 0
    assert log.read_bytes() == (tmp_path / "whole" / "log.jsonl").read_bytes()


def test_sigterm_finishes_the_image(adacompress, few, tmp_path, monkeypatch):
    service = Interrupting(1, signal.SIGTERM)
    monkeypatch.setattr(commands_run, "open_named_service", lambda arguments: service)
    handler = signal.getsignal(signal.SIGTERM)
    run = ("run", "--images", few, "--service", "fake", "--state", "state")
    status, _, err = adacompress(*run)
    assert (status, "stopped after 2 images" in err) == (143, True)
    assert signal.getsignal(signal.SIGTERM) is handler
    status, _, err = adacompress(*run)
    assert (status, "2 images were done before, 1 are left" in err) == (0, True)


def test_ctrl_c_without_a_state_folder(adacompress, few, monkeypatch):
    monkeypatch.setattr(commands_run, "open_named_service", lambda arguments: Interrupting(1))
    status, _, err = adacompress("run", "--images", few, "--service", "fake")
    assert status == 130
    assert "stopped after 2 images; without --state nothing is kept" in err


class Away:
    """A service that raises these errors one after the other, and then answers."""

    name = "away"

    def __init__(self, *errors):
        self.errors = list(errors)

    def label(self, payload):
        if self.errors:
            raise self.errors.pop(0)
        return [Label("cat", 0.5)]


@pytest.fixture
def away(monkeypatch):
    """A function that makes `run` use such a service, with a clock that only sleeping moves."""
    slept = []
    monkeypatch.setattr(stream.time, "monotonic", lambda: sum(slept))
    monkeypatch.setattr(stream.time, "sleep", slept.append)

    def use(*errors):
        service = Away(*errors)
        monkeypatch.setattr(commands_run, "open_named_service", lambda arguments: service)
        return slept

    return use


def gone(seconds=None):
    """As an upload and its fallback see it."""
    return [UnavailableError("away: no answer", seconds)] * 2


def test_run_waits_for_a_service_that_is_away(adacompress, few, tmp_path, away):
    """Every few seconds after the third image without an answer, and as long as it asks for."""
    slept = away(*gone(), *gone(30.0), *gone(), *gone())
    status, out, err = adacompress("run", "--images", few, "--service", "x", "--state", "state")
    assert (status, sum(slept)) == (0, pytest.approx(30 + 5 + 5, abs=1))
    assert "3 images, 0 failed" in out
    assert err.count("left for another time: away: no answer") == 3
    assert "the service answers again" in err
    log = (tmp_path / "state" / "log.jsonl").read_text().splitlines()
    names = [json.loads(line)["image"] for line in log]
    assert names == ["clock.jpg", "chelsea.jpg", "microaneurysms.jpg"]  # in order again


def test_run_gives_up_and_goes_on_another_time(adacompress, few, tmp_path, away):
    slept = away(*gone() * 999)
    run = ("run", "--images", few, "--service", "x", "--state", "state", "--wait", "20")
    status, out, err = adacompress(*run)
    assert (status, sum(slept)) == (1, pytest.approx(20, abs=1))
    assert "0 images, 0 failed, 3 waiting" in out
    assert "chelsea.jpg, left for another time: away: no answer" in err
    assert "away: no answer\n" in err
    assert "0 images are done, the others wait; run the same command to go on" in err
    away()
    assert adacompress(*run)[0] == 0
    assert len((tmp_path / "state" / "log.jsonl").read_text().splitlines()) == 3


@pytest.mark.parametrize(
    "error", [AuthenticationError("away: who"), QuotaError("away: paid up")], ids=repr
)
def test_run_does_not_wait_for_what_will_not_change(adacompress, few, away, error):
    slept = away(error, error)
    status, _, err = adacompress("run", "--images", few, "--service", "x")
    assert (status, slept) == (1, [])
    assert str(error) in err
    assert "0 images are done, the others wait; without --state nothing is kept" in err


def test_one_image_without_an_answer_does_not_hold_up_the_others(adacompress, few, tmp_path, away):
    slept = away(*[ProtocolError("away: odd", False)] * 2)
    run = ("run", "--images", few, "--service", "x", "--state", "state")
    status, _, err = adacompress(*run)
    assert (status, sum(slept)) == (0, 0)
    assert "chelsea.jpg, left for another time: away: odd" in err
    lines = (tmp_path / "state" / "log.jsonl").read_text().splitlines()
    names = [json.loads(line)["image"] for line in lines]
    assert names == ["clock.jpg", "chelsea.jpg", "microaneurysms.jpg"]


def test_run_says_what_fell_back_and_what_was_refused(adacompress, few, away):
    no = RefusedError("away: too dark")
    away(no, no, no)
    status, out, err = adacompress("run", "--images", few, "--service", "x", "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 1
    assert [line["error"] for line in lines[:3]] == ["away: too dark", None, None]
    assert [line["fault"] for line in lines[:3]] == [None, "away: too dark", None]
    assert lines[1]["answered_by"] == "reference"
    assert lines[3]["totals"]["faults"] == lines[3]["totals"]["failed"] == 1
    assert err.count("away: too dark") == 2


def test_label_ends_where_no_other_image_would_do_better(adacompress, few, tmp_path, monkeypatch):
    service = Away(AuthenticationError("away: who"))
    monkeypatch.setattr(labelling, "_service", lambda name, options: service)
    label = ("label", "--images", few, "--service", "x", "-o", "t.npz", "--workers", "1")
    status, _, err = adacompress(*label)
    assert (status, err.splitlines()[-1]) == (2, "adacompress: away: who")
    assert adacompress(*label)[0] == 0


def test_options_of_online_services(adacompress, few, monkeypatch):
    monkeypatch.setenv("FACEPP_API_KEY", "key")
    status, _, err = adacompress("run", "--images", few, "--service", "facepp")
    assert (status, "set FACEPP_API_KEY and FACEPP_API_SECRET" in err) == (2, True)
    opened = []
    monkeypatch.setattr(commands, "open_service", lambda *a, **k: opened.append((a, k)) or Away())
    options = ("--record", "r", "--timeout", "3", "--rate", "0.5")
    assert adacompress("run", "--images", few, "--service", "x", *options)[0] == 0
    assert opened == [(("x",), {"record": "r", "deadline": 3.0, "rate": 0.5, "tries": 3})]


# weights, and how a command ends ---------------------------------------------------------------


def test_weights_list(adacompress):
    status, out, _ = adacompress("weights")
    assert status == 0
    for name in (*weights.manifest()["files"], "mobilenetv2-imagenet"):
        assert name in out


def test_weights_verify(adacompress):
    names = list(weights.manifest()["files"])
    status, out, _ = adacompress("weights", "verify")
    assert (status, out.count(" whole\n")) == (0, len(names))
    status, out, _ = adacompress("weights", "verify", "--json")
    report = json.loads(out)
    assert all(report["files"][name]["problem"] is None for name in names)
    assert "mobilenetv2-imagenet" in report["fetch"]


def test_weights_verify_finds_a_changed_byte(adacompress, tmp_path, monkeypatch):
    path = artifacts.find("squeezenet1_1.json")
    (tmp_path / path.name).write_bytes(path.read_bytes() + b" ")
    monkeypatch.setenv("ADACOMPRESS_WEIGHTS", str(tmp_path))
    status, out, _ = adacompress("weights", "verify")
    assert status == 1
    assert "squeezenet1_1.json: SHA-256 differs" in out


def test_weights_fetch_prints_the_path(adacompress, tmp_path, monkeypatch):
    monkeypatch.setattr("adacompress_ref.cli.weights.fetch", lambda name: tmp_path / name)
    assert adacompress("weights", "fetch", "x") == (0, f"{tmp_path / 'x'}\n", "")


@pytest.mark.parametrize(
    ("error", "status", "text"),
    [
        (KeyboardInterrupt(), 130, "adacompress: stopped"),
        (OSError(28, "No space left on device", "a.npz"), 2, "a.npz: No space left on device"),
        (cli.BrokenExecutor(), 1, "a worker process died; run again to go on"),
    ],
)
def test_how_a_command_ends(adacompress, monkeypatch, error, status, text):
    def fail(arguments):
        raise error

    monkeypatch.setattr("adacompress_ref.cli.weights.main", fail)
    ended, _, err = adacompress("weights")
    assert (ended, text in err) == (status, True)


def end_when_the_reader_goes(arguments, lines):
    """Messages and status of a command whose output is read for so many lines."""
    command = [sys.executable, "-m", "adacompress_ref", *map(str, arguments)]
    environment = {k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"}
    with subprocess.Popen(
        command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        for _ in range(lines):
            assert process.stdout.readline()
        process.stdout.close()
        return process.stderr.read(), process.wait()


@pytest.mark.parametrize("arguments", ["weights list", "weights list --json", "run --help"])
def test_a_reader_that_is_gone(arguments):
    assert end_when_the_reader_goes(arguments.split(), 0) == ("", 141)


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_reader_that_goes_in_the_middle(few, tmp_path, options):
    arguments = ["compress", few, "-o", tmp_path / "out", *options]
    err, status = end_when_the_reader_goes(arguments, lines=1)
    assert status == 141
    assert "Error" not in err


def shell(line, **options):
    """A command of the shell, in which `adacompress` is this one."""
    line = line.replace("adacompress", f"{shlex.quote(sys.executable)} -m adacompress_ref")
    return subprocess.run(line, shell=True, capture_output=True, text=True, **options)


@pytest.mark.parametrize(
    ("line", "status"),
    [
        ("adacompress weights list >&-", 0),
        ("adacompress weights list 2>&-", 0),
        ("adacompress weights list >&- 2>&-", 0),
        ("adacompress weights fetch 2>&-", 2),
        ("adacompress compress missing.jpg -o {} >&-", 1),
        ("adacompress run --images {} --service squeezenet --state {} 2>&- >&-", 0),
    ],
)
def test_a_stream_that_is_closed(few, line, status):
    done = shell(line.replace("{}", shlex.quote(str(few))))
    assert done.returncode == status
    assert "Traceback" not in done.stderr
    for log in few.glob("*.jsonl"):  # nothing else was written to a file that took its place
        assert all(json.loads(each) for each in log.read_text().splitlines())


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_output_that_cannot_be_written(few):
    done = shell("adacompress weights list > /dev/full")
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)
    assert done.stderr == "adacompress: standard output: No space left on device\n"
    done = shell(
        f"adacompress compress {shlex.quote(str(few))} --noaction --quiet --csv > /dev/full"
    )
    assert done.stderr == "adacompress: standard output: No space left on device\n"


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_names_that_the_terminal_cannot_show(photos, tmp_path, encoding):
    shutil.copy(photos / "clock.jpg", tmp_path / "\u95f9\u949f.jpg")
    here = shlex.quote(str(tmp_path))
    environment = {**os.environ, "PYTHONIOENCODING": encoding}
    command = f"adacompress compress {here} missing-\u949f.jpg -o {here}/out"
    done = shell(command, env=environment)
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert r"\u95f9\u949f.jpg" in done.stdout


def test_ctrl_c_while_packages_are_imported(adacompress, monkeypatch):
    def import_as_numpy_does(_):
        try:
            signal.raise_signal(signal.SIGINT)
        except KeyboardInterrupt as error:
            raise ImportError("numpy.core.multiarray failed to import") from error

    monkeypatch.setattr(cli, "_imported", import_as_numpy_does)
    handler = signal.default_int_handler
    before = signal.signal(signal.SIGINT, handler)  # a job in the background ignores it
    try:
        assert adacompress("weights") == (130, "", "\nadacompress: stopped\n")
        assert signal.getsignal(signal.SIGINT) is handler
    finally:
        signal.signal(signal.SIGINT, before)


def test_as_a_module(few):
    command = [sys.executable, "-m", "adacompress_ref", "--version"]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("adacompress_ref ")


# progress --------------------------------------------------------------------------------------


def test_progress_on_a_terminal(monkeypatch):
    from adacompress_ref.cli.progress import Progress

    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    progress = Progress("work", 2)
    progress.clear()
    progress.started -= 3700
    progress.printed -= 1
    progress.advance("first")
    assert "[############............] work 1/2, 1:01:40 left first" in terminal.getvalue()
    progress.advance()
    assert terminal.getvalue().endswith("[########################] work 2/2, 0:00:00 left\n")


def test_progress_elsewhere_is_a_line_now_and_then(capsys):
    from adacompress_ref.cli.progress import Progress

    progress = Progress("work", 3)
    progress.advance()
    assert capsys.readouterr().err == ""
    progress.printed -= 60
    progress.advance()
    progress.advance()
    assert [line.split(",")[0] for line in capsys.readouterr().err.splitlines()] == [
        "work 2/3",
        "work 3/3",
    ]
    quiet = Progress("work", 1, quiet=True)
    quiet.advance()
    quiet.clear()
    assert capsys.readouterr().err == ""


# The photographs outside the repository --------------------------------------------------------


@pytest.mark.slow
def test_a_hundred_photographs(adacompress, shared, tmp_path):
    photographs = sorted((shared / "data" / "imagenet").glob("*.JPEG"))[::7]
    assert len(photographs) == 100
    status, out, _ = adacompress("compress", *photographs, "-o", "out", "--json", "--quiet")
    lines = records(out)
    assert (status, len(lines)) == (0, 100)
    written = sorted((tmp_path / "out").iterdir())
    assert len(written) == 100
    for path in written:
        with Image.open(path) as image:
            assert image.format == "JPEG"
            image.load()
    total, reference = (sum(line[name] for line in lines) for name in ("bytes", "reference_bytes"))
    assert sum(path.stat().st_size for path in written) == total
    assert total < 0.6 * reference
