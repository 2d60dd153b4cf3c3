"""Chat completions with an image, as OpenAI's API has them on the wire."""

from __future__ import annotations

import json
import time
from typing import Any, ClassVar

from .wire import MISSHAPEN, Answer, Classify, Refused, Request, WireFormat, decoded


def _error(status: int, text: str, code: str | None = None) -> Refused:
    kind = "invalid_request_error" if status < 500 else "server_error"
    error = {"message": text, "type": kind, "param": None, "code": code}
    return Refused(Answer(status, {"error": error}))


class OpenAI(WireFormat):
    """Any model, asked about one image: it names what is in it, whatever the words around it."""

    routes = ("POST /v1/chat/completions",)
    errors: ClassVar = {
        "image": _error(400, "The image cannot be read.", "invalid_image"),
        "quota": _error(429, "You exceeded your current quota.", "insufficient_quota"),
        "429": _error(429, "Rate limit reached for requests.", "rate_limit_exceeded"),
        "500": _error(500, "The server had an error while processing your request."),
        "503": _error(503, "The engine is currently overloaded."),
    }
    variables = ("OPENAI_BASE_URL", "OPENAI_API_KEY")

    def environment(self, url: str) -> dict[str, str]:
        """With the part of the path that all of the API has."""
        return super().environment(f"{url}/v1")

    def _answer(self, request: Request, classify: Classify) -> dict[str, Any]:
        try:
            asked = json.loads(request.body)
            model, messages = str(asked["model"]), asked["messages"]
            parts = [part for said in messages for part in said["content"] if part != str(part)]
            (address,) = (part["image_url"]["url"] for part in parts if "image_url" in part)
            kind, encoded = address.split(";base64,")
            if not kind.startswith("data:image/") or asked.get("stream"):
                raise ValueError
        except MISSHAPEN as error:
            raise _error(400, "Messages with one data address, and no stream.") from error
        content = json.dumps({"labels": [name for name, _ in classify(decoded(encoded))]})
        if "response_format" not in asked:
            content = f"```json\n{content}\n```"  # as models do
        message = {"role": "assistant", "content": content, "refusal": None}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
        names = {"id": "chatcmpl-1", "object": "chat.completion", "model": model}
        return {**names, "created": int(time.time()), "choices": [choice]}
