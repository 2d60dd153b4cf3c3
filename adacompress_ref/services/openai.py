"""Chat models that see, over the API that OpenAI, vLLM, llama.cpp and Ollama share."""

from __future__ import annotations

import base64
import json
import logging
import os
import re
from collections.abc import Mapping
from typing import Any

from requests import Request

from ..core.roles import Label
from .answers import Answer, Meanings, shown
from .endpoint import check_endpoint, find_credentials
from .errors import AuthenticationError, ProtocolError, QuotaError, RefusedError, ServiceError
from .http import Transport

NAME = "openai"
ENDPOINT = "https://api.openai.com/v1"
ANSWERS = 10
QUESTION = """What is in this image? Name up to ten things and scenes, the most certain first, each
by one short English name, as JSON: {"labels": ["name"]}; of nothing: {"labels": []}."""
# not every server takes these; detail: all the pixels that are sent
FIELDS = {"detail": "high", "temperature": 0, "response_format": {"type": "json_object"}}
MEANINGS: Meanings = (
    (QuotaError, "top up the account", "insufficient_quota billing_hard_limit_reached"),
    (AuthenticationError, "check OPENAI_API_KEY", "401 403 invalid_api_key"),
    (ServiceError, "name another --model", "model_not_found not_found_error NotFoundError"),
    (RefusedError, "send another image", "IMAGE"),
)


class OpenAI:
    """`model` at OPENAI_BASE_URL, for OPENAI_API_KEY, which servers of one's own may do without.

    It takes WebP where OPENAI_WEBP is 1: some servers drop what they cannot read, and answer from
    the text alone. `network` goes to Transport. Raises AuthenticationError without a key for
    OpenAI's own server.
    """

    name = NAME
    max_bytes = 15_000_000  # 20 MB as base64
    side_by_side = True

    def __init__(self, model: str, **network: Any) -> None:
        self.model, self._key = model, os.environ.get("OPENAI_API_KEY", "").strip()
        self.formats = ("jpeg", "webp") if os.environ.get("OPENAI_WEBP") == "1" else ("jpeg",)
        if not (own := os.environ.get("OPENAI_BASE_URL")):
            (self._key,) = find_credentials(NAME, "OPENAI_API_KEY")
        self.endpoint = check_endpoint(own or ENDPOINT)
        self.transport = Transport(NAME, secrets=(self._key,), **network)
        self.fields = dict(FIELDS)  # but for those that the server has refused

    def label(self, payload: bytes) -> list[Label]:
        """Up to ten names in the model's order; scores are 1 - rank / 10, and mean no more.

        Of answers that cannot be read, one is asked for again. Raises ServiceError.
        """
        unread: list[ServiceError] = []

        def parse(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
            try:
                return parse_response(status, headers, body)
            except ServiceError as error:
                named = [name for name in FIELDS if re.search(rf"\b{name}\b", str(error))]
                if status == 400 and named:
                    error.retryable = True
                    for name in named:
                        if self.fields.pop(name, None) is not None:  # for no other thread
                            text = f"{NAME}: the server does not take {name}; it is left out now"
                            logging.getLogger(__name__).warning(text)
                elif isinstance(error, ProtocolError):
                    error.retryable = error.retryable and not unread
                    unread.append(error)
                raise

        return self.transport.call(
            lambda: build_request(self.endpoint, self._key, self.model, payload, self.fields), parse
        )


def build_request(
    endpoint: str, key: str, model: str, payload: bytes, fields: Mapping[str, Any] = FIELDS
) -> Request:
    """A request for the names of what is in an encoded image, with those of FIELDS."""
    kind = "webp" if payload[8:12] == b"WEBP" else "jpeg"
    image = {"url": f"data:image/{kind};base64,{base64.b64encode(payload).decode()}"}
    others = dict(fields)
    if detail := others.pop("detail", None):
        image["detail"] = detail
    parts = [{"type": "text", "text": QUESTION}, {"type": "image_url", "image_url": image}]
    asked = {"model": model, "messages": [{"role": "user", "content": parts}], **others}
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Request("POST", f"{endpoint.rstrip('/')}/chat/completions", headers, json=asked)


def parse_response(status: int, headers: Mapping[str, str], body: bytes) -> list[Label]:
    """Labels of the names in an answer; none where the model refuses. Raises ServiceError."""
    answer = Answer(NAME, status, headers, body)
    error = answer.fields.get("error")
    if error or not 200 <= status < 300:
        details = error if isinstance(error, dict) else {"message": error, **answer.fields}
        said, code = f"{details.get('param') or ''} {details.get('message')}", details.get("code")
        if status == 400 and "image" in said.lower():
            code = "IMAGE"
        answer.fail(said.strip(), MEANINGS, str(code), str(details.get("type")), str(status))
    try:
        choice = answer.fields["choices"][0]
        message, ending = choice["message"], choice.get("finish_reason")
        if message.get("refusal") or ending == "content_filter":
            return []
        # without response_format, some put it in a block of Markdown
        names = json.loads(re.sub(r"^\s*```\w*|```\s*$", "", message["content"]))["labels"]
        folded = [" ".join(name.split()).casefold() for name in names]
        if ending == "length" or not isinstance(names, list):
            raise ValueError
    except (ValueError, TypeError, LookupError, AttributeError, RecursionError) as fault:
        raise ProtocolError(f"{NAME}: no whole list of labels: {shown(answer.fields)}") from fault
    best = enumerate([*dict.fromkeys(filter(None, folded))][:ANSWERS])
    return answer.labels([{"n": name, "s": 1 - rank / ANSWERS} for rank, name in best], "n", "s")
