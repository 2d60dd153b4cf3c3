"""What needs no agent, beside an evaluation: fixed levels calibrated, and mixed in hindsight."""

import json

import numpy as np
import pytest

from adacompress_ref.cli.alternatives import calibrate


@pytest.mark.parametrize(
    ("goal", "count", "client", "net"),
    [
        # cheap goes with the first image (.1), the middle one stays (.4 + .4): two references, .8
        (1, 2, 3 / 4, 2 + 0.1 + 0.8 + 0.8),
        (0.5, 2, 3 / 4, 2 + 0.2 + 0.2),  # cheap may lose one of two; its next loss is the client's
        (1, 3, 1, 3 + 0.1 + 1.2 + 0.9),  # what is left is quality 75, which is not tried
    ],
)
def test_calibration_by_hand(goal, count, client, net):
    kept = np.array([[0, 1, 1], [1, 1, 1], [0, 0, 1], [1, 1, 1]], bool)
    ratios = np.tile([0.1, 0.4, 0.9], (4, 1))
    assert calibrate(kept, ratios, goal, count) == pytest.approx((client, net / 4))


def test_their_rows_stand_before_those_of_all_levels(adacompress, photo_table):
    """Calibrating on twice as many images costs more; mixing in hindsight costs least."""
    status, out, err = adacompress("evaluate", "--table", photo_table, "--json")
    assert (status, err) == (0, "")
    policies = json.loads(out)["policies"]
    rows = {row["name"]: row for row in policies}
    names = ["mixture", "calibrate-50", "calibrate-100", "random", "agent", "oracle"]
    assert [row["name"] for row in policies[-6:]] == names
    assert rows["mixture"]["agreement"] == pytest.approx(rows["agent"]["agreement"])
    sizes = [rows[name]["size_ratio"] for name in names[:3]]
    assert sizes == sorted(sizes)
    for name in names[:3]:
        low, high = rows[name]["intervals"]["size_ratio"]
        assert low <= rows[name]["size_ratio"] <= high
        assert rows[name]["reward"] == pytest.approx(
            rows[name]["agreement"] - rows[name]["size_ratio"]
        )
