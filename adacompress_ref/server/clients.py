"""What clients ask of a service in its own format, whether they may, and what they understand."""

from __future__ import annotations

import hmac
import json
import re
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from ..core.roles import Label
from ..services import ServiceError, UnavailableError, baidu, facepp, google
from ..services.http import Parse, Response
from ..storage.files import ImageError
from . import formats
from .formats import facepp_error, oauth_error
from .vision import GoogleVision, google_error
from .wire import MISSHAPEN, Answer, Refused, Request, WireFormat, decoded, fields


class Asked(NamedTuple):
    """A request for labels: its other fields, its image, and whether labels are all it asks."""

    fields: Mapping[str, Any]
    image: bytes
    only_labels: bool = True


class Clients(ABC):
    """Clients of one service, a `service()` with `send(payload, fields, parse)`.

    `limit` is in bytes of a request's body, `kept` names the headers of the service's answers that
    are its clients' affair.
    """

    service: ClassVar[Callable[..., Any]]
    wire: ClassVar[type[WireFormat]]
    labels: ClassVar[Parse[list[Label]]]
    limit: ClassVar[int]
    kept: ClassVar[tuple[str, ...]] = ("content-type", "retry-after")

    @abstractmethod
    def read(self, request: Request, token: str) -> list[Asked]:
        """What one asks for, who has to know the `token` if there is one.

        Raises Refused, and ImageError for an image that is not base64.
        """

    def joined(self, responses: Sequence[Response]) -> Response:
        """The answer to a request that asked for several things."""
        raise NotImplementedError


def same(given: str | None, token: str) -> bool:
    """In constant time; whatever is given where there is no token."""
    return not token or hmac.compare_digest((given or "").encode(), token.encode())


def _form(request: Request, *without: str) -> dict[str, bytes]:
    """The other fields of a form, as they came."""
    given = fields(request)
    return {name: given[name].encode("latin-1") for name in given if name not in without}


class Google(Clients):
    """Of Google Cloud Vision: the token is their API key, or after `Bearer`."""

    service, wire, labels = google.GoogleVision, GoogleVision, google.parse_response
    limit = 10 * 2**20
    most = 16  # images of a request
    codes: ClassVar = {"INVALID_ARGUMENT": 3, "RESOURCE_EXHAUSTED": 8, "INTERNAL": 13}

    def read(self, request: Request, token: str) -> list[Asked]:
        """One for each image."""
        bearer = request.headers.get("Authorization", "").removeprefix("Bearer ")
        key = request.headers.get("X-Goog-Api-Key") or request.query.get("key") or bearer
        if not same(key, token):
            raise google_error(403, "PERMISSION_DENIED", "API key not valid.")
        if not re.fullmatch(GoogleVision.path, request.route):
            raise google_error(404, "NOT_FOUND", "This is a gateway for images:annotate alone.")
        wrong = google_error(400, "INVALID_ARGUMENT", "Request contains an invalid argument.")
        asked = []
        try:
            for one in json.loads(request.body)["requests"]:
                kinds = {GoogleVision.kind(feature) for feature in one["features"]}
                others = {name: value for name, value in one.items() if name != "image"}
                if "source" in one["image"]:  # nothing is fetched for anybody
                    raise google_error(403, "PERMISSION_DENIED", "Images are taken as bytes alone.")
                image = decoded(one["image"]["content"])
                asked.append(Asked(others, image, kinds == {"LABEL_DETECTION"}))
        except (*MISSHAPEN, ImageError, RecursionError) as error:
            raise wrong from error
        if not 0 < len(asked) <= self.most:
            raise wrong
        return asked

    def joined(self, responses: Sequence[Response]) -> Response:
        """In their order; one without an answer has its error, unless none has another."""
        found = []
        for status, _, body in responses:
            answer = json.loads(body)
            if status == 200:
                found.append(answer["responses"][0])
            else:
                error = answer["error"]
                code = self.codes.get(error.get("status"), 14)
                found.append({"error": {"code": code, "message": error["message"]}})
        if all(status != 200 for status, *_ in responses):
            return responses[0]
        return 200, {"content-type": "application/json"}, json.dumps({"responses": found}).encode()


class Baidu(Clients):
    """Of Baidu: the token is their secret key, for which they get an access token of ours."""

    service, wire, labels = baidu.Baidu, formats.Baidu, baidu.parse_response
    limit = 10 * 2**20  # of a form: 8 MB of base64, of which some letters are three

    def __init__(self) -> None:
        self.access = secrets.token_hex(16)

    def read(self, request: Request, token: str) -> list[Asked]:
        """What is asked with our access token."""
        if request.route in formats.BaiduTokens.routes:
            if not same({**request.query, **fields(request)}.get("client_secret"), token):
                raise oauth_error(401, "invalid_client", "Client authentication failed")
            raise Refused(Answer(200, formats.BaiduTokens.given(self.access)))
        if request.route not in formats.Baidu.routes:
            raise formats.baidu_error(3, "Unsupported openapi method")
        if not same(request.query.get("access_token"), self.access):
            raise formats.baidu_error(110, "Access token invalid or no longer valid")
        given = fields(request)
        if "url" in given or "image" not in given:
            raise formats.baidu_error(216200, "empty image")
        return [Asked(_form(request, "image"), decoded(given["image"]))]


class FacePP(Clients):
    """Of Face++: the token is their api_secret."""

    service, wire, labels = facepp.FacePP, formats.FacePP, facepp.parse_response
    limit = formats.FacePP.largest

    def read(self, request: Request, token: str) -> list[Asked]:
        """The image in a form."""
        given = fields(request)
        if request.route not in formats.FacePP.routes:
            raise facepp_error(404, "API_NOT_FOUND")
        if not same(given.get("api_secret"), token):
            raise facepp_error(401, "AUTHENTICATION_ERROR")
        kinds = [name for name in given if name in ("image_file", "image_base64", "image_url")]
        if kinds == ["image_file"]:
            image = given["image_file"].encode("latin-1")
        elif kinds == ["image_base64"]:
            image = decoded(given["image_base64"])
        else:
            raise facepp_error(400, "BAD_ARGUMENTS: one of image_file and image_base64")
        return [Asked(_form(request, *kinds, "api_key", "api_secret"), image)]


class AskedService:
    """The service as one client asks it: `label` sends the client's own fields, another image.

    It keeps what came back as it came, by payload and by error. `may_send` is asked before each
    upload. Raises ServiceError as the service does.
    """

    side_by_side = True

    def __init__(
        self, service: Any, clients: Clients, asked: Asked, may_send: Callable[[], bool]
    ) -> None:
        self.service, self.clients, self.asked = service, clients, asked
        self.may_send = may_send
        self.responses: dict[bytes | ServiceError, Response] = {}

    def __getattr__(self, name: str) -> Any:  # formats and limits
        return getattr(self.service, name)

    def label(self, payload: bytes) -> list[Label]:
        """The labels, as the client asks for them."""

        def parse(*response: Any) -> list[Label]:
            labels = list[Label]()
            try:  # an answer to other questions may have none
                if self.asked.only_labels or not 200 <= response[0] < 300:
                    labels = type(self.clients).labels(*response)
            except ServiceError as error:
                self.responses[error] = response
                raise
            self.responses[payload] = response
            return labels

        if not self.may_send():
            raise UnavailableError("nobody waits for it any more", sent=False)
        answer: list[Label] = self.service.send(payload, self.asked.fields, parse)
        return answer
