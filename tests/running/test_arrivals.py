"""What a folder has, in the order in which it is to be sent; and what was seen before."""

import os
import shutil

import numpy as np
import pytest

from adacompress_ref.running import arrivals as module
from adacompress_ref.running import seen as seen_module
from adacompress_ref.running.arrivals import Arrivals, stamp
from adacompress_ref.running.seen import Seen, Trouble, counts
from adacompress_ref.storage.files import ImageError


class Camera:
    """A folder, what follows it, and clocks that the test moves."""

    def __init__(self, folder, seen, monkeypatch):
        self.folder, self.seen, self.now, self.told = folder, seen, 1000.0, []
        clocks = {"monotonic": lambda: self.now, "time": lambda: 1e9 + self.now}
        for used in (module, seen_module):
            monkeypatch.setattr(used, "time", type("Clock", (), clocks))

    def put(self, name, text="", modified=None):
        path = self.folder / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.write_text(text or name)
        if modified is not None:
            os.utime(path, (modified, modified))

    def arrivals(self, follow=True, **options):
        options = {"every": 5.0, "settle": 2.0} | options
        return Arrivals(self.folder, self.seen, follow=follow, tell=self.told.append, **options)

    def sent(self, names, answer=lambda name: True):
        """Names until there is nothing to do; what has no `answer` is unanswered."""
        found = []
        for name in names:
            if name is None:
                break
            found.append(name)
            if answer(name):
                self.seen.answers += 1
                self.seen.add((name, *stamp(self.folder / name)))
                self.seen.settle(name)
            else:
                self.seen.unanswered(name, "away")
        return found


@pytest.fixture
def camera(tmp_path, monkeypatch):
    (tmp_path / "photos").mkdir()
    (tmp_path / "state").mkdir()
    return Camera(tmp_path / "photos", Seen(tmp_path / "state"), monkeypatch)


def test_once_in_the_order_of_names(camera):
    for name, modified in (("b.jpg", 1), ("a/c.jpg", 3), ("a.jpg", 2), (".h.jpg", 0), ("x.txt", 0)):
        camera.put(name, modified=modified)
    assert camera.sent(camera.arrivals(follow=False)) == ["a.jpg", "a/c.jpg", "b.jpg"]
    again = camera.arrivals(follow=False)
    assert (camera.sent(again), len(again.done)) == ([], 3)


def test_followed_in_the_order_of_their_coming(camera):
    """At first by times of change, wherever the clock of the camera is; later as they come."""
    for name, modified in (("b.jpg", 5e9), ("c.jpg", 2), ("a.jpg", 2)):
        camera.put(name, modified=modified)
    names = camera.arrivals()
    assert camera.sent(names) == []  # they may be half written
    camera.now += 2
    assert camera.sent(names) == ["a.jpg", "c.jpg", "b.jpg"]
    camera.put("old.jpg", modified=1)
    camera.now += 5
    assert camera.sent(names) == []
    camera.put("older.jpg", modified=0)
    camera.now += 2
    assert camera.sent(names) == ["old.jpg"]
    camera.now += 2
    assert camera.sent(names) == ["older.jpg"]


def test_a_file_that_changes_is_not_taken_and_one_that_was_replaced_is_new(camera):
    names = camera.arrivals()
    for size in range(3):
        camera.put("a.jpg", "x" * (size + 1))
        assert camera.sent(names) == []
        camera.now += 1.9
    assert camera.sent(names) == []
    camera.now += 0.2
    assert camera.sent(names) == ["a.jpg"]
    before = stamp(camera.folder / "a.jpg")
    camera.put("a.jpg", "yyy", modified=before[0] / 1e9)  # the same size and time
    os.utime(camera.folder / "a.jpg", ns=(before[0], before[0]))
    camera.now += 5
    assert camera.sent(names) == []
    camera.now += 2
    assert camera.sent(names) == ["a.jpg"]


def test_a_folder_that_vanishes_is_told_once_and_waited_for(camera):
    camera.put("a.jpg")
    names = camera.arrivals(settle=0)
    assert camera.sent(names) == ["a.jpg"]
    shutil.move(camera.folder, camera.folder.with_name("unmounted"))
    for _ in range(3):
        camera.now += 5
        assert camera.sent(names) == []
    assert [text.endswith("waiting for it") for text in camera.told] == [True]
    shutil.move(camera.folder.with_name("unmounted"), camera.folder)
    camera.put("b.jpg")
    camera.now += 5
    assert camera.sent(names) == ["b.jpg"]
    assert len(camera.told) == 1


def test_once_a_folder_has_to_be_there_with_images(camera):
    with pytest.raises(ImageError, match="no image in this folder"):
        camera.sent(camera.arrivals(follow=False))
    camera.folder.rmdir()
    with pytest.raises(ImageError, match="No such file"):
        camera.sent(camera.arrivals(follow=False))


def test_what_is_left_out(camera):
    for name in ("a.jpg", "@eaDir/b.jpg", "#recycle/c.jpg", "lost+found/d.jpg", ".trash/e.jpg"):
        camera.put(name)
    camera.put("thumb-1.jpg")
    camera.put("night/f.jpg")
    names = camera.arrivals(follow=False, exclude=("thumb*", "night"))
    assert camera.sent(names) == ["a.jpg"]


def test_a_folder_within_that_cannot_be_read_is_told_once(camera, monkeypatch):
    scandir = os.scandir

    def opened(path):
        if str(path).endswith("closed/"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    camera.put("a.jpg")
    camera.put("closed/b.jpg")
    monkeypatch.setattr(os, "scandir", opened)
    names = camera.arrivals(settle=0)
    assert camera.sent(names) == ["a.jpg"]
    camera.now += 5
    assert camera.sent(names) == []
    assert camera.told == [
        f"adacompress: {camera.folder}/closed: Permission denied; left out",
    ]


def test_what_is_gone_is_no_failure(camera):
    for name in ("a.jpg", "b.jpg"):
        camera.put(name)
    names = camera.arrivals(settle=0)
    names.look()
    (camera.folder / "a.jpg").unlink()
    names.look()
    assert counts(camera.seen.troubles) == {"failed": 0, "waiting": 0, "put_aside": 0, "gone": 1}
    assert camera.sent(names) == ["b.jpg"]


def tried(camera, names, bad, most=400):
    """What is tried where `bad` images never have an answer, until there is no more to do."""
    found = []
    for name in names:
        if name is None or len(found) == most:
            return found
        found += camera.sent([name], lambda name: name not in bad)
    return found


def test_an_image_without_an_answer_lets_others_go_first_and_is_put_aside(camera):
    for name in ("0.jpg", *(f"{n:02}.jpg" for n in range(1, 21))):
        camera.put(name, modified=10 if name == "0.jpg" else 20)
    names = camera.arrivals(settle=0)
    found = tried(camera, names, {"0.jpg"}, most=30)
    # again as soon as another had an answer, as it might have been an outage; then the last
    assert found[:4] == ["0.jpg", "01.jpg", "0.jpg", "02.jpg"]
    assert found[4:22] == [f"{n:02}.jpg" for n in range(3, 21)]
    for number in range(5):  # one more image each time, so that its tries count
        camera.put(f"later-{number}.jpg")
        camera.now += 5
        tried(camera, names, {"0.jpg"}, most=3)
    assert counts(camera.seen.troubles)["put_aside"] == 1
    trouble = camera.seen.troubles["0.jpg"]
    assert (trouble.tries, trouble.due) == (5, pytest.approx(1e9 + camera.now + 600, abs=30))
    assert camera.sent(names) == []
    camera.now += 601
    assert camera.sent(names) == ["0.jpg"]  # and this time it has one
    assert counts(camera.seen.troubles) == {"failed": 0, "waiting": 0, "put_aside": 0, "gone": 0}


def test_its_rest_doubles_up_to_a_day(camera):
    rests = []
    for _ in range(16):
        camera.seen.answers += 1
        camera.seen.unanswered("a.jpg", "away")
        due = camera.seen.troubles["a.jpg"].due
        rests.append(round(due - 1e9 - camera.now) if due else 0)
    assert rests == [0] * 4 + [600 * 2**n for n in range(8)] + [86400] * 4


def test_an_outage_puts_nothing_aside_and_changes_little_in_the_order(camera):
    images = [f"{n:02}.jpg" for n in range(9)]
    for number, name in enumerate(images):
        camera.put(name, modified=number)
    names = camera.arrivals(settle=0)
    assert set(tried(camera, names, {*images}, most=100)) == {*images}
    assert {trouble.tries for trouble in camera.seen.troubles.values()} == {1}
    back = tried(camera, names, set())
    assert sorted(back) == images
    assert sorted(back[1:]) == back[1:]  # the first one showed that the service is back
    assert camera.seen.troubles == {}


def test_troubles_are_kept(camera, tmp_path):
    camera.put("a.jpg")
    camera.seen.unanswered("a.jpg", "away")
    camera.seen.settle("\udcff.jpg", trouble=Trouble("failed", "odd"))
    again = Seen(tmp_path / "state")
    assert again.troubles == camera.seen.troubles
    assert again.troubles["a.jpg"].tries == 1
    for damage in ("", "[]", '{"a": 1}', '{"a": [1, 2]}', '{"a": ["waiting", "", "x", 0, 0]}'):
        (tmp_path / "state" / "trouble.json").write_text(damage)
        assert Seen(tmp_path / "state").troubles == {}


def test_what_was_seen_is_kept_also_where_the_last_of_it_was_cut(tmp_path, monkeypatch):
    monkeypatch.setattr(seen_module, "MANY", 50)  # so that it is sorted anew in between
    keys = [(f"{n}.jpg", n) for n in range(500)]
    seen = Seen(tmp_path)
    for key in keys[::2]:
        seen.add(key)
    for found in (seen, Seen(tmp_path)):
        assert [found.has(*key) for key in keys] == [True, False] * 250
    with open(tmp_path / "seen", "ab") as file:
        file.write(b"half")
    again = Seen(tmp_path)
    again.add(("new",))
    assert Seen(tmp_path).has("new")
    assert len(np.fromfile(tmp_path / "seen", "<u8")) == 251
