"""What is lost by any change of the bytes, and by none: references that are asked again.

Label services have answered the same bytes the same way; models that chat do not. What is lost so
is no encoding's fault, and no agreement beyond it is in reach.
"""

from __future__ import annotations

from typing import Any

from ..core import equations
from ..core.roles import Upload
from ..imaging import codec
from ..imaging.encoding import REFERENCE, Encoding
from ..imaging.read import Photo
from ..services import Service, ServiceError, ask_all

FINEST = Encoding("jpeg", None, 95)


def asked_again(photo: Photo, reference: Upload, service: Service) -> dict[str, Any]:
    """Fields of a line of the log: `again`, whether the best label of a reference is that of the
    same bytes, and of quality 95, [2]; and `again_bytes`, of both uploads.

    `again` is None where either has no answer. Raises ImageError, or as `ask_all`.
    """
    sent = [codec.encode(photo.picture, encoding) for encoding in (REFERENCE, FINEST)]
    answers = ask_all(service, sent)
    names = [label.name for label in reference.labels or ()]
    kept, size = [], 0
    for payload, answer in zip(sent, answers, strict=True):
        if isinstance(answer, ServiceError):
            size += len(payload) if answer.sent else 0
            continue
        size += len(payload)
        kept.append(equations.agreement(names, [label.name for label in answer]))
    return {"again": kept if len(kept) == len(sent) else None, "again_bytes": size}
