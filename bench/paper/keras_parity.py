"""Compare the authors' network, loaded from Keras HDF5, with Q-values that Keras computed.

`python -m bench.paper.keras_parity [AGENT.h5 VALUES.npz]`: VALUES holds `features` [n, inputs] and
`q_values` [n, actions]. It always prints one line of JSON.
"""

from __future__ import annotations

import json
import sys
import zipfile

import numpy as np

from adacompress_ref.keras_file import load_keras

from ..command import GOLDEN, parser

AGENT = GOLDEN / "authors_agent_imagenet_baidu.h5"
VALUES = GOLDEN / "authors_agent_q_values.npz"


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0: the same to 1e-4 and in the best level; 1: not; 2: a file is of no use."""
    command = parser("bench.paper.keras_parity", __doc__)
    command.add_argument("agent", nargs="?", default=AGENT, metavar="AGENT.h5")
    command.add_argument("values", nargs="?", default=VALUES, metavar="VALUES.npz")
    options = command.parse_args(arguments)
    try:
        agent = load_keras(options.agent)
        with np.load(options.values, allow_pickle=False) as file:
            features, expected = file["features"], file["q_values"]
    except (ValueError, OSError, KeyError, ImportError, EOFError, zipfile.BadZipFile) as error:
        print(f"keras_parity: {error}", file=sys.stderr)
        return 2
    found = agent.q_values(features)
    difference = float(np.abs(found - expected).max())
    same = bool((found.argmax(axis=1) == expected.argmax(axis=1)).all())
    report = {"vectors": len(features), "largest_difference": difference, "same_best_level": same}
    print(json.dumps(report))
    return 0 if same and difference < 1e-4 else 1


if __name__ == "__main__":
    sys.exit(main())
