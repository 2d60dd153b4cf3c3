"""Amazon Rekognition, DetectLabels: credentials as other programs of AWS find them."""

from __future__ import annotations

import base64
import configparser
import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any

from requests import Request

from ..core.roles import Label
from .answers import Answer, Meanings, shown
from .endpoint import check_endpoint
from .errors import AuthenticationError, RefusedError, UnavailableError
from .http import Parse, T, Transport
from .signature import Credentials, sign

NAME = "rekognition"
TARGET = "RekognitionService.DetectLabels"
ANSWERS = 10  # twice as many as the agreement looks at
VARIABLES = ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN")
MEANINGS: Meanings = (  # without the "Exception" in which most of them end
    (
        UnavailableError,
        "try again later",
        "InternalFailure InternalServerError LimitExceeded ProvisionedThroughputExceeded "
        "RequestLimitExceeded ServiceUnavailable Throttling TooManyRequests",
    ),
    (
        RefusedError,
        "send another image",
        # the last two are about the image too: nothing else differs between requests
        "ImageTooLarge InvalidImageFormat InvalidParameter Validation",
    ),
    (AuthenticationError, "allow it rekognition:DetectLabels", "AccessDenied"),
    (AuthenticationError, "renew the session token", "ExpiredToken"),
    (
        AuthenticationError,
        "check access key, secret, session token and this machine's clock",
        "IncompleteSignature InvalidClientTokenId InvalidSignature MissingAuthenticationToken "
        "RequestExpired SignatureDoesNotMatch UnrecognizedClient",
    ),
)


class Rekognition:
    """The service behind AWS_ENDPOINT_URL_REKOGNITION, AWS_ENDPOINT_URL or else its region's.

    `network` goes to Transport. Raises AuthenticationError where credentials or the region are
    missing.
    """

    name = NAME
    formats = ("jpeg", "png")
    max_bytes = 5_242_880
    min_side, max_side = 80, 10_000
    side_by_side = True

    def __init__(self, **network: Any) -> None:
        self.region = find_region()
        self.endpoint = check_endpoint(
            os.environ.get("AWS_ENDPOINT_URL_REKOGNITION")
            or os.environ.get("AWS_ENDPOINT_URL")
            or f"https://rekognition.{self.region}.amazonaws.com"
        )
        self.transport = Transport(NAME, **network)
        self._ahead = timedelta()
        self._use(find_credentials())

    def _use(self, credentials: Credentials) -> None:
        self._credentials = credentials
        self.transport.hide(vars(credentials).values())

    def label(self, payload: bytes) -> list[Label]:
        """The ten best labels of an encoded image. Raises ServiceError."""
        # by default, it leaves out all scores below 55
        return self.send(payload, {"MaxLabels": ANSWERS, "MinConfidence": 0}, parse_response)

    def send(self, payload: bytes, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        """What `parse` makes of the answer to an image with these fields. Raises ServiceError."""
        fields = {**fields, "Image": {"Bytes": base64.b64encode(payload).decode()}}
        credentials = self._credentials
        try:
            return self._send(credentials, fields, parse)
        except AuthenticationError as error:
            renewed = find_credentials()  # other programs renew them in their file
            if renewed == credentials and not re.search(
                "Signature expired|not yet current|RequestExpired", f"{error}"
            ):
                raise
            self._ahead = timedelta(seconds=self.transport.ahead)  # one clock is wrong
        self._use(renewed)
        return self._send(renewed, fields, parse)

    def _send(self, credentials: Credentials, fields: Mapping[str, Any], parse: Parse[T]) -> T:
        def build() -> Request:
            when = datetime.now(timezone.utc) + self._ahead
            return build_request(self.endpoint, self.region, credentials, fields, when)

        return self.transport.call(build, parse)


def build_request(
    endpoint: str,
    region: str,
    credentials: Credentials,
    fields: Mapping[str, Any],
    when: datetime,
) -> Request:
    """A signed request for labels, of these fields."""
    body = json.dumps(fields).encode()
    url = endpoint.rstrip("/") + "/"
    headers = {
        "Content-Type": "application/x-amz-json-1.1",
        "X-Amz-Target": TARGET,
    }
    signed = sign(url, headers, body, credentials, region, NAME, when)
    return Request("POST", url, signed, data=body)


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """The labels in an answer. Raises ServiceError."""
    answer = Answer(NAME, status, headers, body)
    if not 200 <= status < 300:
        # "namespace#Name" in the body, "Name:address" in the header
        code = str(headers.get("x-amzn-errortype") or answer.fields.get("__type", ""))
        code = code.partition(":")[0].rpartition("#")[2]
        said = f"{code}: {answer.fields.get('message') or answer.fields.get('Message')}"
        answer.fail(said, MEANINGS, code.removesuffix("Exception"))
    return answer.labels(answer.fields.get("Labels"), "Name", "Confidence", 100)


def find_credentials() -> Credentials:
    """From the environment, else from the profile in the files. Raises AuthenticationError."""
    for source in _sources():
        key, secret, token = (source.get(name.lower(), "").strip() for name in VARIABLES)
        if key and secret:
            return Credentials(key, secret, token)
        if key:
            break
    raise AuthenticationError(
        f"{NAME}: no credentials; set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE "
        "to a profile in ~/.aws/credentials that has both"
    )


def find_region() -> str:
    """From the environment, else from the profile in the files. Raises AuthenticationError."""
    for source in _sources():
        if region := source.get("region"):
            return region
    raise AuthenticationError(f"{NAME}: no region; set AWS_REGION, such as us-east-1")


def _sources() -> Iterator[Mapping[str, str]]:
    """What the environment, the file of credentials and that of settings say, in their order."""
    region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION", "")
    yield {name.lower(): os.environ.get(name, "") for name in VARIABLES} | {"region": region}
    profile = os.environ.get("AWS_PROFILE") or "default"
    configured = (f"profile {profile}", *(["default"] if profile == "default" else []))
    for variable, usual, sections in (
        ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials", (profile,)),
        ("AWS_CONFIG_FILE", "~/.aws/config", configured),
    ):
        path = os.path.expanduser(os.environ.get(variable) or usual)
        parser = configparser.RawConfigParser()  # a secret may have a % in it
        try:
            parser.read(path, "utf-8")
        except (configparser.Error, UnicodeDecodeError):
            # not their text, which holds the line
            raise AuthenticationError(f"{NAME}: {shown(path)} is damaged; correct it") from None
        yield from (parser[section] for section in sections if section in parser)
