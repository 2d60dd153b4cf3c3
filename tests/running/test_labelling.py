"""Labelling: in processes or here, stopped or not, the table is the same."""

import contextlib
import hashlib
import os
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor

import numpy as np
import pytest

from adacompress_ref.core.roles import Label
from adacompress_ref.imaging import codec
from adacompress_ref.imaging import read as images
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.imaging.extractor import Extractor
from adacompress_ref.imaging.read import ImageError
from adacompress_ref.running import labelling
from adacompress_ref.running.labelling import Labelling
from adacompress_ref.services import ServiceError
from adacompress_ref.storage.arrays import load_arrays, save_arrays
from adacompress_ref.tables.table import Table, TableError
from adacompress_ref.views import drift

TWO = (Encoding("jpeg", None, 5), Encoding("webp", 64, 55))
NAMES = ["chelsea.jpg", "clock.jpg", "microaneurysms.jpg", "sub/coffee.jpg"]


class FakeService:
    """Answers with the payload's hash; counts what it was sent."""

    name = "fake"
    formats = ("jpeg", "webp")

    def __init__(self):
        self.sent = []

    def label(self, payload):
        self.sent.append(payload)
        return [Label(hashlib.sha256(payload).hexdigest()[:8], 0.5)]


@pytest.fixture
def fake(monkeypatch):
    service = FakeService()
    monkeypatch.setattr(labelling, "_service", lambda name, options: service)
    return service


@pytest.fixture
def folder(tmp_path, photos):
    """Four photographs, one of them in a folder of its own."""
    folder = tmp_path / "photos"
    for name in NAMES:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(photos / name.split("/")[-1], folder / name)
    return folder


def label(folder, path, service="fake", executor=None, on_image=lambda name: None):
    work = Labelling(folder, service, TWO, path)
    work.run(executor, on_image)
    work.finish()
    return work


class Stop:
    """Ctrl-C after the n-th image."""

    def __init__(self, after):
        self.left = after

    def __call__(self, name):
        self.left -= 1
        if not self.left:
            raise KeyboardInterrupt


def test_here_in_processes_stopped_and_gone_on_all_give_the_same_bytes(folder, tmp_path):
    label(folder, tmp_path / "here.npz", "squeezenet")
    whole = (tmp_path / "here.npz").read_bytes()
    assert Table.load(tmp_path / "here.npz").images == NAMES
    with ProcessPoolExecutor(2) as executor:
        label(folder, tmp_path / "pool.npz", "squeezenet", executor)
        assert (tmp_path / "pool.npz").read_bytes() == whole
        with pytest.raises(KeyboardInterrupt):
            label(folder, tmp_path / "stop.npz", "squeezenet", executor, Stop(2))
        assert not (tmp_path / "stop.npz").exists()
        work = label(folder, tmp_path / "stop.npz", "squeezenet", executor)
    assert work.done_before >= 2
    assert (tmp_path / "stop.npz").read_bytes() == whole
    assert not (tmp_path / "stop.npz.partial").exists()


def test_workers_end_when_their_parent_is_killed(photos, tmp_path):
    command = [sys.executable, "-m", "adacompress_ref", "label", "--images", str(photos)]
    command += ["--service", "squeezenet", "--workers", "2", "-o", str(tmp_path / "t.npz")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, start_new_session=True)
    try:
        while not list(tmp_path.glob("t.npz.partial/*.npz")) and process.poll() is None:
            time.sleep(0.01)
        process.kill()
        process.communicate(timeout=20)  # until the last worker closes its end
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)


@pytest.mark.parametrize("after", [1, 3])
def test_stopped_here(folder, tmp_path, fake, after):
    label(folder, tmp_path / "whole.npz")
    sent = len(fake.sent)
    with pytest.raises(KeyboardInterrupt):
        label(folder, tmp_path / "stop.npz", on_image=Stop(after))
    assert label(folder, tmp_path / "stop.npz").done_before == after
    assert len(fake.sent) == 2 * sent  # nothing was uploaded twice
    assert (tmp_path / "stop.npz").read_bytes() == (tmp_path / "whole.npz").read_bytes()


def test_an_image_whose_answers_cannot_be_kept_is_not_counted(folder, tmp_path, fake, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device", "t.npz")

    work = Labelling(folder, "squeezenet", TWO, tmp_path / "t.npz")
    monkeypatch.setattr(Table, "save", full)
    with pytest.raises(OSError, match="No space"):
        work.run(None, print)
    assert not work.rows


def test_any_executor(folder, tmp_path, fake):
    label(folder, tmp_path / "here.npz")
    with ThreadPoolExecutor(3) as executor:
        label(folder, tmp_path / "threads.npz", executor=executor)
    assert (tmp_path / "here.npz").read_bytes() == (tmp_path / "threads.npz").read_bytes()


def test_a_row(folder, tmp_path, fake):
    label(folder, tmp_path / "t.npz")
    table = Table.load(tmp_path / "t.npz")
    file = (folder / "clock.jpg").read_bytes()
    picture = images.read(file).picture
    payloads = [codec.encode(picture, each) for each in (*TWO, Encoding("jpeg", None, 75))]
    assert table.bytes[1].tolist() == [len(payload) for payload in payloads]
    own = codec.encode(picture, TWO[0], own_tables=True)
    assert table.own_bytes[1, 0] == len(own) < table.bytes[1, 0]
    assert table.own_bytes[1, 1] == table.bytes[1, 1]  # WebP
    assert table.own_bytes[1, 2] < table.bytes[1, 2]
    assert table.labels[1, :, 0].tolist() == [fake.label(each)[0].name for each in payloads]
    assert table.labels[1, :, 1:].tolist() == [[""] * 4] * 3
    assert table.digests[1] == hashlib.sha256(file).hexdigest()
    assert table.original_bytes[1] == len(file)
    assert table.features.shape == (4, 2, 2, 1280)
    assert table.context.shape == (4, 9)
    context = drift.context(Extractor(threads=1), picture, len(payloads[-1]))
    np.testing.assert_allclose(table.context[1], context, rtol=1e-4, atol=1e-4)


def make_old(path, version):
    """The table of an earlier version, in the place of a new one."""
    description, arrays = load_arrays(path)
    if version == 3:
        arrays.pop("own_bytes")
    arrays["context"] += 1  # of another state
    arrays["drift"] = np.zeros((*arrays["bytes"][:, 1:].shape, 2), np.float32)
    save_arrays(path, description | {"format": version}, arrays)


@pytest.mark.parametrize("version", [3, 4])
@pytest.mark.parametrize("stopped", [False, True])
def test_a_table_of_before_is_made_new_without_an_upload(folder, tmp_path, fake, stopped, version):
    path = tmp_path / "t.npz"
    label(folder, path)
    new, sent = path.read_bytes(), len(fake.sent)
    make_old(path, version)
    if stopped:
        with pytest.raises(KeyboardInterrupt):
            label(folder, path, on_image=Stop(3))
        assert load_arrays(path)[0]["format"] == version  # as it was, until all are there
    with ThreadPoolExecutor(2) as executor:
        work = label(folder, path, executor=executor)
    assert (work.done_before, len(fake.sent)) == (3 if stopped else 0, sent)
    assert path.read_bytes() == new


def test_a_table_of_before_whose_image_is_gone_keeps_its_answers(folder, tmp_path, fake):
    path = tmp_path / "t.npz"
    label(folder, path)
    sent = len(fake.sent)
    make_old(path, 3)
    (folder / "clock.jpg").unlink()
    (folder / "chelsea.jpg").write_bytes(b"damaged since")  # its answers are of another file
    work = label(folder, path)
    assert sorted(work.failed) == ["chelsea.jpg", "clock.jpg"]
    assert "clock.jpg: is gone" in work.failed["clock.jpg"]
    assert len(fake.sent) == sent
    table = Table.load(path)
    assert table.images == NAMES[1:]
    assert table.own_bytes.all(axis=1).tolist() == [False, True, True]


def test_equal_payloads_are_uploaded_once(tmp_path, photos, fake):
    folder = tmp_path / "one"
    folder.mkdir()
    shutil.copy(photos / "clock.jpg", folder)
    sides = ((None, 75), (5000, 5), (6000, 5))
    encodings = tuple(Encoding("jpeg", side, quality) for side, quality in sides)
    work = Labelling(folder, "fake", encodings, tmp_path / "t.npz")
    work.run(None, lambda name: None)
    assert len(fake.sent) == 2  # the first is the reference; never enlarged, the others are equal
    table = work.finish()
    assert table.bytes[0, 0] == table.bytes[0, -1] > table.bytes[0, 1] == table.bytes[0, 2]
    assert (table.labels[0, 0] == table.labels[0, -1]).all()
    assert (table.labels[0, 1] == table.labels[0, 2]).all()


def test_other_settings_are_refused(folder, tmp_path, fake):
    path = tmp_path / "t.npz"
    with pytest.raises(KeyboardInterrupt):
        label(folder, path, on_image=Stop(1))
    with pytest.raises(TableError, match=r"t\.npz\.partial: holds answers of fake"):
        label(folder, path, "other")
    with pytest.raises(TableError, match="holds answers of fake for 2 encodings"):
        Labelling(folder, "fake", TWO[:1], path)
    label(folder, path)
    with pytest.raises(TableError, match=r"t\.npz: holds answers of fake"):
        label(folder, path, "other")


def test_formats_that_the_service_does_not_take(folder, tmp_path, fake, monkeypatch):
    monkeypatch.setattr(FakeService, "formats", ("jpeg",))
    with pytest.raises(ServiceError, match="does not take webp: webp-64-q55"):
        label(folder, tmp_path / "t.npz")
    assert not (tmp_path / "t.npz.partial").exists()


def test_an_unreadable_image_is_listed_and_the_others_are_done(folder, tmp_path, fake):
    (folder / "broken.jpg").write_bytes(b"no image")
    with ThreadPoolExecutor(2) as executor:
        work = label(folder, tmp_path / "t.npz", executor=executor)
    assert list(work.failed) == ["broken.jpg"]
    assert "broken.jpg: cannot be read" in work.failed["broken.jpg"]
    assert Table.load(tmp_path / "t.npz").images == NAMES
    shutil.copy(folder / "clock.jpg", folder / "broken.jpg")  # fetched again
    assert label(folder, tmp_path / "t.npz").done_before == 4
    assert len(Table.load(tmp_path / "t.npz").images) == 5


def test_a_service_that_gives_no_answer(folder, tmp_path, fake, monkeypatch):
    def refuse(self, payload):
        raise ServiceError("over quota")

    monkeypatch.setattr(FakeService, "label", refuse)
    work = Labelling(folder, "fake", TWO, tmp_path / "t.npz")
    work.run(None, lambda name: None)
    assert work.failed == dict.fromkeys(NAMES, "over quota")
    with pytest.raises(TableError, match="no image could be labelled"):
        work.finish()
    assert not (tmp_path / "t.npz").exists()


def test_a_new_image_is_added(folder, tmp_path, fake):
    label(folder, tmp_path / "t.npz")
    before = len(fake.sent)
    shutil.copy(folder / "clock.jpg", folder / "a new one.jpg")
    work = label(folder, tmp_path / "t.npz")
    assert (work.done_before, len(fake.sent) - before) == (4, 3)
    assert Table.load(tmp_path / "t.npz").images == ["a new one.jpg", *NAMES]


def test_a_changed_file_is_labelled_again(folder, tmp_path, fake):
    label(folder, tmp_path / "t.npz")
    shutil.copy(folder / "chelsea.jpg", folder / "clock.jpg")
    assert label(folder, tmp_path / "t.npz").done_before == 3
    table = Table.load(tmp_path / "t.npz")
    assert table.digests[1] == table.digests[0]


def test_a_changed_file_of_the_same_size_is_labelled_again(folder, tmp_path, fake):
    label(folder, tmp_path / "t.npz")
    file = bytearray((folder / "clock.jpg").read_bytes())
    file[-500] ^= 1
    (folder / "clock.jpg").write_bytes(file)
    label(folder, tmp_path / "t.npz")
    assert Table.load(tmp_path / "t.npz").digests[1] == hashlib.sha256(file).hexdigest()


def test_answers_of_a_file_that_is_no_longer_so_are_not_kept(folder, tmp_path, fake):
    label(folder, tmp_path / "t.npz")
    (folder / "clock.jpg").write_bytes(b"damaged since")
    work = label(folder, tmp_path / "t.npz")
    assert list(work.failed) == ["clock.jpg"]
    assert "clock.jpg" not in Table.load(tmp_path / "t.npz").images


def test_an_empty_folder(tmp_path, fake):
    with pytest.raises(ImageError, match="no image in this folder"):
        label(tmp_path, tmp_path / "t.npz")


def test_a_damaged_table_is_not_overwritten(folder, tmp_path, fake):
    (tmp_path / "t.npz").write_text("mine")
    with pytest.raises(TableError, match=r"t\.npz: not a table"):
        label(folder, tmp_path / "t.npz")
    assert (tmp_path / "t.npz").read_text() == "mine"
