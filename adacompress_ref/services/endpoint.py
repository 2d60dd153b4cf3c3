"""Where a service is and who we are there; and what is wrong with the way to it."""

from __future__ import annotations

import ipaddress
import os
import re
from urllib.parse import urlsplit

import requests
from requests.utils import get_environ_proxies, select_proxy

from ..storage.files import printable, reason
from .answers import shown
from .errors import AuthenticationError, ProtocolError, ServiceError, UnavailableError


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


def explained(name: str, url: str, error: Exception) -> ServiceError:
    """An error of the connection to the service called `name`, without the URL, in words."""
    host = printable(urlsplit(url).netloc.rpartition("@")[2])
    if isinstance(error, (requests.exceptions.InvalidHeader, UnicodeError)):
        return AuthenticationError(
            f"{name}: the credentials have letters that cannot be sent; check them"
        )
    if isinstance(error, (requests.exceptions.ProxyError, requests.exceptions.InvalidSchema)):
        chosen = select_proxy(url, get_environ_proxies(url)) or ""
        proxy = urlsplit(chosen).netloc.rpartition("@")[2]
        place, text = f"{name}: the proxy {printable(proxy)}", str(error)
        if "407" in text or "SOCKS" in text:
            fault = "needs PySocks" if "SOCKS" in text else "wants other credentials"
            return AuthenticationError(f"{place} {fault}; see HTTPS_PROXY")
        return UnavailableError(f"{place} does not answer, or refuses {host}; check HTTPS_PROXY")
    if isinstance(error, OSError) and not isinstance(error, requests.RequestException):
        return AuthenticationError(
            f"{name}: no CA certificates ({reason(error)}); check REQUESTS_CA_BUNDLE"
        )
    if isinstance(error, requests.exceptions.SSLError):
        return AuthenticationError(
            f"{name}: {host} cannot prove who it is (TLS); check the clock and the CA certificates"
        )
    if isinstance(error, requests.Timeout):
        return UnavailableError(f"{name}: {host} does not answer in time; check the network")
    if isinstance(error, (requests.ConnectionError, requests.exceptions.ChunkedEncodingError)):
        return UnavailableError(
            f"{name}: the connection to {host} failed or was lost; check network and endpoint"
        )
    return ProtocolError(f"{name}: {host} cannot be spoken to ({type(error).__name__})")
