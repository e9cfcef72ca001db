"""Pages in Prometheus' text format, as exporters answer them."""

from __future__ import annotations

import http.client
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from soundcheck_diagnosis.look import Unable

LARGEST_PAGE = 8 * 2**20

_LINE = re.compile(r"^([a-zA-Z_:][\w:]*)(?:\{(.*)\})?\s+(\S+)")
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


@dataclass(frozen=True)
class Sample:
    name: str
    labels: Mapping[str, str]
    value: float


def parse(page: str, wanted: Iterable[str]) -> list[Sample]:
    """Samples of the wanted names; a page holds many more."""
    names = frozenset(wanted)
    found = []
    for line in page.splitlines():
        if (match := _LINE.match(line)) and match[1] in names:
            labels = {name: re.sub(r"\\(.)", r"\1", text) for name, text in _LABEL.findall(match[2] or "")}
            found.append(Sample(match[1], labels, float(match[3])))
    return found


def fetch(host: str, port: int, path: str, seconds: float) -> str:
    """The page. Raises Unable with the address and the reason."""
    where = f"{host}:{port}{path.partition('?')[0]}"
    connection = http.client.HTTPConnection(host, port, timeout=seconds)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        page = response.read(LARGEST_PAGE).decode(errors="replace")
    except TimeoutError as error:
        raise Unable(f"{where}: no answer within {seconds:.1f} s") from error
    except (OSError, http.client.HTTPException) as error:
        raise Unable(
            f"{where}: {getattr(error, 'strerror', None) or str(error) or type(error).__name__}"
        ) from error
    finally:
        connection.close()
    if response.status != 200:
        raise Unable(f"{where}: expected status 200, got {response.status}")
    return page
