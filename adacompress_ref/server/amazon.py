"""Clients of Rekognition, whose secret key is the gateway's token: the signature is checked."""

from __future__ import annotations

import hmac
import json
import re
from datetime import datetime, timedelta, timezone

from ..services import rekognition
from ..services.rekognition import NAME, TARGET
from ..services.signature import Credentials, sign
from ..storage.files import ImageError
from .clients import Asked, Clients
from .formats import Rekognition, aws
from .wire import MISSHAPEN, Request, decoded

_SIGNED = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=([\w+=,.@-]+)/\d{{8}}/([a-z0-9-]+)/{NAME}/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
    re.ASCII,
)
_BESIDES = {"host", "x-amz-date", "x-amz-security-token"}  # what `sign` adds itself
_CLOCKS = timedelta(minutes=15)  # that they may differ, as with Amazon itself


class Amazon(Clients):
    """Of DetectLabels."""

    service, wire, labels = rekognition.Rekognition, Rekognition, rekognition.parse_response
    limit = Rekognition.largest * 4 // 3 + 2**16  # the image in base64, and all else
    kept = (*Clients.kept, "x-amzn-requestid", "x-amzn-errortype")

    def read(self, request: Request, token: str) -> list[Asked]:
        """What one asks for."""
        if token:
            _check_signature(request, token)
        target = request.headers.get("X-Amz-Target", "")
        if (request.route, target) != ("POST /", TARGET):
            raise aws("AccessDeniedException", "You are not authorized to do that: labels alone")
        try:
            fields = json.loads(request.body)
            image, features = fields.pop("Image"), fields.get("Features")
            if "S3Object" in image:
                raise aws("InvalidS3ObjectException", "Images are taken as bytes alone")
            payload = decoded(image.get("Bytes"))
        except ImageError:
            raise
        except (*MISSHAPEN, RecursionError) as error:
            raise aws("InvalidParameterException", "Request has invalid parameters") from error
        return [Asked(fields, payload, features in (None, [], ["GENERAL_LABELS"]))]


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
