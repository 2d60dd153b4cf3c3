"""What image services have in common on the wire: requests, answers, errors. No sockets here."""

from __future__ import annotations

import base64
import json
import re
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from email.message import Message
from typing import Any, ClassVar, NamedTuple
from urllib.parse import parse_qsl

from ..core.roles import Label
from ..services import RefusedError
from ..storage.files import ImageError

Classify = Callable[[bytes], Sequence[Label]]

# what reading JSON of another shape may raise
MISSHAPEN = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class Request(NamedTuple):
    """What was asked; `route` is method and path, as in "POST /"."""

    route: str
    query: Mapping[str, str]
    headers: Message
    body: bytes


class Answer(NamedTuple):
    """An HTTP status and what the body holds: an object, sent as JSON, or plain text."""

    status: int
    content: dict[str, Any] | str

    def encoded(self) -> tuple[str, bytes]:
        """Media type and body."""
        if isinstance(self.content, str):
            return "text/plain", self.content.encode()
        return "application/json", json.dumps(self.content).encode()


class Refused(Exception):
    """There are no labels, but this answer."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer


class WireFormat(ABC):
    """One service. `errors` by kind: image, quota, 429, 500 and 503; expired where keys can.

    A gateway's own are misshapen and denied. `variables` of its clients are for the endpoint and
    then for keys: any will do. `routes` are patterns; `largest` is in bytes, in the service's way.
    """

    routes: ClassVar[tuple[str, ...]]
    errors: ClassVar[Mapping[str, Refused]]
    variables: ClassVar[tuple[str, ...]] = ()
    largest = 0

    def claims(self, request: Request) -> bool:
        """Whether a request is for this service."""
        return any(re.fullmatch(route, request.route) for route in self.routes)

    def environment(self, url: str) -> dict[str, str]:
        """What points a client at `url`."""
        return {name: "local" for name in self.variables} | dict.fromkeys(self.variables[:1], url)

    def answer(self, request: Request, classify: Classify) -> Answer:
        """`classify` may raise Refused, ImageError or RefusedError; others are passed on."""
        try:
            return Answer(200, self._answer(request, classify))
        except Refused as refused:
            return refused.answer
        except (ImageError, RefusedError):
            return self.errors["image"].answer

    def error(self, kind: str, request: Request) -> Answer:
        """A fault, whatever the request."""
        return self.errors[kind].answer

    @abstractmethod
    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]: ...


def decoded(encoded: Any) -> bytes:
    """What base64 stands for. Raises ImageError."""
    try:
        return base64.b64decode(encoded, validate=True)
    except (ValueError, TypeError) as error:
        raise ImageError("the image is not base64") from error


def fields(request: Request) -> dict[str, str]:
    """The fields of a form; a byte is the letter of that number, as in Latin-1."""
    text = request.body.decode("latin-1")
    if request.headers.get_content_type() != "multipart/form-data":
        return dict(parse_qsl(text, encoding="latin-1"))
    values = {}
    for part in f"\r\n{text}".split(f"\r\n--{request.headers.get_boundary()}"):
        head, _, value = part.partition("\r\n\r\n")
        if name := re.search(r'\bname="?([^";\r\n]*)', head):
            values[name[1]] = value
    return values
