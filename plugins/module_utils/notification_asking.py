"""One HTTP request with a JSON body, and what came of it in words that hold no address."""

from __future__ import annotations

import base64
import http.client
import json
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

_ANSWER_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """`status` is 0 where no HTTP answer came; `problem` then says why."""

    status: int
    body: str = ""
    problem: str = ""

    @property
    def json(self) -> Any:
        """The body as data, None when it is something else."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None


@dataclass(frozen=True)
class Outcome:
    """What became of one test message."""

    contact_point: str
    delivered: bool
    answer: str

    def __str__(self) -> str:
        return f"{self.contact_point}: {'ok' if self.delivered else 'FAILED'} - {self.answer}"


# Method, path below the base, and body, if any.
Ask = Callable[[str, str, Any], Answer]


def basic(username: str, password: str) -> str:
    """Value of the header Authorization."""
    return "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()


def client(base: str, authorization: str, timeout: float, *, direct: bool) -> Ask:
    """Asks one server. `direct`: not through a proxy of the environment, the server is on this host."""
    handlers = [urllib.request.ProxyHandler({})] if direct else []
    opener = urllib.request.build_opener(*handlers)

    def ask(method: str, path: str, body: Any = None) -> Answer:
        headers = {"Authorization": authorization, "Accept": "*/*"}
        data = None
        if body is not None:
            data = json.dumps(body).encode()
            headers["Content-Type"] = "application/json"
        request = urllib.request.Request(base.rstrip("/") + path, data, headers, method=method)
        try:
            with opener.open(request, timeout=timeout) as response:
                return Answer(response.status, response.read(_ANSWER_BYTES).decode("utf-8", "replace"))
        except urllib.error.HTTPError as error:
            return Answer(error.code, error.read(_ANSWER_BYTES).decode("utf-8", "replace"))
        except urllib.error.URLError as error:
            return Answer(0, problem=_words(error.reason, timeout))
        except (OSError, http.client.HTTPException) as error:
            return Answer(0, problem=_words(error, timeout))

    return ask


def _words(reason: object, timeout: float) -> str:
    if isinstance(reason, TimeoutError):
        return f"no answer within {timeout:g} s"
    return str(reason) or type(reason).__name__


def explained(answer: Answer) -> str:
    """An answer that is not the wanted one, in one line."""
    if not answer.status:
        return answer.problem
    data = answer.json
    detail = str(data.get("message") or data.get("error") or "") if isinstance(data, dict) else ""
    return f"HTTP {answer.status}" + (f": {' '.join(detail.split())[:300]}" if detail else "")
