"""What a client asks of a service in its own format, and whether it may."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..core.roles import Label
from ..services import ServiceError, UnavailableError
from ..services.http import Response
from ..services.rekognition import NAME, TARGET, Rekognition, image_fields, parse_response
from ..services.signature import Credentials, sign
from ..storage.files import ImageError
from .formats import aws
from .wire import MISSHAPEN, Request, decoded

_SIGNED = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=([\w+=,.@-]+)/\d{{8}}/([a-z0-9-]+)/{NAME}/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
    re.ASCII,
)
_BESIDES = {"host", "x-amz-date", "x-amz-security-token"}  # what `sign` adds itself
_CLOCKS = timedelta(minutes=15)  # that they may differ, as with Amazon itself


class Asked(NamedTuple):
    """A request for labels: its fields, the image in them, and whether labels are all it asks."""

    fields: Mapping[str, Any]
    image: bytes
    only_labels: bool


def read(request: Request, token: str) -> Asked:
    """What a client of Rekognition asks for. Its secret key is the `token`, if there is one.

    Raises Refused, and ImageError for an image that is not base64.
    """
    if token:
        _check_signature(request, token)
    target = request.headers.get("X-Amz-Target", "")
    if (request.route, target) != ("POST /", TARGET):
        raise aws("AccessDeniedException", "You are not authorized to do that: labels alone")
    try:
        fields = json.loads(request.body)
        encoded, features = fields["Image"].get("Bytes"), fields.get("Features")
        if "S3Object" in fields["Image"]:
            raise aws("InvalidS3ObjectException", "Images are taken as bytes alone")
        image = decoded(encoded)
    except ImageError:
        raise
    except (*MISSHAPEN, RecursionError) as error:
        raise aws("InvalidParameterException", "Request has invalid parameters") from error
    return Asked(fields, image, features in (None, [], ["GENERAL_LABELS"]))


def _check_signature(request: Request, token: str) -> None:
    """Raises Refused where a request is not signed with the token, or long ago."""
    headers = request.headers
    match = _SIGNED.fullmatch(headers.get("Authorization", ""))
    if not match:
        raise aws("MissingAuthenticationTokenException", "Missing Authentication Token")
    key, region, signed, signature = match.groups()
    names, wrong = set(signed.split(";")), aws("InvalidSignatureException", "It does not match")
    if not names >= {"host", "x-amz-date", "x-amz-target"}:
        raise wrong
    if any(len(headers.get_all(name, [])) != 1 for name in names):
        raise wrong
    try:
        when = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
        when = when.replace(tzinfo=timezone.utc)
        session = headers["X-Amz-Security-Token"] if "x-amz-security-token" in names else ""
        given, url = Credentials(key, token, session), f"http://{headers['Host']}/"
        values = {name: headers[name] for name in names - _BESIDES}
        ours = sign(url, values, request.body, given, region, NAME, when)
    except ValueError:  # of the date, or of letters that none of ours has
        raise wrong from None
    if not hmac.compare_digest(ours["Authorization"].rpartition("=")[2], signature):
        raise wrong
    if abs(datetime.now(timezone.utc) - when) > _CLOCKS:
        raise aws("InvalidSignatureException", "Signature expired, or not yet current")


class AskedService:
    """The service as one client asks it: `label` sends the client's own fields, another image.

    It keeps what came back as it came, by payload and by error. `may_send` is asked before each
    upload. Raises ServiceError as the service does.
    """

    side_by_side = True

    def __init__(self, service: Rekognition, asked: Asked, may_send: Callable[[], bool]) -> None:
        self.service, self.asked, self.may_send = service, asked, may_send
        self.responses: dict[bytes | ServiceError, Response] = {}

    def __getattr__(self, name: str) -> Any:  # formats and limits
        return getattr(self.service, name)

    def label(self, payload: bytes) -> list[Label]:
        """The labels, as the client asks for them."""

        def parse(*response: Any) -> list[Label]:
            labels = list[Label]()
            try:  # an answer to other questions may have none
                if self.asked.only_labels or not 200 <= response[0] < 300:
                    labels = parse_response(*response)
            except ServiceError as error:
                self.responses[error] = response
                raise
            self.responses[payload] = response
            return labels

        if not self.may_send():
            raise UnavailableError("nobody waits for it any more", sent=False)
        return self.service.send({**self.asked.fields, "Image": image_fields(payload)}, parse)
