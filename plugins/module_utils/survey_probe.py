"""Can this host reach the places that images come from, and what do names mean to it? Nothing is fetched."""

from __future__ import annotations

import http.client
import socket
import ssl
import urllib.error
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any


def probe(urls: list[str], proxies: Mapping[str, str], timeout: float) -> list[dict[str, Any]]:
    """Ask every URL at the same time, so that unreachable ones cost one timeout together.

    `proxies` are those of the Docker daemon, which is what pulls; without them the environment's count.
    """
    if not urls:
        return []
    with ThreadPoolExecutor(max_workers=min(8, len(urls))) as pool:
        errors = list(pool.map(lambda url: _ask(url, proxies, timeout), urls))
    return [
        {"url": url, "reachable": not error, "error": error}
        for url, error in zip(urls, errors)  # noqa: B905
    ]


def _ask(url: str, proxies: Mapping[str, str], timeout: float) -> str:
    """Empty when something answered, else the reason."""
    # Whom the daemon trusts is its own configuration; a certificate of a company's proxy is an answer too.
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    handlers: list[urllib.request.BaseHandler] = [urllib.request.HTTPSHandler(context=context)]
    if proxies:
        handlers.append(urllib.request.ProxyHandler(dict(proxies)))
    try:
        request = urllib.request.Request(url, method="HEAD")
        with urllib.request.build_opener(*handlers).open(request, timeout=timeout):
            return ""
    except urllib.error.HTTPError as error:
        # 401 is how a registry greets; a gateway that cannot reach it says 502 to 504, a filter 403 or 407.
        return f"HTTP status {error.code}" if error.code in {403, 407, 502, 503, 504} else ""
    except (OSError, http.client.HTTPException, ValueError) as error:
        return str(getattr(error, "reason", error))


def resolve(name: str) -> dict[str, Any]:
    """The addresses of a name, or why it has none."""
    try:
        found = socket.getaddrinfo(name, None, proto=socket.IPPROTO_TCP)
    except (OSError, UnicodeError) as error:
        return {"addresses": [], "error": getattr(error, "strerror", None) or str(error)}
    return {"addresses": sorted({str(entry[4][0]) for entry in found}), "error": ""}
