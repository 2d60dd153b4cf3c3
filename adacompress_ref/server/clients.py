"""What a client asks of a service in its own format, and whether it may."""

from __future__ import annotations

import hmac
import json
import re
from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any, NamedTuple

from ..core.roles import Label
from ..services import RefusedError, ServiceError, UnavailableError
from ..services.http import Response
from ..services.rekognition import LABELS, TARGET, Rekognition, image_fields, parse_response
from ..services.signature import Credentials, sign
from ..storage.files import ImageError
from .formats import Rekognition as Wire
from .formats import aws
from .wire import MISSHAPEN, Request, decoded

_SIGNED = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([\w+=,.@-]+)/\d{8}/([a-z0-9-]+)/rekognition/aws4_request, ?"
    r"SignedHeaders=([a-z0-9;-]+), ?Signature=([0-9a-f]{64})",
    re.ASCII,
)
_BESIDES = {"host", "x-amz-date", "x-amz-security-token"}  # what `sign` adds itself
_CLOCKS = timedelta(minutes=15)  # may differ by as much, as with Amazon itself


class Asked(NamedTuple):
    """A request that may go on: its fields, and the image in them that may leave smaller.

    Without an `image` it goes on as it is, and nothing is learned from it.
    """

    operation: str
    fields: Mapping[str, Any]
    image: bytes | None


class RekognitionClients:
    """Clients of Amazon Rekognition, whose secret key is the gateway's `token`, if there is one.

    Of its operations they may ask for DetectLabels, and for those `passed`.
    """

    wire = Wire()
    body_limit = Wire.largest * 4 // 3 + 2**16  # bytes: base64, and all else
    kept_headers = ("content-type", "retry-after", "x-amzn-requestid", "x-amzn-errortype")

    def __init__(self, token: str = "", passed: Collection[str] = ()) -> None:
        self.token, self.passed = token, passed

    def read(self, request: Request) -> Asked:
        """What is asked for. Raises Refused, and ImageError for an image that is not base64."""
        if self.token:
            self._check_signature(request)
        target = request.headers.get("X-Amz-Target", "")
        operation = target.removeprefix(TARGET)
        if request.route != "POST /" or operation not in {LABELS, *self.passed}:
            text = f"You are not authorized to perform: rekognition:{operation:.60}"
            raise aws("AccessDeniedException", text)
        try:
            fields = json.loads(request.body)
            if _names_an_object(fields):
                raise aws("InvalidS3ObjectException", "Images are taken as bytes alone")
            if operation != LABELS:
                return Asked(operation, fields, None)
            image = decoded(fields["Image"]["Bytes"])
            only_labels = fields.get("Features") in (None, [], ["GENERAL_LABELS"])
        except ImageError:
            raise
        except (*MISSHAPEN, RecursionError) as error:
            raise aws("InvalidParameterException", "Request has invalid parameters") from error
        return Asked(operation, fields, image if only_labels else None)

    def _check_signature(self, request: Request) -> None:
        """Raises Refused where a request is not signed with the token, or long ago."""
        headers = request.headers
        match = _SIGNED.fullmatch(headers.get("Authorization", ""))
        if not match:
            raise aws("MissingAuthenticationTokenException", "Missing Authentication Token")
        key, region, signed, signature = match.groups()
        names = set(signed.split(";"))
        wrong = aws("InvalidSignatureException", "The signature does not match")
        if not names >= {"host", "x-amz-date", "x-amz-target"}:
            raise wrong
        if any(len(headers.get_all(name, [])) != 1 for name in names):
            raise wrong
        try:
            when = datetime.strptime(headers["X-Amz-Date"], "%Y%m%dT%H%M%SZ")
            when = when.replace(tzinfo=timezone.utc)
            session = headers["X-Amz-Security-Token"] if "x-amz-security-token" in names else ""
            credentials = Credentials(key, self.token, session)
            values = {name: headers[name] for name in names - _BESIDES}
            url = f"http://{headers['Host']}/"
            ours = sign(url, values, request.body, credentials, region, "rekognition", when)
        except ValueError:  # of the date, or of letters that none of ours has
            raise wrong from None
        expected = ours["Authorization"].rpartition("=")[2]
        if not hmac.compare_digest(expected, signature):
            raise wrong
        if abs(datetime.now(timezone.utc) - when) > _CLOCKS:
            raise aws("InvalidSignatureException", "Signature expired, or not yet current")


def _names_an_object(fields: Any) -> bool:
    """Whether an object of S3 is named anywhere, which the gateway's own keys might open."""
    if isinstance(fields, list):
        return any(map(_names_an_object, fields))
    if isinstance(fields, dict):
        return "S3Object" in fields or any(map(_names_an_object, fields.values()))
    return False


class AskedService:
    """The service as one client asks it: `label` sends the client's own fields with another image.

    It keeps what came back as it came, by payload and by error. `may_send` is asked before each
    upload. Raises ServiceError as the service does.
    """

    side_by_side = True

    def __init__(self, service: Rekognition, asked: Asked, may_send: Callable[[], bool]) -> None:
        self.service, self.asked, self.may_send = service, asked, may_send
        self.answers: dict[bytes, Response] = {}
        self.errors: dict[ServiceError, Response] = {}

    def __getattr__(self, name: str) -> Any:  # formats and limits
        return getattr(self.service, name)

    def label(self, payload: bytes) -> list[Label]:
        """The labels, as the client asked for them."""

        def parse(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
            labels = self._parsed(status, headers, body)
            self.answers[payload] = status, headers, body
            return labels

        return self._send({**self.asked.fields, "Image": image_fields(payload)}, parse)

    def pass_on(self) -> Response:
        """The answer to the request as it is."""

        def parse(status: int, headers: Mapping[str, str], body: bytes) -> Response:
            if not 200 <= status < 300:
                self._parsed(status, headers, body)
            return status, headers, body

        return self._send(self.asked.fields, parse)

    def _send(self, fields: Mapping[str, Any], parse: Any) -> Any:
        if not self.may_send():
            raise UnavailableError("nobody waits for it any more", sent=False)
        return self.service.send(fields, parse, self.asked.operation)

    def _parsed(self, *response: Any) -> list[Label]:
        try:
            return parse_response(*response)
        except ServiceError as error:
            self.errors[error] = response
            raise

    def unsent(self, error: ServiceError) -> bool:
        """Whether a refusal is our own: the service has seen nothing."""
        return isinstance(error, RefusedError) and error not in self.errors
