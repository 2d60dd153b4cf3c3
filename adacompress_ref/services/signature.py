"""Signature Version 4 of AWS: proves who sends a request without sending the secret."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, urlsplit

ALGORITHM = "AWS4-HMAC-SHA256"
DEFAULT_PORTS = {"http": ":80", "https": ":443"}


@dataclass(frozen=True, repr=False)
class Credentials:
    """An access key of AWS; `token` goes with temporary ones alone."""

    key: str
    secret: str
    token: str = ""


def sign(
    url: str,
    headers: Mapping[str, str],
    body: bytes,
    credentials: Credentials,
    region: str,
    service: str,
    when: datetime,
) -> dict[str, str]:
    """The `headers` of a POST, all of them signed, with those that sign it; `when` is in UTC.

    `url` has no query, and no empty or dotted segments.
    """
    moment = when.strftime("%Y%m%dT%H%M%SZ")
    signed = {**headers, "X-Amz-Date": moment}
    if credentials.token:
        signed["X-Amz-Security-Token"] = credentials.token
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2].lower().removesuffix(DEFAULT_PORTS.get(parts.scheme, ""))
    values = {name.lower(): " ".join(value.split()) for name, value in signed.items()}
    values["host"] = host
    names = ";".join(sorted(values))
    request = [
        "POST",
        quote(parts.path or "/"),  # encoded once more than in the URL
        "",  # no query
        *(f"{name}:{value}" for name, value in sorted(values.items())),
        "",
        names,
        hashlib.sha256(body).hexdigest(),
    ]
    steps = [moment[:8], region, service, "aws4_request"]
    scope = "/".join(steps)
    digest = hashlib.sha256("\n".join(request).encode()).hexdigest()
    key = f"AWS4{credentials.secret}".encode()
    for text in (*steps, "\n".join([ALGORITHM, moment, scope, digest])):
        key = hmac.digest(key, text.encode(), "sha256")
    signed["Authorization"] = (
        f"{ALGORITHM} Credential={credentials.key}/{scope}, "
        f"SignedHeaders={names}, Signature={key.hex()}"
    )
    return signed
