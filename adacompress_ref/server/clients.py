"""What clients ask of a service, and whether they may; `dialects` has the format of each."""

from __future__ import annotations

import hmac
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, NamedTuple

from ..core.roles import Label
from ..services import ServiceError, UnavailableError
from ..services.http import Response
from ..storage.files import ImageError
from .wire import MISSHAPEN, Request, WireFormat, fields


class Asked(NamedTuple):
    """What is to be sent; with the `image` among its fields, where labels are all that is asked."""

    operation: str
    fields: Mapping[str, Any]
    image: bytes | None = None


class Client(ABC):
    """How programs speak to one service; they have to know the `token`, if there is one.

    `passed` names operations that go on as they are, whatever they ask for.
    """

    wire: type[WireFormat]
    api: Any  # a module of `services`, with `parse_response` and `with_image`

    def __init__(self, token: str = "", passed: Collection[str] = ()) -> None:
        self.token, self.passed = token, passed

    def read(self, request: Request) -> list[Asked]:
        """What a request asks for, image by image. Raises Refused."""
        self._check(request)
        method, _, path = request.route.partition(" /")
        if method != "POST":
            raise self.wire.errors["denied"]
        try:
            operation, form = self._opened(path, request)
            asked = self._labels(operation, form)
        except ImageError as error:
            raise self.wire.errors["image"] from error
        except (*MISSHAPEN, RecursionError) as error:
            raise self.wire.errors["misshapen"] from error
        if not asked and operation.partition("?")[0] not in self.passed:
            raise self.wire.errors["denied"]
        return asked or [Asked(operation, form)]

    def joined(self, responses: Sequence[Response]) -> Response:
        """The answers to what one request asked for, as one; those of other statuses too."""
        return responses[0]

    def knows(self, given: str | None, token: str) -> bool:
        """Whether what a client gave is the token, if there is one."""
        return not self.token or hmac.compare_digest((given or "").encode(), token.encode())

    @abstractmethod
    def _check(self, request: Request) -> None:
        """Raises Refused for a client that does not know the token."""

    def _opened(self, path: str, request: Request) -> tuple[str, dict[str, Any]]:
        """The operation, which may have a query, and its fields; by default those of a form.

        Keys among them are overwritten by our own.
        """
        return path, {name: value.encode("latin-1") for name, value in fields(request).items()}

    @abstractmethod
    def _labels(self, operation: str, fields: dict[str, Any]) -> list[Asked]:
        """Nothing where that is no operation for labels, or an image is named by its address."""


class AskedService:
    """The service as one client asks it: `label` sends the client's own fields, another image.

    It keeps what came back as it came, by payload and by error. `may_send` is asked before each
    upload. Raises ServiceError as the service does.
    """

    side_by_side = True

    def __init__(
        self, service: Any, client: Client, asked: Asked, may_send: Callable[[], bool]
    ) -> None:
        self.service, self.client, self.asked, self.may_send = service, client, asked, may_send
        self.responses: dict[bytes | ServiceError, Response] = {}

    def __getattr__(self, name: str) -> Any:  # formats and limits
        return getattr(self.service, name)

    def label(self, payload: bytes) -> list[Label]:
        """The labels, as the client asks for them."""
        form = self.client.api.with_image(self.asked.fields, payload)
        labels, self.responses[payload] = self._send(form, self.client.api.parse_response)
        return labels

    def as_it_is(self) -> Response:
        """The answer to what the client sent; it may have anything in it."""

        def parse(*response: Any) -> list[Label]:
            return [] if 200 <= response[0] < 300 else self.client.api.parse_response(*response)

        return self._send(self.asked.fields, parse)[1]

    def _send(
        self, form: Mapping[str, Any], parse: Callable[..., list[Label]]
    ) -> tuple[list[Label], Response]:
        def keep(*response: Any) -> tuple[list[Label], Response]:
            try:
                return parse(*response), response
            except ServiceError as error:
                self.responses[error] = response
                raise

        if not self.may_send():
            raise UnavailableError("nobody waits for it any more", sent=False)
        answer: tuple[list[Label], Response] = self.service.send(self.asked.operation, form, keep)
        return answer
