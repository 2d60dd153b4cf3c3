"""Upload every encoding of every image of a folder once, and keep the answers in a table.

Finished rows lie in `TABLE.partial/` until all are there, so that stopping loses none.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Executor, Future, wait
from contextlib import suppress
from dataclasses import dataclass
from functools import cache, partial
from itertools import islice, takewhile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..core.equations import BEST_LABELS
from ..core.roles import Label
from ..imaging import codec
from ..imaging import read as images
from ..imaging.encoding import REFERENCE, Encoding
from ..imaging.extractor import Extractor, pool, tensor
from ..services import AccountError, Service, ServiceError, ask, limits, open_service
from ..storage.artifacts import ArtifactError, sha256
from ..storage.files import printable
from ..tables.table import Row, Source, Table, TableError
from ..views import drift
from ..views.features import POOLINGS, RESIZES
from .folder import find
from .lock import lock

AHEAD = 32  # images handed to the executor at a time; so many may be done again after a stop


@cache
def _extractor(path: str | None) -> Extractor:
    return Extractor(path, threads=1)


@cache
def _service(name: str, options: tuple[tuple[str, Any], ...]) -> Service:
    return open_service(name, threads=1, **dict(options))


@dataclass(frozen=True)
class Job:
    """What each image of a folder goes through; it runs in any process, on any machine."""

    source: Source
    pixel_limit: int
    options: tuple[tuple[str, Any], ...]  # of `open_service`
    extractor_path: str | None

    def open(self) -> tuple[Extractor, Service]:
        """The models of this process, opened at first use and kept, with one thread each.

        Raises ArtifactError where the extractor is not that of `source`, or as for `Extractor` and
        `open_service`.
        """
        extractor = _extractor(self.extractor_path)
        if extractor.sha256 != self.source.extractor:
            raise ArtifactError(f"{extractor.path}: another extractor; install the same weights")
        return extractor, _service(self.source.service, self.options)

    def label(self, path: str, name: str, known: Row | None = None) -> Row:
        """One row: every encoding of one image uploaded once, equal payloads only once.

        Of a row that is `known`, what `tuned` and `ladder` need alone; nothing is uploaded. Raises
        ImageError, ServiceError, or as for `open`.
        """
        photo = images.read(path, name=name, pixel_limit=self.pixel_limit)
        picture = photo.picture
        encodings = (*self.source.encodings, REFERENCE)
        extractor, service = self.open()
        if known:
            own = own_sizes(picture, encodings, known.bytes)
            context = drift.context(extractor, picture, known.bytes[-1])
            return known._replace(own_bytes=own, context=context)
        payloads = [codec.encode(picture, encoding) for encoding in encodings]
        sizes = np.array([len(payload) for payload in payloads])
        answers = {payload: ask(service, payload) for payload in dict.fromkeys(payloads)}
        none = [Label("", 0.0)] * BEST_LABELS
        best = [(answers[payload] + none)[:BEST_LABELS] for payload in payloads]
        maps = [extractor.run(tensor(picture, resize)[None]) for resize in RESIZES]
        pooled = [np.stack([pool(m, pooling)[0] for pooling in POOLINGS]) for m in maps]
        return Row(
            image=name,
            digest=hashlib.sha256(photo.file).hexdigest(),
            original_bytes=len(photo.file),
            bytes=sizes,
            own_bytes=own_sizes(picture, encodings, sizes),
            labels=np.array([[label.name for label in labels] for labels in best]),
            scores=np.array([[label.score for label in labels] for labels in best], np.float32),
            features=np.stack(pooled),
            context=drift.context(extractor, picture, len(payloads[-1])),
        )


def own_sizes(picture: Image.Image, encodings: Sequence[Encoding], sizes: np.ndarray) -> np.ndarray:
    """Sizes [n] of a picture with Huffman tables of its own; `sizes`: as `codec.encode` has them.

    Another size is that of JPEGs of full size alone. Raises ImageError.
    """
    own = sizes.copy()
    for place, encoding in enumerate(encodings):
        if encoding.name.startswith("jpeg-q"):
            own[place] = len(codec.encode(picture, encoding, own_tables=True))
    return own


class Labelling:
    """The work of `adacompress label`: what is done, what is left, what failed.

    Raises TableError at once where `path` holds answers of another kind, and ImageError,
    ArtifactError, ModelError or ServiceError where folder or service cannot be used.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        service: str,
        encodings: Sequence[Encoding],
        path: str | os.PathLike[str],
        pixel_limit: int = images.PIXEL_LIMIT,
        extractor: str | os.PathLike[str] | None = None,
        **options: Any,
    ) -> None:
        self.folder, self.path = Path(folder), Path(path)
        self._lock: int | None = None  # of those finished
        self.finished = Path(f"{path}.partial")
        extractor_path = None if extractor is None else os.path.abspath(extractor)
        self.source = Source(service, tuple(encodings), _extractor(extractor_path).sha256)
        self.job = Job(self.source, pixel_limit, tuple(sorted(options.items())), extractor_path)
        accepted = limits(self.job.open()[1]).formats
        for encoding in encodings:
            if encoding.format not in accepted:
                raise ServiceError(f"{service} does not take {encoding.format}: {encoding.name}")
        names = find(folder)
        self.finished.mkdir(parents=True, exist_ok=True)
        self._lock = lock(self.finished)
        self.rows = {row.image: row for row in self._kept()}
        for name in self.rows.keys() & set(names):
            with suppress(OSError):
                if sha256(self.folder / name) == self.rows[name].digest:
                    continue
            del self.rows[name]  # the answers of another version of the file
        self.left = [n for n in names if n not in self.rows or not self.rows[n].own_bytes.all()]
        self.done_before = len(names) - len(self.left)
        self.failed = {  # image: reason
            name: f"{printable(name)}: is gone; without it, {path} is not for tuned and ladder"
            for name, row in self.rows.items()
            if name not in names and not row.own_bytes.all()
        }

    def _kept(self) -> list[Row]:
        """Rows of an earlier run, from the table and from the partial folder."""
        rows = []
        files = [self.path] if self.path.exists() else []
        for file in files + sorted(self.finished.glob("*.npz")):
            table = Table.load(file)
            if table.source != self.source:
                kind = f"{table.source.service} for {len(table.source.encodings)} encodings"
                raise TableError(
                    f"{file if file == self.path else self.finished}: holds answers of {kind} by "
                    f"extractor {table.source.extractor[:8]}, not these; choose another name"
                )
            rows += table.rows()
        return rows

    def run(
        self,
        executor: Executor | None,
        on_image: Callable[[str], None],
        stopping: Callable[[], object] = lambda: False,
    ) -> None:
        """Label all that is left, in the executor's processes or here; `on_image` after each.

        Once `stopping()`, no other is begun. A failed image goes to `failed` and the others are
        done. Raises AccountError, which no other would change; what is done is kept.
        """
        if executor is None:
            for name in takewhile(lambda name: not stopping(), self.left):
                self._keep(name, partial(self.job.label, *self._needs(name)))
                on_image(name)
            return
        left = iter(self.left)
        running: dict[Future[Row], str] = {}
        ended: ServiceError | None = None
        try:
            while True:
                if stopping():
                    running = {future: n for future, n in running.items() if not future.cancel()}
                room = 0 if ended or stopping() else AHEAD - len(running)
                for name in islice(left, room):
                    running[executor.submit(self.job.label, *self._needs(name))] = name
                if not running:
                    break
                for future in wait(running, return_when=FIRST_COMPLETED).done:
                    name = running.pop(future)
                    try:
                        self._keep(name, future.result)
                    except AccountError as error:
                        ended = error  # after the others at work, whose answers are paid for
                    on_image(name)
        finally:
            for future in running:
                future.cancel()
        if ended:
            raise ended

    def _needs(self, name: str) -> tuple[str, str, Row | None]:
        path = os.path.abspath(self.folder / name)  # a worker's folder may be another
        return path, name, self.rows.get(name)

    def _keep(self, name: str, result: Callable[[], Row]) -> None:
        try:
            row = result()
        except AccountError:
            raise
        except (ValueError, ServiceError) as error:
            self.failed[name] = str(error)
            return
        key = hashlib.sha256(name.encode("utf-8", "surrogateescape")).hexdigest()[:24]
        Table.from_rows(self.source, [row]).save(self.finished / f"{key}.npz")
        self.rows[name] = row

    def finish(self) -> Table:
        """Write the table and remove the partial folder. Raises TableError if no row is there."""
        if not self.rows:
            raise TableError("no image could be labelled: there is no table to write")
        table = Table.from_rows(self.source, list(self.rows.values()))
        table.save(self.path)
        shutil.rmtree(self.finished, ignore_errors=True)
        return table

    def close(self) -> None:
        """Let other processes have the table; where nothing was labelled, nothing is left."""
        if self._lock is not None:
            if not any(self.finished.glob("*.npz")):
                shutil.rmtree(self.finished, ignore_errors=True)
            os.close(self._lock)
            self._lock = None

    __del__ = close
