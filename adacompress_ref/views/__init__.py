"""How an agent of a kind sees a photograph or a row of a table."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from ..imaging.encoding import Encoding
from ..imaging.extractor import Extractor
from ..imaging.read import Photo
from .payloads import Payloads


class View(Protocol):
    """What an agent's config says of its states, and of what may be sent."""

    encodings: tuple[Encoding, ...]  # the actions
    inputs: int  # numbers of a state, or of each of its rows
    probe: Encoding | None  # what a state is made by; then sizes are, and nothing above q75 is sent
    own_tables: bool  # whether the JPEGs it sends have Huffman tables of their own

    def of_photo(self, photo: Photo, payloads: Payloads, extractor: Extractor) -> np.ndarray: ...

    # Of rows of a table, or of one; `every`: actions that its service does not take are open too.
    def of_table(self, table: Any, rows: Any = slice(None), every: bool = False) -> np.ndarray: ...
    def stamp(self, sha256: str) -> dict[str, Any]: ...  # how states are made with this extractor

    # AC-9 of one action: [rows, columns] of E's map, in [-1, 1], 0 speaking for nothing.
    def heat(
        self, agent: Any, photo: Photo, state: np.ndarray, action: int, extractor: Extractor
    ) -> np.ndarray: ...
