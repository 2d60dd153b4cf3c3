"""Lines of a log: which are damaged, what was uploaded, totals."""

import pytest

from adacompress_ref.core.roles import Label, Upload
from adacompress_ref.running import runlog


def line_of(image, **fields):
    usual = {"bytes": 25, "bytes_sent": 25, "reference_bytes": 100, "original_bytes": 300}
    usual |= {"state": "inference", "answered_by": "compressed", "labels": [["cat", 0.5]]}
    return dict.fromkeys(runlog.FIELDS) | {"image": image, "alpha": 1.0} | usual | fields


@pytest.mark.parametrize(
    ("field", "value"),
    [
        *[("image", 5), ("state", None), ("encoding", 5), ("answered_by", [])],
        *[("bytes", -1), ("bytes", 0.5), ("bytes_sent", None), ("bytes_sent", 10**12)],
        *[("reference_bytes", 0), ("original_bytes", "300")],
        *[("labels", None), ("labels", ["cat"]), ("labels", [["cat", "0.5"]])],
        *[("compressed_labels", [["cat", 0.5, 1]]), ("compressed_labels", {})],
        *[("agreement", 2), ("p_est", "high"), ("p_est", 1.5), ("p_est", float("nan"))],
    ],
)
def test_a_damaged_line_is_told_by_its_field(field, value):
    whole = line_of("a", state="retrain", encoding="jpeg-q5", p_est=1, agreement=0.0)
    runlog.check(whole)
    with pytest.raises(ValueError, match=f"^{field} is "):
        runlog.check(whole | {field: value})
    del whole[field]
    with pytest.raises(ValueError, match=f"^has no {field}$"):
        runlog.check(whole)


def test_an_image_without_an_answer_has_no_more_than_its_name():
    runlog.check(runlog.failure("d", None, ValueError("damaged")))


def test_uploads_by_hand():
    cat, dog = ([Label(name, 0.5)] for name in ("cat", "dog"))
    pair = {"labels": [["cat", 0.5]], "compressed_labels": [["dog", 0.5]], "bytes_sent": 125}
    measured = line_of("a", answered_by="reference", **pair)
    assert runlog.uploads(measured) == (Upload(25, dog), Upload(100, cat))
    fell_back = measured | {"compressed_labels": None}
    assert runlog.uploads(fell_back) == (Upload(25, None), Upload(100, cat))
    assert runlog.uploads(line_of("a")) == (Upload(25, cat), Upload(0, None))
    assert runlog.uploads(line_of("a", labels=[], bytes_sent=125)) == (
        Upload(25, []),
        Upload(100, None),  # the reference had no answer
    )


def test_totals():
    lines = [
        line_of("a"),
        line_of("b", state="estimate", bytes=50, bytes_sent=150, agreement=1.0, labels=[])
        | {"answered_by": "reference", "compressed_labels": [["cat", 0.5]]},
        line_of("c", bytes_sent=125, answered_by="reference", fault="refused"),  # fell back
        runlog.failure("d", None, ValueError("damaged")),
        runlog.failure("e", None, ValueError("damaged")),
        line_of("e", alpha=2.0),  # mended since
    ]
    times = [{"image": "a", "upload": n / 100, "total": 1.0} for n in range(101)]
    totals = runlog.summary(lines, [*times, {"image": "d", "total": 1.0}])
    assert totals == {
        "images": 5,
        "failed": 1,
        "states": {"inference": 3, "estimate": 1},
        "unlabelled": 1,
        "faults": 1,
        "agreement": 1.0,
        "measured": 1,
        "asked_again": None,
        "size_ratio": pytest.approx((0.25 + 0.5 + 1 + 0.25) / 4),
        "net_size_ratio": pytest.approx((25 + 150 + 125 + 25) / 400),
        "bytes_sent": 325,
        "reference_bytes": 400,
        "original_bytes": 1200,
        "alpha": 2.0,
        "seconds": {
            "upload": {"p50": 0.5, "p90": 0.9, "p99": 0.99},
            "total": {"p50": 1.0, "p90": 1.0, "p99": 1.0},
        },
    }


def test_totals_of_nothing():
    totals = runlog.summary([], [])
    assert (totals["images"], totals["agreement"], totals["seconds"]) == (0, None, {})
