"""What is lost by any change of the bytes, and by none: references that are asked again.

Label services have answered the same bytes the same way; models that chat do not. What is lost so
is no encoding's fault, and no agreement beyond it is in reach.
"""

from __future__ import annotations

from typing import Any

from ..core.config import BaseConfig
from ..core.roles import Upload, measured
from ..imaging import codec
from ..imaging.encoding import REFERENCE, Encoding
from ..imaging.read import Photo
from ..services import Service, ask_all
from .live import upload_of

FINEST = Encoding("jpeg", None, 95)


def asked_again(
    photo: Photo, reference: Upload, service: Service, config: BaseConfig
) -> dict[str, Any]:
    """Fields of a line of the log: `again`, whether the best label of a reference is that of the
    same bytes, and of quality 95, [2]; and `again_bytes`, of both uploads.

    `again` is None where either has no answer. Raises ImageError, or as `ask_all`.
    """
    sent = [codec.encode(photo.picture, encoding) for encoding in (REFERENCE, FINEST)]
    uploads = [upload_of(*each) for each in zip(sent, ask_all(service, sent), strict=True)]
    kept = [measured(upload, reference, config)[1] for upload in uploads]
    size = sum(upload.size for upload in uploads)
    return {"again": None if None in kept else kept, "again_bytes": size}
