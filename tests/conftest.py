"""Fixtures that several test files share."""

import io
import os
import shutil
import sys
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import pytest
from hypothesis import settings
from weights_helpers import write_manifest

# Same examples on every run and on every machine, and no limit that a busy machine can break.
settings.register_profile(
    "repeatable", derandomize=True, deadline=None, database=None, max_examples=60
)
settings.load_profile("repeatable")

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # before any test imports ONNX Runtime

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def shared():
    """The folder of golden data and photographs, which is not part of the repository."""
    named = os.environ.get("ADACOMPRESS_TEST_DATA")
    folder = Path(named) if named else REPOSITORY.parent / "shared"
    if not folder.is_dir():
        pytest.skip("no golden data: set ADACOMPRESS_TEST_DATA to their folder")
    return folder


@pytest.fixture(scope="session")
def photos():
    """The folder of photographs that the repository ships."""
    return REPOSITORY / "tests" / "photos"


@pytest.fixture(scope="session")
def photo_table(photos, tmp_path_factory):
    """The path of a table of these photographs, labelled by the bundled service."""
    from adacompress_ref.imaging.encoding import TEN_LEVELS
    from adacompress_ref.running.labelling import Labelling

    work = Labelling(photos, "squeezenet", TEN_LEVELS, tmp_path_factory.mktemp("t") / "photos.npz")
    with ProcessPoolExecutor(2) as executor:
        work.run(executor, lambda name: None)
    work.finish()
    return work.path


@pytest.fixture
def places(tmp_path, monkeypatch):
    """Empty folders in the place of all that weights are searched in; `shipped` has a manifest."""
    from adacompress_ref.storage import artifacts

    for name in ("named", "shipped", "cache/adacompress_ref"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setenv("ADACOMPRESS_WEIGHTS", str(tmp_path / "named"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("ADACOMPRESS_OFFLINE", raising=False)
    monkeypatch.setattr(artifacts, "shipped_folder", lambda: tmp_path / "shipped")
    write_manifest(tmp_path, {}, {})
    return tmp_path


@pytest.fixture(scope="session")
def make_table():
    """A function that makes a table from names and sizes, [images][encodings + 1].

    Image n is called `n.jpg`, its file's digest is `digest-n`, its features are the n-th unit
    vector, its context is n everywhere. With Huffman tables of its own a file has as many bytes, or
    `own`, [images][encodings + 1].
    """
    import numpy as np

    from adacompress_ref.imaging.encoding import Encoding
    from adacompress_ref.tables.table import Row, Source, Table

    def make(labels, sizes, encodings=("jpeg-q5", "jpeg-q25"), extractor="sha of E", own=None):
        rows = []
        sizes_of = zip(labels, sizes, own or sizes, strict=True)
        for n, (answers, counts, own_counts) in enumerate(sizes_of):
            names = np.array([[*answer, *[""] * (5 - len(answer))] for answer in answers])
            features = np.zeros((2, 2, 1280), np.float32)
            features[:, :, n] = 1
            rows.append(
                Row(
                    f"{n}.jpg",
                    f"digest-{n}",
                    1000,
                    np.array(counts),
                    np.array(own_counts),
                    names,
                    np.where(names == "", 0, 0.5).astype(np.float32),
                    features,
                    np.full(9, n, np.float32),
                )
            )
        source = Source("fake", tuple(Encoding.parse(name) for name in encodings), extractor)
        return Table.from_rows(source, rows)

    return make


@pytest.fixture
def adacompress(capsys, tmp_path, monkeypatch):
    """A function that runs a command in an empty folder: status, output, messages."""
    from adacompress_ref.cli import main as cli

    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        try:
            status = cli.main([str(each) for each in arguments])
        except SystemExit as end:  # argparse
            status = end.code
        printed = capsys.readouterr()
        assert "Traceback" not in printed.err
        return status, printed.out, printed.err

    return run


@pytest.fixture
def few(tmp_path, photos):
    """A folder of three photographs."""
    folder = tmp_path / "few"
    folder.mkdir()
    for name in ("chelsea.jpg", "clock.jpg", "microaneurysms.jpg"):
        shutil.copy(photos / name, folder)
    return folder


@pytest.fixture
def piped(adacompress, monkeypatch):
    """Like `adacompress`, with bytes on standard input, none where it is closed; its output too."""

    def run(data, *arguments):
        with monkeypatch.context() as patch:
            stream = None if data is None else io.TextIOWrapper(io.BytesIO(data))
            patch.setattr(sys, "stdin", stream)
            patch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO()))
            status, _, err = adacompress(*arguments)
            return status, sys.stdout.buffer.getvalue(), err

    return run
