"""Tables: what is saved comes back, and what is no table is refused."""

import dataclasses

import numpy as np
import pytest

from adacompress_ref.agents import view_of
from adacompress_ref.core.config import PAPER
from adacompress_ref.core.roles import Label
from adacompress_ref.imaging.encoding import Encoding
from adacompress_ref.storage.arrays import load_arrays, save_arrays
from adacompress_ref.survival import drift
from adacompress_ref.survival.config import TUNED
from adacompress_ref.tables.environment import RecordedImage
from adacompress_ref.tables.table import Table, TableError

LABELS = [[("cat",), (), ("cat", "dog")], [("äpple",), ("b", "c", "d", "e", "f"), ()]]
SIZES = [[10, 20, 40], [30, 60, 60]]


def names(table):
    return tuple(encoding.name for encoding in table.source.encodings)


@pytest.fixture
def table(make_table):
    return make_table(LABELS, SIZES)


def same(one, other):
    assert one.source == other.source
    assert (one.images, one.digests) == (other.images, other.digests)
    for name in [field.name for field in dataclasses.fields(Table)][3:]:
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name))
        assert getattr(one, name).dtype.kind == getattr(other, name).dtype.kind


def test_saved_and_loaded_twice_gives_the_same_bytes(table, tmp_path):
    table.save(tmp_path / "a.npz")
    loaded = Table.load(tmp_path / "a.npz")
    same(loaded, table)
    loaded.save(tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.npz", "b.npz"]


def test_rows_stand_in_the_order_of_their_names(table):
    shuffled = Table.from_rows(table.source, table.rows()[::-1])
    assert shuffled.images == ["0.jpg", "1.jpg"]
    same(shuffled, table)


def test_size_ratios_by_hand(table):
    np.testing.assert_allclose(table.size_ratios(), [[0.25, 0.5], [0.5, 1.0]])


def test_sizes_by_hand(make_table):
    own = [[8, 15, 37], [25, 50, 55]]
    table = make_table(LABELS, SIZES, own=own)
    assert table.sizes().tolist() == SIZES
    assert table.sizes(own_tables=True).tolist() == [[8, 15, 40], [25, 50, 60]]
    np.testing.assert_allclose(
        table.size_ratios(own_tables=True), [[8 / 40, 15 / 40], [5 / 12, 5 / 6]]
    )
    few = table.only(table.source.encodings[1:])
    assert few.sizes(own_tables=True).tolist() == [[15, 40], [50, 60]]


def test_each_view_has_the_sizes_of_what_it_sends(make_table):
    table = make_table(LABELS, SIZES, own=[[8, 15, 37], [25, 50, 55]])
    tuned = view_of(TUNED.replace(encodings=names(table)))
    paper = view_of(PAPER.replace(encodings=names(table)))
    assert (tuned.own_tables, paper.own_tables) == (True, False)
    np.testing.assert_allclose(tuned.of_table(table, 0)[:, -1], [8 / 40, 15 / 40])
    for view, sizes in ((tuned, [15, 40]), (paper, [20, 40])):
        uploads = RecordedImage(table, 0, view).upload(1, True)
        assert [upload.size for upload in uploads] == sizes


def test_a_table_of_before_is_for_the_published_presets_alone(make_table, tmp_path):
    table = make_table([[("cat",)] * 4], [[10, 20, 30, 40]], ["jpeg-9-q5", "jpeg-q5", "webp-q5"])

    def of_before(description, arrays):
        description.update(format=3)
        arrays.pop("own_bytes")
        arrays["drift"] = np.zeros((1, 3, 2), np.float32)

    loaded = Table.load(changed(table, tmp_path, of_before))
    assert loaded.own_bytes.tolist() == [[0, 0, 0, 0]]
    assert loaded.sizes().tolist() == table.sizes().tolist()
    view_of(PAPER.replace(encodings=names(table))).of_table(loaded)
    tuned = view_of(TUNED.replace(encodings=names(table)))
    for read in (tuned.of_table, lambda table: RecordedImage(table, 0, tuned)):
        with pytest.raises(
            TableError, match=r"nothing for presets tuned and ladder.* label` on it again"
        ):
            read(loaded)
    loaded.save(tmp_path / "again.npz")  # they stay unknown
    assert not Table.load(tmp_path / "again.npz").own_bytes.any()


def test_answers_with_fewer_than_five_labels(table):
    assert table.answers(0, 0) == [Label("cat", 0.5)]
    assert table.answers(0, 1) == []
    assert table.answers(0, -1) == [Label("cat", 0.5), Label("dog", 0.5)]
    assert [label.name for label in table.answers(1, 1)] == ["b", "c", "d", "e", "f"]


@pytest.mark.parametrize("resize", ["bilinear", "nearest"])
@pytest.mark.parametrize("pooling", ["global", "corner"])
def test_states_are_those_of_the_config(table, resize, pooling):
    table.features[:] = 0
    table.features[:, int(resize == "nearest"), int(pooling == "corner"), 7] = 1
    view = view_of(PAPER.replace(resize=resize, pooling=pooling))
    states = view.of_table(table)
    assert states.shape == (2, 1280)
    assert (states[:, 7] == 1).all()
    np.testing.assert_array_equal(view.of_table(table, 1), states[1])


def test_states_of_drift_have_a_row_for_each_encoding(table):
    view = view_of(TUNED.replace(encodings=names(table)))
    states = view.of_table(table)
    assert states.shape == (2, 2, 9 + 2 + 3)
    np.testing.assert_array_equal(states[:, :, -1], table.size_ratios())
    np.testing.assert_allclose(states[:, :, -2], np.log(table.size_ratios()), rtol=1e-6)
    for image in range(2):
        ratios = table.size_ratios()[image]
        rows = drift.rows(table.context[image], ratios, table.bytes[image, -1])
        np.testing.assert_array_equal(states[image], rows)
        np.testing.assert_array_equal(view.of_table(table, image), rows)


def test_smaller_jpegs_are_closed_where_the_table_has_webp(make_table):
    table = make_table([[("cat",)] * 4], [[10, 20, 30, 40]], ["jpeg-9-q5", "jpeg-q5", "webp-9-q5"])
    view = view_of(TUNED.replace(encodings=names(table)))
    assert view.of_table(table)[0, :, -1].tolist() == [np.inf, 0.5, 0.75]
    assert view.of_table(table, 0, every=True)[:, -1].tolist() == [0.25, 0.5, 0.75]


def test_states_count_what_is_larger_than_the_reference_as_the_reference(make_table):
    table = make_table([[("cat",)] * 3], [[30, 50, 40]])
    view = view_of(TUNED.replace(encodings=names(table)))
    np.testing.assert_allclose(view.of_table(table)[0, :, -2:], [[np.log(0.75), 0.75], [0, 1]])
    assert table.size_ratios()[0, 1] == 1.25


def test_indices(table):
    assert table.indices(["1.jpg", "0.jpg", "1.jpg"]).tolist() == [0, 1]
    with pytest.raises(TableError, match=r"no image 'x\.jpg'$"):
        table.indices(["0.jpg", "x.jpg"])
    with pytest.raises(TableError, match=r"no image 'x\.jpg' and 1 more"):
        table.indices(["x.jpg", "0.jpg", "y.jpg"])


def test_a_table_that_is_not_there(tmp_path):
    with pytest.raises(TableError, match=r"nothing\.npz: there is no such table"):
        Table.load(tmp_path / "nothing.npz")


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_truncated_table_is_refused(table, tmp_path, share):
    path = tmp_path / "cut.npz"
    table.save(path)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])
    with pytest.raises(TableError, match=r"cut\.npz"):
        Table.load(path)


def test_other_files_are_refused(tmp_path, photos):
    for path in (photos / "chelsea.jpg", tmp_path):
        with pytest.raises(TableError, match=path.name):
            Table.load(path)


def test_a_pickle_is_not_opened(tmp_path):
    path = tmp_path / "pickle.npz"
    with open(path, "wb") as file:
        np.savez(file, description=np.array([{"format": 1}], dtype=object))
    with pytest.raises(TableError, match=r"pickle\.npz.*allow_pickle"):
        Table.load(path)


def changed(table, tmp_path, change):
    path = tmp_path / "changed.npz"
    table.save(path)
    description, arrays = load_arrays(path)
    change(description, arrays)
    save_arrays(path, description, arrays)
    return path


@pytest.mark.parametrize(
    "change",
    [
        lambda description, arrays: description.update(format=2),
        lambda description, arrays: description.update(encodings=["jpeg-q5"]),
        lambda description, arrays: description.pop("service"),
        lambda description, arrays: arrays.update(bytes=arrays["bytes"][:1]),
        lambda description, arrays: arrays.pop("own_bytes"),
        lambda description, arrays: arrays.update(own_bytes=arrays["own_bytes"][:, :1]),
        lambda description, arrays: arrays.update(own_bytes=-arrays["own_bytes"]),
        lambda description, arrays: arrays.update(labels=arrays["labels"] + 99),
        lambda description, arrays: arrays.pop("scores"),
        lambda description, arrays: arrays.update(scores=arrays["scores"][:1]),
        lambda description, arrays: arrays.update(features=arrays["features"][:, :1]),
        lambda description, arrays: arrays.update(digests=arrays["digests"][:1]),
        lambda description, arrays: arrays.update(original_bytes=arrays["original_bytes"][:1]),
        lambda description, arrays: arrays.pop("context"),
        lambda description, arrays: arrays.update(context=arrays["context"][:, :8]),
        lambda description, arrays: description.update(format=4),  # which had more
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(table, tmp_path, change):
    with pytest.raises(TableError, match=r"changed\.npz"):
        Table.load(changed(table, tmp_path, change))


def test_some_of_its_encodings_in_another_order(make_table):
    names = ["jpeg-q5", "jpeg-q25", "jpeg-q45"]
    labels = [[("a",), ("b",), ("c",), ("d",)], [("e",), ("f",), ("g",), ("h",)]]
    table = make_table(labels, [[10, 20, 30, 40], [30, 60, 90, 120]], names)
    few = tuple(map(Encoding.parse, ("jpeg-q45", "jpeg-q5")))
    only = table.only(few)
    assert only.source == dataclasses.replace(table.source, encodings=few)
    assert only.bytes.tolist() == [[30, 10, 40], [90, 30, 120]]
    assert only.labels[:, :, 0].tolist() == [["c", "a", "d"], ["g", "e", "h"]]
    assert only.scores.shape == (2, 3, 5)
    assert only.images == table.images
    np.testing.assert_array_equal(only.features, table.features)
    same(table.only(table.source.encodings), table)
    assert table.source.encodings == tuple(map(Encoding.parse, names))  # as it was
    with pytest.raises(TableError, match=r"^the table has no encoding jpeg-q15; label --"):
        table.only((few[0], Encoding("jpeg", None, 15)))
