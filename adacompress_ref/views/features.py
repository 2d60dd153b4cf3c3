"""The view of the paper's agent: s = E(x), the pooled features of the image as it was."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..core.config import Config
from ..imaging.encoding import Encoding, parse_all
from ..imaging.extractor import CHANNELS, INPUT_SIZE, Extractor, pool, tensor
from ..imaging.read import Photo
from .heat import map_gradient, signed
from .payloads import Payloads

RESIZES = ("bilinear", "nearest")  # the order of axis 1 of a table's features
POOLINGS = ("global", "corner")  # the order of axis 2


class FeatureView:
    """A `View`; states [channels]."""

    probe: Encoding | None = None
    own_tables = False

    def __init__(self, config: Config, channels: int = CHANNELS) -> None:
        self.config, self.inputs = config, channels
        self.encodings = parse_all(config.encodings)

    def of_photo(self, photo: Photo, payloads: Payloads, extractor: Extractor) -> np.ndarray:
        """[channels] float32."""
        view = tensor(photo.picture, self.config.resize, threads=extractor.threads)
        return pool(extractor.run(view[None]), self.config.pooling)[0]

    def of_table(self, table: Any, rows: Any = slice(None), every: bool = False) -> np.ndarray:
        """[N, channels]; of one row, [channels]."""
        resize, pooling = self.config.resize, self.config.pooling
        states: np.ndarray = table.features[rows, RESIZES.index(resize), POOLINGS.index(pooling)]
        return states

    def stamp(self, sha256: str) -> dict[str, Any]:
        """How states are made by the extractor of this hash; an agent fits no other."""
        made = {"resize": self.config.resize, "pooling": self.config.pooling}
        return {"sha256": sha256, "input_size": INPUT_SIZE} | made

    def heat(
        self, agent: Any, photo: Photo, state: np.ndarray, action: int, extractor: Extractor
    ) -> np.ndarray:
        """AC-9 of Q(s, c): [7, 7] in [-1, 1]."""
        feature_map = extractor.run(tensor(photo.picture, self.config.resize)[None])[0]
        by_feature = agent.network.input_gradient(state, action)
        return signed(map_gradient(by_feature, feature_map, self.config.pooling), feature_map)
