"""Speak with Grafana's HTTP API: one request at a time, and why it did not succeed. No decisions.

A read is repeated while what went wrong may pass. A write is repeated only when Grafana said that it did not
look at it (429): whether any other one took effect is found out by reading again, see grafana_apply.
"""

from __future__ import annotations

import base64
import email.utils
import http.client
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

_LARGEST_ANSWER = 64 * 1024 * 1024
_LONGEST_WAIT = 120.0
_PASSING = {500, 502, 503, 504}
# Somebody was faster, or something changed since it was read: true again after a new look.
_MOVED = {404, 409, 412}

# Method and path -> the permission that Grafana checks: its documentation of roles, and where routes are
# authorised in its source. The basic role Admin has all of them, Editor lacks alert.provisioning*.
_PERMISSIONS = (
    (r"GET /api/folders", "folders:read"),
    (r"POST /api/folders", "folders:create"),
    (r"PUT /api/folders", "folders:write"),
    (r"GET /api/(?:search|dashboards/uid/[^/]+$)", "dashboards:read"),
    (r"GET /api/dashboards/uid/[^/]+/versions", "dashboards:write"),
    (r"POST /api/dashboards/db", "dashboards:create and dashboards:write"),
    (r"DELETE /api/dashboards", "dashboards:delete"),
    (r"GET /api/v1/provisioning/contact-points/export", "alert.provisioning.secrets:read"),
    (r"GET /api/v1/provisioning", "alert.provisioning:read"),
    (r"(?:POST|PUT|DELETE) /api/v1/provisioning", "alert.provisioning:write"),
    (r"POST /api/annotations", "annotations:create"),
    (r"POST /api/(?:alertmanager/grafana/api/)?v2/silences", "alert.instances:create"),
)


class GrafanaError(Exception):
    """An answer that trying again does not change; the text is for the operator."""

    def __init__(self, text: str, status: int = 0) -> None:
        super().__init__(text)
        self.status = status


class Unsettled(GrafanaError):
    """A write of which it is not known whether it took effect, or that met a change by somebody else."""


@dataclass
class Grafana:
    """A Grafana, reached with the token of a service account; or an Alertmanager, with a password."""

    url: str
    token: str = ""
    username: str = ""
    timeout: float = 30.0
    retries: int = 3
    pause: Callable[[float], None] = time.sleep
    # What Grafana may not echo into a message.
    secrets: tuple[str, ...] = ()
    opener: urllib.request.OpenerDirector = field(init=False)

    def __post_init__(self) -> None:
        handlers: list[urllib.request.BaseHandler] = [_NoRedirect()]
        host = urllib.parse.urlsplit(self.url).hostname or ""
        if host == "localhost" or host.startswith("127."):
            # A proxy from the environment does not lead to this machine.
            handlers.append(urllib.request.ProxyHandler({}))
        self.opener = urllib.request.build_opener(*handlers)

    def read(self, path: str) -> Any:
        """The JSON at a path; None where there is nothing."""
        for attempt in range(self.retries + 1):
            try:
                return self._ask("GET", path, None, {})
            except _Passing as problem:
                if attempt == self.retries:
                    raise GrafanaError(f"{problem}, {attempt + 1} times", problem.status) from None
                self.pause(problem.wait or float(2**attempt))
        raise AssertionError("a loop without an end")

    def write(
        self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None
    ) -> Any:
        """Change something. Unsettled when a new look at the state must tell what became of it."""
        for attempt in range(self.retries + 1):
            try:
                return self._ask(method, path, body, dict(headers or {}))
            except _Passing as problem:
                if not problem.refused:
                    raise Unsettled(str(problem), problem.status) from None
                if attempt == self.retries:
                    raise GrafanaError(f"{problem}, {attempt + 1} times", problem.status) from None
                self.pause(problem.wait or float(2**attempt))
        raise AssertionError("a loop without an end")

    def _ask(self, method: str, path: str, body: Any, headers: dict[str, str]) -> Any:
        asked = f"{method} {self.url}{path}"
        headers |= {"Accept": "application/json"}
        if self.username:
            login = base64.b64encode(f"{self.username}:{self.token}".encode()).decode()
            headers["Authorization"] = f"Basic {login}"
        elif self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None
        if body is not None:
            data = json.dumps(body, ensure_ascii=False).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(f"{self.url}{path}", data=data, headers=headers, method=method)
        try:
            with self.opener.open(request, timeout=self.timeout) as response:
                return self._json(asked, response)
        except urllib.error.HTTPError as error:
            return self._refusal(method, path, asked, error)
        except urllib.error.URLError as error:
            raise _Passing(f"{asked}: {_reason(error.reason, self.timeout)}") from None
        except (OSError, http.client.HTTPException) as error:
            raise _Passing(f"{asked}: {_reason(error, self.timeout)}") from None

    def _json(self, asked: str, response: Any) -> Any:
        text = response.read(_LARGEST_ANSWER)
        # read(n) takes what there is; a body shorter than announced is a connection that broke.
        announced = response.headers.get("Content-Length")
        if announced is not None and len(text) < int(announced):
            raise _Passing(f"{asked}: the answer breaks off after {len(text)} of {announced} bytes")
        if not text.strip():
            return None
        try:
            return json.loads(text)
        except ValueError:
            kind = response.headers.get("Content-Type", "no content type")
            raise _Passing(f"{asked}: the answer is not JSON ({kind})") from None

    def _refusal(self, method: str, path: str, asked: str, error: urllib.error.HTTPError) -> None:
        status = error.code
        text = f"{asked}: HTTP {status} {error.reason}{self._explanation(error)}"
        if method == "GET" and status == 404:
            return
        if status == 401 and self.username:
            raise GrafanaError(f"{text}; the password of {self.username} is another one", status)
        if status == 401:
            remedy = (
                "the token is wrong or expired: make a new one for the service account (vault_grafana_token)"
            )
            raise GrafanaError(f"{text}; {remedy}", status)
        if status == 403:
            raise GrafanaError(f"{text}; {missing_permission(method, path)}", status)
        if status == 429:
            raise _Passing(text, status, refused=True, wait=self._retry_after(text, error))
        if status in _PASSING:
            raise _Passing(text, status)
        if status in _MOVED and method != "GET":
            raise Unsettled(text, status)
        raise GrafanaError(text, status)

    def _explanation(self, error: urllib.error.HTTPError) -> str:
        """What Grafana says of its refusal, without secrets that it may quote."""
        location = error.headers.get("Location")
        if location:
            return f" to {location}"
        try:
            body = error.read(4000).decode("utf-8", "replace")
            parsed = json.loads(body)
            said = str(parsed.get("message") or parsed.get("error") or "") if isinstance(parsed, dict) else ""
        except (OSError, http.client.HTTPException, ValueError):
            return ""
        said = " ".join(said.split())[:300]
        for secret in filter(None, (*self.secrets, self.token)):
            said = said.replace(secret, "(secret)")
        return f": {said}" if said else ""

    def _retry_after(self, text: str, error: urllib.error.HTTPError) -> float:
        """Seconds to wait, 0 when Grafana names none; a wait too long to sit out is an answer of its own."""
        value = (error.headers.get("Retry-After") or "").strip()
        if value.isdigit():
            wait = float(value)
        else:
            moment = email.utils.parsedate_tz(value) if value else None
            wait = max(0.0, email.utils.mktime_tz(moment) - time.time()) if moment else 0.0
        if wait > _LONGEST_WAIT:
            raise GrafanaError(f"{text}; it asks to wait {wait:.0f} s: run again later", 429)
        return wait


def missing_permission(method: str, path: str) -> str:
    """The permission whose absence a 403 means."""
    asked = f"{method} {path.split('?')[0]}"
    for pattern, permission in _PERMISSIONS:
        if re.match(pattern, asked):
            return f"the service account needs {permission}; the basic role Admin has it"
    return "the service account needs the basic role Admin"


class _Passing(Exception):
    """A problem that may pass. `refused`: Grafana did not look at the request."""

    def __init__(self, text: str, status: int = 0, *, refused: bool = False, wait: float = 0.0) -> None:
        super().__init__(text)
        self.status = status
        self.refused = refused
        self.wait = wait


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """The token must not travel on to wherever an address points."""

    def redirect_request(self, *_arguments: Any) -> None:
        return None


def _reason(reason: object, timeout: float) -> str:
    if isinstance(reason, ConnectionRefusedError):
        return "connection refused"
    if isinstance(reason, TimeoutError):
        return f"no answer within {timeout:g} s"
    if isinstance(reason, http.client.IncompleteRead):
        return f"the answer breaks off after {len(reason.partial)} bytes"
    return str(reason) or type(reason).__name__
