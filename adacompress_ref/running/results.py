"""What `AdaCompress` answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from ..core.equations import size_ratio
from ..core.roles import Label, Step
from ..imaging.encoding import Encoding


def _quality(result: Choice | Result) -> int | None:
    """Of the encoding; None for `original`, and where it is pending."""
    name = result.encoding
    return None if name in (None, "original") else Encoding.parse(name).quality


@dataclass(frozen=True, eq=False)  # arrays have no one answer to ==
class Choice:
    """What would be uploaded for one image."""

    encoding: str  # a name like jpeg-q15; `original` where the file itself is smaller
    payload: bytes = field(repr=False)
    reference_bytes: int | None  # of JPEG quality 75, where it was asked for
    q_values: np.ndarray  # [actions]
    original_bytes: int  # the file as it was
    lost_exif: Sequence[str] = ()  # names of tags that could not be kept
    quality = property(_quality)

    @property
    def size_ratio(self) -> float | None:
        """AC-2."""
        if self.reference_bytes is None:
            return None
        return size_ratio(len(self.payload), self.reference_bytes)


@dataclass(frozen=True, eq=False)
class Result:
    """What became of one upload. `step` has all that was measured; None where it is pending."""

    labels: Sequence[Label] = ()  # best first
    state: str | None = None  # inference, estimate or retrain
    bytes_sent: int = 0  # both uploads where there were two
    encoding: str | None = None
    reference_bytes: int | None = None  # what always sending the reference would have cost
    original_bytes: int = 0  # the file as it was
    step: Step | None = None
    pending: bool = False  # not answered yet: it waits in the queue, see `send_waiting`
    fault: str | None = None  # why it waits, or why one of two uploads had no answer
    seconds: dict[str, float] = field(default_factory=dict)  # of decision, encode, upload
    quality = property(_quality)
