"""Labelling on the workers of a Dask scheduler: the same table, whoever dies."""

import contextlib
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time

import pytest
from service_helpers import as_json, serving

from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.running.labelling import Labelling
from adacompress_ref.services import ServiceError
from adacompress_ref.storage import artifacts

pytestmark = pytest.mark.slow
pytest.importorskip("distributed", reason="the extra `dask` installs Dask's distributed")
cluster = pytest.importorskip("adacompress_ref.running.cluster")

QUICK = ("--encodings", "jpeg-q5", "--service", "squeezenet")


class Dask:
    """A scheduler, a task of which is tried on two workers, and processes that are its workers."""

    def __init__(self, folder):
        self.folder, self.processes = folder, []
        self.file = folder / "scheduler.json"
        variables = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1"}
        options = ("--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        self.scheduler = self.start("scheduler", *options, **variables)
        self.until(lambda: self.file.exists() and self.file.stat().st_size)
        self.address = json.loads(self.file.read_text())["address"]

    def start(self, kind, *options, **variables):
        command = [sys.executable, "-m", f"distributed.cli.dask_{kind}", *options]
        with open(self.folder / "log", "ab") as log:
            process = subprocess.Popen(
                [*command, "--scheduler-file", str(self.file)],
                env=os.environ | variables,
                cwd=self.folder,  # as on other machines
                stdout=log,
                stderr=log,
            )
        self.processes.append(process)
        return process

    def worker(self, **variables):
        options = ("--nthreads", "1", "--no-nanny", "--no-dashboard", "--host", "127.0.0.1")
        there = (self.folder / "log").read_bytes().count(b"Starting established connection")
        process = self.start("worker", *options, **variables)
        # one line of the worker's, one of the scheduler's
        self.until(
            lambda: (
                (self.folder / "log").read_bytes().count(b"Starting established connection")
                >= there + 2
            )
        )
        return process

    @staticmethod
    def until(condition):
        end = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < end
            time.sleep(0.05)


@pytest.fixture
def dask(tmp_path):
    folder = tmp_path / "elsewhere"
    folder.mkdir()
    dask = Dask(folder)
    limit = threading.Timer(120, dask.scheduler.kill)  # ends what waits for workers for ever
    limit.start()
    yield dask
    limit.cancel()
    for process in dask.processes:
        process.kill()
        process.wait()


@pytest.fixture
def folder(tmp_path, photos):
    """36 images, in the folder that the command runs in."""
    (tmp_path / "many").mkdir()
    for photo in photos.glob("*.jpg"):
        for copy in range(3):
            shutil.copy(photo, tmp_path / "many" / f"{copy}-{photo.name}")
    return "many"


@contextlib.contextmanager
def killing(process, tmp_path, table="t.npz"):
    """Within, a process is killed once there are rows of a table."""

    def kill():
        Dask.until(lambda: len(list(tmp_path.glob(f"{table}.partial/*.npz"))) > 3)
        process.kill()

    thread = threading.Thread(target=kill)
    thread.start()
    yield
    thread.join()


def test_the_table_is_the_same_though_a_worker_is_killed(adacompress, dask, folder, tmp_path):
    label = ("label", "--images", folder, "--quiet", *QUICK)
    assert adacompress(*label, "--workers", "1", "-o", "one.npz")[0] == 0
    worker, _ = dask.worker(), dask.worker()
    with killing(worker, tmp_path):
        status, _, err = adacompress(*label, "-o", "t.npz", "--scheduler", dask.address)
    assert (status, worker.wait(), err) == (0, -9, "")
    assert (tmp_path / "t.npz").read_bytes() == (tmp_path / "one.npz").read_bytes()


def test_a_scheduler_that_is_killed(adacompress, dask, folder, tmp_path):
    dask.worker()
    label = ("label", "--images", folder, "-o", "t.npz", "--quiet", *QUICK)
    with killing(dask.scheduler, tmp_path):
        status, _, err = adacompress(*label, "--scheduler", dask.address)
    kept, said = err.splitlines()
    assert (status, said.endswith("the scheduler is gone; run again to go on")) == (2, True)
    done = int(kept.split()[1])
    assert 3 < done < 36
    status, out, err = adacompress(*label, "--workers", "1")
    assert (status, out) == (0, "t.npz: 36 images, 1 encodings\n")
    assert f"{done} images were done before" in err


def test_an_image_that_kills_its_workers_fails_alone(dask, few, tmp_path):
    dask.worker(), dask.worker(), dask.worker()
    work = labelling(few, tmp_path)
    with cluster.Cluster(dask.address, work) as executor:
        future = executor.submit(lambda path: os._exit(1), "po\nison.jpg")
        with pytest.raises(
            ServiceError, match=r"^po\\nison\.jpg: 2 workers died of it, run again to try more$"
        ):
            future.result(60)
        work.run(executor, lambda name: None)
        assert (len(work.rows), work.failed) == (2, {})
        other = labelling(few, tmp_path, "other.npz")
        other.run(executor.client.get_executor(), lambda name: None)  # Dask's own does as well
    work.finish(), other.finish()
    assert (tmp_path / "t.npz").read_bytes() == (tmp_path / "other.npz").read_bytes()


def test_workers_that_join_later_and_cannot_label(dask, few, tmp_path):
    good, work = dask.worker(), labelling(few, tmp_path)
    with cluster.Cluster(dask.address, work) as executor:
        without = dask.worker(PYTHONPATH=old_package(dask.folder))
        work.run(executor, lambda name: None)
        without.wait(30)  # it got a task, died of it, and the other one did it
        assert (len(work.rows), work.failed) == (2, {})
        dask.worker(ADACOMPRESS_WEIGHTS=other_weights(dask.folder))
        good.kill()
        with pytest.raises(cluster.ClusterError, match="a worker cannot label: "):
            labelling(few, tmp_path, "other.npz").run(executor, lambda name: None)


@pytest.fixture
def few(tmp_path, photos):
    (tmp_path / "few").mkdir()
    for name in ("clock.jpg", "chelsea.jpg"):
        shutil.copy(photos / name, tmp_path / "few")
    return tmp_path / "few"


def old_package(folder):
    """A folder with a package in front of the right one that is as good as none."""
    (folder / "old" / "adacompress_ref").mkdir(parents=True)
    says = "raise ModuleNotFoundError(\"No module named 'adacompress_ref'\")"
    (folder / "old" / "adacompress_ref" / "__init__.py").write_text(says)
    return str(folder / "old")


def other_weights(folder):
    """A folder of weights with an extractor that is the same model, and another file."""
    weights = shutil.copytree(artifacts.shipped_folder(), folder / "weights")
    with open(weights / "mobilenetv2.onnx", "ab") as file:
        file.write(b"\x0a\x00")  # an empty field
    return str(weights)


def labelling(folder, tmp_path, table="t.npz"):
    encodings = (Encoding("jpeg", None, 5),)
    return Labelling(folder, "squeezenet", encodings, tmp_path / table)


def test_one_line_says_what_is_wrong(adacompress, dask, few, tmp_path, monkeypatch):
    monkeypatch.setattr(cluster, "PATIENCE", 3)
    label = ("label", "--images", "few", "-o", "t.npz", *QUICK, "--scheduler")

    def said(address):
        status, _, err = adacompress(*label, address)
        assert (status, err.count("\n")) == (2, 1), err
        assert not list(tmp_path.glob("t.npz*"))
        return err

    assert "no Dask scheduler (missing port number" in said("nonsense")
    assert "perhaps check your TLS configuration" in said("tls://127.0.0.1:1")
    assert "unknown address scheme 'http'" in said("http://127.0.0.1:1")
    assert r"\x1b[31m:1: no Dask scheduler" in said("\x1b[31m:1")
    with socket.create_server(("127.0.0.1", 0)) as silent:
        assert "it does not answer" in said(f"127.0.0.1:{silent.getsockname()[1]}")
    assert "has no worker; start one with `dask worker" in said(dask.address)
    worker = dask.worker(PYTHONPATH=old_package(dask.folder))
    assert "worker tcp://127.0.0.1:" in (err := said(dask.address))
    assert "No module named 'adacompress_ref'" in err
    worker.kill()
    dask.worker(ADACOMPRESS_WEIGHTS=other_weights(dask.folder))
    time.sleep(1)  # until the one killed is forgotten
    assert "mobilenetv2.onnx: another extractor; install the same weights" in said(dask.address)


def test_workers_of_other_versions(dask, few, tmp_path, monkeypatch):
    dask.worker()
    monkeypatch.setattr(cluster.PIL, "__version__", "0.1")
    with pytest.raises(cluster.ClusterError, match=r"worker tcp://\S+: has PIL .* here it is 0\.1"):
        cluster.Cluster(dask.address, labelling(few, tmp_path))
    with pytest.raises(cluster.ClusterError, match="gone: no such folder there; share it"):
        cluster._ready("gone", labelling(few, tmp_path).job)


def test_without_dask(adacompress, few, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "adacompress_ref.running.cluster")
    monkeypatch.delattr("adacompress_ref.running.cluster")
    label = ("label", "--images", few, *QUICK, "-o", "t.npz", "--scheduler", "h:1")
    assert (
        adacompress(*label)[2] == "adacompress: --scheduler needs Dask: pip install distributed\n"
    )


@contextlib.contextmanager
def tapped(address):
    """An address that leads to another, and the bytes that go there."""
    host, port = address.removeprefix("tcp://").split(":")
    listener, sent = socket.create_server(("127.0.0.1", 0)), bytearray()

    def pump(source, target, keep):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if keep:
                    sent.extend(data)
                target.sendall(data)
            target.shutdown(socket.SHUT_WR)

    def accept():
        with contextlib.suppress(OSError):
            while True:
                near, far = listener.accept()[0], socket.create_connection((host, int(port)))
                for pair in ((near, far, True), (far, near, False)):
                    threading.Thread(target=pump, args=pair, daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    with listener:
        yield f"tcp://127.0.0.1:{listener.getsockname()[1]}", sent


def test_no_credentials_are_sent_to_the_scheduler(adacompress, dask, few, monkeypatch):
    answer = {"responses": [{"labelAnnotations": [{"description": "cat", "score": 0.9}]}]}
    with (
        serving(lambda request: as_json(answer)) as (server, requests),
        contextlib.ExitStack() as s,
    ):
        monkeypatch.setenv("GOOGLE_VISION_ENDPOINT", server)
        dask.worker(GOOGLE_API_KEY="key-of-the-worker")
        monkeypatch.setenv("GOOGLE_API_KEY", "key-of-this-machine")
        address, sent = s.enter_context(tapped(dask.address))
        label = ("label", "--images", few, "--service", "google", "--encodings", "jpeg-q5")
        assert adacompress(*label, "-o", "t.npz", "--scheduler", address)[0] == 0
    assert {request.headers["X-Goog-Api-Key"] for request in requests} == {"key-of-the-worker"}
    assert b"clock.jpg" in sent and b"google" in sent  # it can be read
    assert b"key-of" not in sent
