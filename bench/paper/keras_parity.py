"""Compare the authors' network, loaded from Keras HDF5, with Q-values that Keras computed.

`python -m bench.paper.keras_parity AGENT.h5 VALUES.npz`: VALUES holds `features` [n, inputs] and
`q_values` [n, actions].
"""

from __future__ import annotations

import argparse
import json
import sys
import zipfile

import numpy as np

from adacompress_ref.core.agent import DQNAgent


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("agent", metavar="AGENT.h5")
    parser.add_argument("values", metavar="VALUES.npz")
    arguments = parser.parse_args()
    try:
        agent = DQNAgent.from_keras(arguments.agent)
        with np.load(arguments.values, allow_pickle=False) as file:
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
