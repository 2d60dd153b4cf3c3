"""E: the frozen MobileNetV2 on ONNX Runtime, and the states built on its feature map."""

from __future__ import annotations

import hashlib
import math
import os
from functools import partial
from itertools import pairwise

import numpy as np
from PIL import Image

from ..storage import artifacts
from ..storage.files import reason
from . import codec, sidecar
from .parallel import at_once, cores
from .session import ModelError, open_session
from .sidecar import Normalisation
from .trunk import MAP, cut

INPUT_SIZE = 224  # pixels a side
CHANNELS = 1280  # of the shipped one's map
CORNER = 4  # cells a side, of 7: what the authors' AveragePooling2D(4, 4) keeps


def tensor(
    picture: Image.Image, resize: str, side: int = INPUT_SIZE, threads: int = 1
) -> np.ndarray:
    """A picture -> [3, side, side] float32 in [-1, 1]: the whole image made square.

    `resize` is nearest or bilinear, on upright slices in so many threads, with the same pixels.
    """
    if resize == "bilinear":
        # the same to the eye, and of 12 megapixels 4 times as fast
        picture = codec.reduced(picture, 3 * side)
    slices = math.gcd(side, threads) if resize == "bilinear" else 1
    edges = [picture.width * place / slices for place in range(slices + 1)]
    jobs = [
        partial(codec.resized, picture, (side // slices, side), resize, (x0, 0, x1, picture.height))
        for x0, x1 in pairwise(edges)
    ]
    pixels = np.concatenate(
        [np.asarray(part) for part in at_once(jobs, threads)], axis=1
    )  # [side, side, 3] uint8
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    scaled = np.multiply(planes, 1 / 127.5, dtype=np.float32)
    scaled -= 1
    return scaled


def pool(feature_map: np.ndarray, pooling: str) -> np.ndarray:
    """Feature maps [n, channels, rows, columns] -> [n, channels], the mean over some cells.

    Of all (`global`), of the `corner`, or of all but a fifth at each side (`centre`).
    """
    n, channels, rows, columns = feature_map.shape
    edge = rows // 5
    kept = {"corner": slice(CORNER), "centre": slice(edge, rows - edge)}.get(pooling, slice(None))
    cells = np.zeros((rows, columns), np.float32)
    cells[kept, kept] = 1
    cells /= cells.sum()
    return feature_map.reshape(n, channels, -1) @ cells.ravel()  # 0.01 ms; mean(): 0.15


class Extractor:
    """E. Thread-safe: the session may be shared, nothing else changes.

    `path` names another MobileNetV2 in ONNX than the shipped one, with a sidecar beside it: E is
    then what `trunk.cut` leaves of it. `threads` (None: one a core) share each run, or with
    `at_once` have one each, which is faster for several. Raises ArtifactError or ModelError.
    """

    def __init__(
        self,
        path: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        at_once: bool = False,
    ) -> None:
        self.path = artifacts.find("mobilenetv2.onnx", path)
        self.threads = threads or cores()
        self.normalisation: Normalisation | None = None  # none: RGB in [-1, 1], as in `tensor`
        model, self.channels, self.channels_last = None, CHANNELS, False
        description = sidecar.beside(self.path)
        if description.is_file():
            self.normalisation = Normalisation.read(sidecar.Fields(description))
            model = cut(self.path, self.normalisation.layout == "NHWC")
            kind = repr(self.normalisation).encode()
            self.sha256 = hashlib.sha256(model + kind).hexdigest()  # of all that makes a state
        else:
            self.sha256 = artifacts.sha256(self.path)
        self.session = open_session(self.path, 1 if at_once else self.threads, model)
        entry = self.session.get_inputs()[0]
        self.input_name = entry.name
        self.input_type = np.float16 if entry.type == "tensor(float16)" else np.float32
        outputs = [output.name for output in self.session.get_outputs()]
        self.output_name = MAP if MAP in outputs else outputs[0]
        if not model and MAP not in outputs:
            raise ModelError(
                f"{self.path}: has neither an output named map nor a sidecar, {description.name}, "
                "that says how it wants its input; see weights/README.md"
            )
        if model or path is not None:
            self._try()

    def _try(self) -> None:
        """See how another model's map is laid out. Raises ModelError."""
        try:
            shape = self.run(np.zeros((1, 3, 64, 96), np.float32)).shape
        except Exception as error:  # its exceptions share no base class
            layout = self.normalisation.layout if self.normalisation else "NCHW"
            raise ModelError(
                f"{self.path}: does not take images of any size as {layout}; its sidecar names the "
                f"layout ({reason(error)})"
            ) from error
        self.channels_last = shape[1:3] == (2, 3)
        if len(shape) != 4 or (not self.channels_last and shape[2:] != (2, 3)):
            raise ModelError(
                f"{self.path}: of 64 x 96 pixels it makes a map {list(shape)}; "
                "a MobileNetV2 has one cell for 32 x 32 pixels, which may be an output called map"
            )
        self.channels = shape[3 if self.channels_last else 1]

    def run(self, tensors: np.ndarray) -> np.ndarray:
        """Tensors [n, 3, side, side] float32 -> feature maps [n, channels, side / 32, side / 32].

        At the side of 224 pixels that E was trained for: 7 x 7 cells, of 1280 channels.
        """
        if self.normalisation:
            tensors = self.normalisation((tensors.transpose(0, 2, 3, 1) + 1) * 127.5)
        inputs = {self.input_name: tensors.astype(self.input_type, copy=False)}
        maps = self.session.run([self.output_name], inputs)[0]
        maps = maps.astype(np.float32, copy=False)  # of float16
        return maps.transpose(0, 3, 1, 2) if self.channels_last else maps
