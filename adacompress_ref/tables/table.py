"""A table: every encoding of every image, uploaded once. What training and evaluation read."""

from __future__ import annotations

import os
from dataclasses import dataclass, fields, replace
from typing import NamedTuple

import numpy as np

from ..core.equations import BEST_LABELS
from ..core.roles import Label
from ..imaging.encoding import Encoding
from ..storage.arrays import load_arrays, save_arrays
from ..storage.files import reason
from ..survival import drift
from ..views.features import POOLINGS, RESIZES

FILE_FORMAT = 5  # of 3 and 4, all is read that presets paper and authors need


class TableError(ValueError):
    """A table cannot be read, or does not fit what is asked of it."""


class Row(NamedTuple):
    """One image of a table; A encodings, and the reference behind them."""

    image: str
    digest: str  # SHA-256 of the file
    original_bytes: int
    bytes: np.ndarray  # [A + 1] int64, as uploaded
    own_bytes: np.ndarray  # [A + 1] int64, with own Huffman tables; 0: not known, nor the context
    labels: np.ndarray  # [A + 1, 5] names, best first; "" where there are fewer
    scores: np.ndarray  # [A + 1, 5] float32
    features: np.ndarray  # [2 resizes, 2 poolings, channels] float32, of the image as it was
    context: np.ndarray  # [9] float32, survival/drift.py


@dataclass(frozen=True)
class Source:
    """What all rows of a table have in common."""

    service: str
    encodings: tuple[Encoding, ...]
    extractor: str  # SHA-256


@dataclass(frozen=True)
class Table:
    """N images, A encodings; the reference stands last on the axis of encodings."""

    source: Source
    images: list[str]
    digests: list[str]
    original_bytes: np.ndarray  # [N]
    bytes: np.ndarray  # [N, A + 1]
    own_bytes: np.ndarray  # [N, A + 1]
    labels: np.ndarray  # [N, A + 1, 5]
    scores: np.ndarray  # [N, A + 1, 5]
    features: np.ndarray  # [N, 2, 2, channels]
    context: np.ndarray  # [N, 9]

    @classmethod
    def from_rows(cls, source: Source, rows: list[Row]) -> Table:
        """Rows in the order of their names."""
        in_order = sorted(rows, key=lambda row: row.image)
        images, digests, *numbers = zip(*in_order, strict=True)
        return cls(source, list(images), list(digests), *map(np.stack, numbers))

    def rows(self) -> list[Row]:
        """The inverse of `from_rows`."""
        columns = [getattr(self, field.name) for field in fields(self)[1:]]
        return [Row(*values) for values in zip(*columns, strict=True)]

    def only(self, encodings: tuple[Encoding, ...]) -> Table:
        """The same with some of its encodings, in this order. Raises TableError."""
        missing = [each.name for each in encodings if each not in self.source.encodings]
        if missing:
            raise TableError(f"the table has no encoding {missing[0]}; label --preset makes one")
        places = [self.source.encodings.index(each) for each in encodings]
        return replace(
            self,
            source=replace(self.source, encodings=encodings),
            **{
                name: getattr(self, name)[:, [*places, -1]]
                for name in ("bytes", "own_bytes", "labels", "scores")
            },
        )

    def answered(self, min_score: float) -> Table:
        """The same of a service that says no label below a score, as real ones do."""
        said = self.scores >= min_score
        scores = np.where(said, self.scores, np.float32(0))
        return replace(self, labels=np.where(said, self.labels, ""), scores=scores)

    def sizes(self, own_tables: bool = False) -> np.ndarray:
        """Bytes of what is sent, and behind it of the reference, [N, A + 1].

        With `own_tables`, all but the reference have those. Raises TableError where not known.
        """
        if own_tables and not self.own_bytes.all():
            raise TableError(
                "nothing for presets tuned and ladder, as an earlier version made this table; "
                "run the same `adacompress label` on it again, which uploads nothing"
            )
        sent = self.own_bytes if own_tables else self.bytes
        return np.concatenate([sent[:, :-1], self.bytes[:, -1:]], axis=1)

    def size_ratios(self, own_tables: bool = False) -> np.ndarray:
        """AC-2 of every image and encoding, [N, A]. Raises TableError as `sizes`."""
        sizes = self.sizes(own_tables)
        return sizes[:, :-1] / sizes[:, -1:]

    def answers(self, image: int, column: int) -> list[Label]:
        """Labels of one upload, best first."""
        pairs = zip(self.labels[image, column], self.scores[image, column], strict=True)
        return [Label(str(name), float(score)) for name, score in pairs if name]

    def indices(self, names: list[str]) -> np.ndarray:
        """Where the images of these names stand. Raises TableError for one that is not here."""
        places = {name: place for place, name in enumerate(self.images)}
        missing = [name for name in names if name not in places]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise TableError(f"the table has no image {missing[0]!r}{more}")
        return np.array(sorted({places[name] for name in names}), np.int64)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write one .npz, through a temporary file."""
        encodings = [encoding.name for encoding in self.source.encodings]
        description = vars(self.source) | {"format": FILE_FORMAT, "encodings": encodings}
        names, places = np.unique(self.labels, return_inverse=True)
        arrays = {field.name: getattr(self, field.name) for field in fields(self)[1:]}
        arrays |= {"labels": places.reshape(self.labels.shape).astype(np.int32), "names": names}
        save_arrays(path, description, arrays)

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> Table:
        """Read what `save` wrote. Raises TableError."""
        try:
            description, arrays = load_arrays(path)
            if description["format"] not in (3, 4, FILE_FORMAT):
                raise ValueError(f"its format, {description['format']!r:.40}, is not known")
            encodings = tuple(Encoding.parse(name) for name in description["encodings"])
            source = Source(description["service"], encodings, description["extractor"])
            arrays["labels"] = arrays.pop("names")[arrays["labels"]]
            if description["format"] != FILE_FORMAT:
                arrays["own_bytes"] = np.zeros_like(arrays["bytes"])
                arrays.pop("drift")
            images, digests = (list(map(str, arrays.pop(name))) for name in ("images", "digests"))
            table = cls(source, images, digests, **arrays)
            table._check()
            return table
        except FileNotFoundError as error:
            raise TableError(f"{path}: there is no such table; `label` makes one") from error
        except Exception as error:  # damaged in any of many ways
            raise TableError(f"{path}: not a table, or damaged ({reason(error)})") from error

    def _check(self) -> None:
        """Raises ValueError where its arrays do not fit together, or have numbers of no table."""
        images, columns = len(self.images), len(set(self.source.encodings)) + 1
        for name, kinds, *shape in (
            ("original_bytes", "iu"),
            ("bytes", "iu", columns),
            ("own_bytes", "iu", columns),
            ("labels", "U", columns, BEST_LABELS),
            ("scores", "f", columns, BEST_LABELS),
            ("features", "f", len(RESIZES), len(POOLINGS), self.features.shape[-1]),
            ("context", "f", drift.CONTEXT),
        ):
            array = getattr(self, str(name))
            if array.shape != (images, *shape) or array.dtype.kind not in str(kinds):
                raise ValueError(f"its {name} do not fit the rest")
            if kinds == "f" and not np.isfinite(array).all():
                raise ValueError(f"its {name} are not all numbers")
        in_range = (self.scores >= 0) & (self.scores <= 1 + 1e-6)
        sizes = (self.bytes > 0) & (self.own_bytes >= 0)
        if len(self.digests) != images or not in_range.all() or not sizes.all():
            raise ValueError("its digests, scores or bytes are none of a table")
