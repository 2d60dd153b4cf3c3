"""What a client is told by its environment: credentials and endpoint."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

from .answers import shown
from .errors import AuthenticationError


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine itself."""
    host = urlsplit(url).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def find_credentials(name: str, *variables: str) -> list[str]:
    """From the environment, without the line ends of mounted files.

    Raises AuthenticationError naming what is missing.
    """
    found = [os.environ.get(variable, "").strip() for variable in variables]
    if not all(found):
        raise AuthenticationError(f"{name}: no credentials; set {' and '.join(variables)}")
    return found


def check_endpoint(url: str) -> str:
    """`url` itself. Raises AuthenticationError where credentials would travel unencrypted."""
    try:
        parts = urlsplit(url)
        safe = bool(parts.hostname) and parts.port != 0 and not re.search(r"\s|@", url)
        safe = safe and (parts.scheme == "https" or (parts.scheme == "http" and is_loopback(url)))
    except ValueError:  # a URL that is none
        safe = False
    if not safe:
        place = url.rpartition("@")[2].partition("?")[0]  # no credentials
        raise AuthenticationError(
            f"{shown(place)}: no endpoint; it takes an https URL without credentials in it, or "
            "http to this machine itself"
        )
    return url
