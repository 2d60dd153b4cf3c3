"""A running system kept on disk goes on as if it had never stopped."""

import errno
import fcntl
import json
import os
import resource
import shutil
from functools import partial

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adacompress_ref import agents
from adacompress_ref.core.controller import Controller
from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.running import state
from adacompress_ref.running.lock import StateError
from adacompress_ref.running.state import StateFolder as AnyStateFolder
from adacompress_ref.running.state import agent_in, revive
from adacompress_ref.storage.arrays import load_arrays, save_arrays
from adacompress_ref.storage.snapshot import pack

SMALL = {
    "encodings": ("jpeg-q5", "jpeg-q15", "jpeg-q25"),
    "replay_capacity": 12,
    "training_steps": 30,
    "window": 3,
    "p_0": 0.5,
}
NETWORK = {"hidden": (6,), "batch_size": 8, "learning_starts": 5, "learn_every": 2}
OFTEN = {"early_losses": 10.0, "goal_images": 9}


class FakeImage:
    """The n-th of a stream whose levels begin to fail after a while, and recover."""

    def __init__(self, n, shape):
        self.n = n
        rng = np.random.default_rng(n)
        self.state = rng.random(shape, np.float32) + 10 * (n % 60 >= 40)

    def upload(self, action, reference):
        return self.one(action), self.one(None) if reference else None

    def one(self, action):
        if action is None:
            return Upload(100, [] if self.n % 11 == 5 else [Label("cat", 0.5)])
        fails = 30 <= self.n % 60 < 40 or (self.n + action) % 4 == 0
        return Upload(20 * (action + 1), [Label("dog" if fails else "cat", 0.5)])


def controller(preset="paper", trained=True, seed=0):
    changes = SMALL | (OFTEN if preset == "tuned" else NETWORK)
    config = agents.preset(preset).replace(**changes)
    agent = agents.new_agent(config, np.random.default_rng(seed), channels=4)
    agent.stamp = {"a": [1]}
    return Controller(agent, agents.monitor_of(agent), trained)


def step(running, n):
    agent = running.agent
    rows = (3,) if agent.config.preset == "tuned" else ()
    return running.step(FakeImage(n, (*rows, agent.inputs)))


def steps(running, start, stop):
    return [step(running, n) for n in range(start, stop)]


def copy_of(running):
    """By way of what is written to disk."""
    packed, arrays = pack(running)
    fields = agents.describe(running.agent) | {"running": packed}
    arrays = {name: value.copy() for name, value in arrays.items()}
    return revive(json.loads(json.dumps(fields)), arrays)


PRESET = st.sampled_from(["paper", "authors", "tuned"])


AIM = st.sampled_from([(None, None), (None, 1), (None, 0.9, 0.8), (2, None), (2.5, None)])


@given(PRESET, st.booleans(), st.integers(0, 150), st.integers(0, 9), AIM)
def test_what_was_packed_goes_on_as_what_was_not(preset, trained, before, seed, aim):
    running = controller(preset, trained, seed)
    if running.agent.aim:
        running.agent.aim(*aim)
    steps(running, 0, before)
    copy = copy_of(running)
    assert steps(copy, before, before + 50) == steps(running, before, before + 50)
    (fields, arrays), (other_fields, other_arrays) = pack(running), pack(copy)
    assert json.dumps(other_fields) == json.dumps(fields)
    assert arrays.keys() == other_arrays.keys()
    for name, array in arrays.items():
        np.testing.assert_array_equal(other_arrays[name], array)
    assert copy.agent.rng.random() == running.agent.rng.random()
    assert copy.agent.stamp == {"a": [1]}


@pytest.mark.parametrize("preset", ["paper", "authors", "tuned"])
def test_all_that_an_agent_and_a_monitor_remember_is_kept(preset):
    """What is not kept is made anew from the config, or is how many decisions were settled."""
    running = controller(preset, trained=False)
    steps(running, 0, 40)
    anew = {"agent", "config", "inputs", "stamp", "settled"}
    if not running.agent.aim:
        anew.add("alpha")
    for thing in (running, running.agent, running.monitor):
        assert vars(thing).keys() - set(thing.KEPT) <= anew


def test_that_property_has_seen_every_state():
    seen = set()
    for trained in (True, False):
        running = controller(trained=trained)
        for n in range(150):
            step(running, n)
            seen.add((running.state, running.agent.pending is not None))
    assert seen == {
        ("inference", False),
        ("inference", True),
        ("estimate", False),
        ("estimate", True),
        ("retrain", False),
        ("retrain", True),
    }


# The folder ------------------------------------------------------------------------------------

SETTINGS = {"service": "squeezenet", "seed": 0}


def line_of(n, **fields):
    return {"image": str(n), "sha256": f"digest {n}", "error": "damaged"} | fields


def check(line):
    if "image" not in line:
        raise ValueError("has no image")


StateFolder = partial(AnyStateFolder, check=check)


@pytest.fixture
def path(tmp_path):
    """A folder with two lines in its log and a state that knows of both."""
    folder = StateFolder(tmp_path / "state", SETTINGS)
    running = controller()
    for n in range(2):
        step(running, n)
        folder.append(line_of(n), {"seconds": 0.5})
    folder.save(running)
    return folder.path


def test_a_new_folder(tmp_path):
    folder = StateFolder(tmp_path / "a" / "b", SETTINGS)
    assert (folder.controller, folder.lines, folder.missed) == (None, 0, [])


def test_return(path):
    folder = StateFolder(path, SETTINGS)
    assert (folder.lines, folder.missed) == (2, [])
    running = controller()
    steps(running, 0, 2)
    assert steps(folder.controller, 2, 40) == steps(running, 2, 40)
    assert (path / "times.jsonl").read_text("utf-8") == '{"seconds": 0.5}\n' * 2


THIRD = json.dumps(line_of(2, number=3)) + "\n"


@pytest.mark.parametrize("tail", [THIRD, THIRD + '{"ima', '{"image":', " "])
def test_a_line_that_was_cut_in_two_is_absent(path, tail):
    before = (path / "log.jsonl").read_bytes()
    with open(path / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(tail)
    folder = StateFolder(path, SETTINGS)
    whole = tail[: tail.rfind("\n") + 1]
    assert folder.missed == [json.loads(line) for line in whole.splitlines()]
    assert folder.lines == 2 + len(folder.missed)
    assert (path / "log.jsonl").read_bytes() == before + whole.encode()


def test_times_are_whole_too(path):
    before = (path / "times.jsonl").read_bytes()
    with open(path / "times.jsonl", "a", encoding="utf-8") as file:
        file.write('{"sec')
    StateFolder(path, SETTINGS)
    assert (path / "times.jsonl").read_bytes() == before


def test_what_killed_runs_left_over_is_removed(path):
    (path / ".12ab.partial").write_bytes(b"half a state")
    (path / "mine.partial").touch()
    StateFolder(path, SETTINGS)
    assert sorted(file.name for file in path.iterdir()) == [
        *("lock", "log.jsonl", "mine.partial", "seen", "state.npz", "times.jsonl", "trouble.json")
    ]


@pytest.mark.parametrize("action", ["append", "save"])
def test_a_full_disk_names_the_folder(path, action):
    folder = StateFolder(path, SETTINGS)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, hard))  # as a full disk, but for its text
    try:
        with pytest.raises(StateError) as caught:
            if action == "append":
                folder.append(line_of(2), {})
            else:
                folder.save(folder.controller)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert str(caught.value).startswith(f"{path}")
    assert "mend that, or name another --state folder" in str(caught.value)
    folder.close()
    folder = StateFolder(path, SETTINGS)
    assert (folder.lines, folder.missed) == (2, [])


def test_a_folder_that_is_gone_is_named(path):
    folder = StateFolder(path, SETTINGS)
    shutil.rmtree(path)
    with pytest.raises(StateError, match=f"{path}/times.jsonl: No such file"):
        folder.append(line_of(2), {})


def test_a_folder_whose_run_ended_before_its_first_state_is_new(tmp_path):
    StateFolder(tmp_path, SETTINGS)  # and the process dies while the models are opened
    assert StateFolder(tmp_path, SETTINGS).controller is None


def refused(path, match, settings=SETTINGS):
    with pytest.raises(StateError, match=match) as caught:
        StateFolder(path, settings)
    assert "\n" not in str(caught.value)


def test_other_settings_are_refused(path):
    refused(path, "its run has seed 0, now it is 1", SETTINGS | {"seed": 1})


@pytest.mark.parametrize("how", ["moved", "cut", "its end", "its beginning", "another, longer"])
def test_the_log_may_be_rotated(path, how):
    """Whatever is in it: what the state knows of is not learned from again, and counts on."""
    log, times = path / "log.jsonl", path / "times.jsonl"
    first, second = log.read_text().splitlines()
    other = json.dumps({"number": 0, "filler": "x" * len(first)}) + "\n"
    kept = {"moved": "", "cut": "", "its end": f"{second}\n", "its beginning": f"{first}\n"}
    log.write_text(kept.get(how, (other + second + "\n") * 3).replace('"filler"', '"image"'))
    if how == "moved":
        log.unlink()
        times.unlink()
    folder = StateFolder(path, SETTINGS)
    assert (folder.missed, folder.lines, folder.notice) == ([], 2, "")
    folder.append(line_of(2), {})
    folder.close()
    back = StateFolder(path, SETTINGS)
    assert [(line["image"], line["number"]) for line in back.missed] == [("2", 3)]
    assert back.totals == folder.totals
    back.save(back.controller)
    back.close()
    assert StateFolder(path, SETTINGS).missed == []


def test_lines_that_went_with_a_rotated_log_are_told(path):
    (path / "log.jsonl").write_text(json.dumps(line_of(9, number=5)) + "\n")
    folder = StateFolder(path, SETTINGS)
    assert (folder.lines, len(folder.missed)) == (5, 1)
    assert folder.notice == f"2 lines are gone from {path}/log.jsonl, not learned from"


def test_the_log_is_read_from_where_the_state_ends(path, monkeypatch):
    monkeypatch.setattr(state, "BLOCK", 20)  # as if the log were long
    folder, log = StateFolder(path, SETTINGS), path / "log.jsonl"
    folder.save(folder.controller)
    folder.close()
    log.write_bytes(b"\0" + log.read_bytes()[1:])
    folder = StateFolder(path, SETTINGS)
    assert (folder.lines, folder.missed) == (2, [])


def test_without_its_list_of_what_was_sent_a_folder_is_refused(path):
    (path / "seen").unlink()
    refused(path, "has no list of what was sent")


def test_another_users_folder_is_no_folder_in_use(path, monkeypatch):
    def opened(*arguments):
        raise PermissionError(errno.EACCES, "Permission denied", str(path / "lock"))

    monkeypatch.setattr(os, "open", opened)
    refused(path, "lock: Permission denied")


def test_where_no_lock_can_be_had(path, monkeypatch):
    def flock(*arguments):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    refused(path, "no lock can be had there")


def test_two_processes_in_one_folder_are_kept_apart(path):
    first = StateFolder(path, SETTINGS)
    refused(path, "in use by another run")
    first.close()
    StateFolder(path, SETTINGS)


@pytest.mark.parametrize("damage", ["cut", "gone", "bit"])
def test_the_state_before_is_used_where_the_latest_is_damaged(path, damage):
    folder = StateFolder(path, SETTINGS)
    running = folder.controller
    for n in (2, 3):
        step(running, n)
        folder.append(line_of(n), {})
        folder.save(running)
    folder.close()
    whole = folder.file.read_bytes()
    if damage == "cut":
        folder.file.write_bytes(whole[:-50])
    elif damage == "bit":
        place = whole.index(b"agent.optimiser") + 300
        folder.file.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
    else:  # a stop between the two renames
        folder.file.unlink()
    back = StateFolder(path, SETTINGS)
    assert (back.lines, [line["number"] for line in back.missed]) == (4, [4])
    assert ("state.npz: damaged" in back.notice) == (damage != "gone")
    running = controller()
    steps(running, 0, 3)
    assert steps(back.controller, 3, 30) == steps(running, 3, 30)
    back.save(back.controller)  # over the damaged one, not with it in the place of the whole one
    back.close()
    assert StateFolder(path, SETTINGS).notice == ""
    load_arrays(folder.previous)


@pytest.mark.parametrize("line", ["1", "null", "[]", "{}", '{"number": 3}', '{"image": "a"}', "\0"])
def test_a_log_that_goes_on_with_other_things_is_refused(path, line):
    with open(path / "log.jsonl", "a") as file:
        file.write(f"{line}\n")
    refused(path, r"log\.jsonl: damaged, after byte \d+ line 1")


def test_a_log_without_a_state_is_refused(path):
    (path / "state.npz").unlink()
    (path / "state.previous.npz").unlink(missing_ok=True)
    refused(path, "a log.jsonl but no state.npz")


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_truncated_state_is_refused(path, share):
    file = path / "state.npz"
    file.write_bytes(file.read_bytes()[: int(file.stat().st_size * share)])
    (path / "state.previous.npz").write_bytes(b"")
    refused(path, r"state\.npz: damaged.*no whole one before it")


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda fields, arrays: fields.update(format=99), "a newer version"),
        (lambda fields, arrays: fields.update(format=1), "an older version"),
        (lambda fields, arrays: fields.update(format=5), r"an older .* with --agent /"),
        (lambda fields, arrays: fields.update(totals={"sent": "2"}), "damaged"),
        (lambda fields, arrays: fields.pop("running"), "damaged"),
        (lambda fields, arrays: fields["running"]["monitor"].pop("p_est"), "damaged"),
        (lambda fields, arrays: arrays.pop("agent.optimiser.mean"), "damaged"),
        (
            lambda fields, arrays: fields["config"].update(nonsense=1),
            "settings are of another version",
        ),
    ],
)
def test_a_changed_state_is_refused(path, change, match):
    fields, arrays = load_arrays(path / "state.npz")
    change(fields, arrays)
    (path / "state.previous.npz").unlink(missing_ok=True)
    save_arrays(path / "state.npz", fields, arrays)
    refused(path, match)


@pytest.mark.parametrize("version", [5, 6])
def test_the_agent_of_a_state_goes_along(path, version):
    fields, arrays = load_arrays(path / "state.npz")
    save_arrays(path / "state.npz", fields | {"format": version}, arrays)
    was = StateFolder(path, SETTINGS).controller.agent if version == 6 else None
    agent = agent_in(path, np.random.default_rng(5))
    if was:
        np.testing.assert_array_equal(agent.network.parameters, was.network.parameters)
    assert (agent.stamp, agent.epsilon, len(agent.replay)) == ({"a": [1]}, 0, 0)
    (path / "state.npz").write_bytes(b"")
    with pytest.raises(agents.AgentError, match=r"state\.npz: no agent can be taken"):
        agent_in(path, np.random.default_rng(5))


def test_what_goes_along_is_what_all_services_have_in_common(tmp_path):
    running = controller("tuned", True)
    running.agent.sigma[:] = [[1.5, 0.2], [0.2, 0.4]]
    steps(running, 0, 60)
    StateFolder(tmp_path, SETTINGS).save(running)
    agent = agent_in(tmp_path, np.random.default_rng(5))
    np.testing.assert_array_equal(agent.w, running.agent.w)
    np.testing.assert_array_equal(agent.covariance, running.agent.sigma)  # nothing of this one
    assert (agent.u.tolist(), agent.images, len(agent.states)) == ([0, 0], 0, 0)


def test_a_file_in_the_place_of_the_folder_is_refused(tmp_path):
    (tmp_path / "file").write_text("x")
    refused(tmp_path / "file", "file: ")
