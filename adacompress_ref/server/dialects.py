"""What clients of Rekognition, Google, Baidu and Face++ ask for, each in its own format."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta, timezone
from typing import Any
from urllib.parse import urlencode

from ..services import baidu, facepp, google, rekognition
from ..services.http import Response
from ..services.signature import Credentials, sign
from . import formats, vision
from .clients import Asked, Client
from .wire import MISSHAPEN, Answer, Refused, Request, decoded, fields

_SIGNED = re.compile(
    rf"AWS4-HMAC-SHA256 Credential=([\w+=,.@-]+)/\d{{8}}/([a-z0-9-]+)/{rekognition.NAME}"
    r"/aws4_request, ?SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
    re.ASCII,
)
_BESIDES = {"host", "x-amz-date", "x-amz-security-token"}  # what `sign` adds itself
_CLOCKS = timedelta(minutes=15)  # that they may differ, as with Amazon itself
_IMAGES = 16  # in one request, as with Google itself
# of errors that Google has in the place of one of several images
_NUMBERS = dict(re.findall(r"([A-Z_]+) (\d+)", " ".join(codes for *_, codes in google.MEANINGS)))
_UNKNOWN = 2


class Rekognition(Client):
    """Of Amazon: their secret key is the token, and their signatures are checked with it."""

    wire, api = formats.Rekognition, rekognition

    def _check(self, request: Request) -> None:
        if not self.token:
            return
        headers = request.headers
        match = _SIGNED.fullmatch(headers.get("Authorization", ""))
        if not match:
            raise formats.aws("MissingAuthenticationTokenException", "Missing Authentication Token")
        key, region, signed, signature = match.groups()
        names, wrong = set(signed.split(";")), formats.aws("InvalidSignatureException", "No match")
        each_once = all(len(headers.get_all(name, [])) == 1 for name in names)
        if not each_once or not names >= {"host", "x-amz-date", "x-amz-target"}:
            raise wrong
        try:
            when = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
            when = when.replace(tzinfo=timezone.utc)
            session = headers["X-Amz-Security-Token"] if "x-amz-security-token" in names else ""
            given, url = Credentials(key, self.token, session), f"http://{headers['Host']}/"
            values = {name: headers[name] for name in names - _BESIDES}
            ours = sign(url, values, request.body, given, region, rekognition.NAME, when)
        except ValueError:  # of the date, or of letters that none of ours has
            raise wrong from None
        if not self.knows(signature, ours["Authorization"].rpartition("=")[2]):
            raise wrong
        if abs(datetime.now(timezone.utc) - when) > _CLOCKS:
            raise formats.aws("InvalidSignatureException", "Signature expired, or not yet current")

    def _opened(self, path: str, request: Request) -> tuple[str, dict[str, Any]]:
        target = request.headers.get("X-Amz-Target", "")
        service, _, operation = target.partition(".")
        if path or service != rekognition.TARGETS:
            raise self.wire.errors["denied"]
        return operation, json.loads(request.body)

    def _labels(self, operation: str, fields: dict[str, Any]) -> list[Asked]:
        if operation != rekognition.OPERATION or "S3Object" in fields["Image"]:
            return []
        image, features = decoded(fields["Image"].get("Bytes")), fields.get("Features")
        is_plain = features in (None, [], ["GENERAL_LABELS"])
        return [Asked(operation, fields, image if is_plain else None)]


class Google(Client):
    """Of Google Cloud Vision: the token is their API key, or a Bearer."""

    wire, api = vision.GoogleVision, google

    def _check(self, request: Request) -> None:
        kind, _, given = request.headers.get("Authorization", "").partition(" ")
        key = request.headers.get("X-Goog-Api-Key") or request.query.get("key")
        if not self.knows(key or (given if kind == "Bearer" else ""), self.token):
            raise vision.google(403, "PERMISSION_DENIED", "API key not valid.")

    def _opened(self, path: str, request: Request) -> tuple[str, dict[str, Any]]:
        form = request.query.get("$alt")  # whether the answer has numbers or names
        query = "?" + urlencode({"$alt": form}) if form else ""
        return path + query, json.loads(request.body)

    def _labels(self, operation: str, fields: dict[str, Any]) -> list[Asked]:
        if not re.fullmatch(self.wire.routes[0], f"POST /{operation.partition('?')[0]}"):
            return []
        images = fields["requests"]
        if not 0 < len(images) <= _IMAGES:
            raise self.wire.errors["misshapen"]
        if any("source" in one["image"] for one in images):
            return []
        asked = []
        for one in images:
            image = decoded(one["image"].get("content"))
            is_plain = all(feature["type"] in google.LABELS for feature in one["features"])
            single = {**fields, "requests": [one]}
            asked.append(Asked(operation, single, image if is_plain and one["features"] else None))
        return asked

    def joined(self, responses: Sequence[Response]) -> Response:
        """As it came for one image, or where none has an answer; else in order, errors in place."""
        if len(responses) == 1 or all(status != 200 for status, *_ in responses):
            return responses[0]
        images = [_image(status, body) for status, _, body in responses]
        kind, body = Answer(200, {"responses": images}).encoded()
        return 200, {"content-type": kind}, body


def _image(status: int, body: bytes) -> Any:
    try:
        answer = json.loads(body)
        if status == 200:
            return answer["responses"][0]
        error, code = answer["error"], int(_NUMBERS.get(answer["error"]["status"], _UNKNOWN))
        return {"error": {"code": code, "message": error["message"]}}
    except (*MISSHAPEN, RecursionError):  # what answers for Google may say anything
        return {"error": {"code": _UNKNOWN, "message": f"HTTP status {status}"}}


class Baidu(Client):
    """Of Baidu: the token is their secret key, for which they get an access token of our own."""

    wire, api = formats.Baidu, baidu

    def _check(self, request: Request) -> None:
        # the same after a restart, and in every process
        ours = hmac.new(self.token.encode(), b"access_token", "sha256").hexdigest()
        if request.route in formats.BaiduTokens.routes:
            given = {**request.query, **fields(request)}
            if not self.knows(given.get("client_secret"), self.token):
                raise formats.oauth(401, "invalid_client", "unknown client id")
            raise Refused(Answer(200, formats.granted(ours)))
        if not self.knows(request.query.get("access_token"), ours):
            raise formats.baidu(110, "Access token invalid or no longer valid")

    def _labels(self, operation: str, fields: dict[str, Any]) -> list[Asked]:
        if operation != baidu.OPERATION or "url" in fields:
            return []
        return [Asked(operation, fields, decoded(fields.get("image")))]


class FacePP(Client):
    """Of Face++: the token is their api_secret."""

    wire, api = formats.FacePP, facepp

    def _check(self, request: Request) -> None:
        if not self.knows(fields(request).get("api_secret"), self.token):
            raise formats.facepp(401, "AUTHENTICATION_ERROR")

    def _labels(self, operation: str, fields: dict[str, Any]) -> list[Asked]:
        if operation != facepp.OPERATION or "image_url" in fields:
            return []
        image = fields.get("image_file") or decoded(fields.get("image_base64"))
        return [Asked(operation, fields, image)]


CLIENTS = {client.api.NAME: client for client in (Rekognition, Google, Baidu, FacePP)}
