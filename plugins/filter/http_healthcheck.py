"""A health check over HTTP that runs in the upstream images and in those built from Debian packages."""

from __future__ import annotations

from typing import Any

_SCRIPT = (
    "if command -v wget >/dev/null; then exec wget -q -T 4 -O /dev/null http://127.0.0.1:{port}{path}; fi; "
    "exec bash -c 'exec 3<>/dev/tcp/127.0.0.1/{port}; "
    'printf "GET {path} HTTP/1.0\\r\\n\\r\\n" >&3; read -r -t 4 _ status _ <&3; [ "$status" = 200 ]\''
)


def http_healthcheck(port: int, path: str = "/") -> dict[str, Any]:
    """A compose `healthcheck` that wants status 200 from a port of the container itself.

    The upstream exporters have busybox's wget and no bash; Debian has bash and no wget.
    """
    return {
        "test": ["CMD-SHELL", _SCRIPT.format(port=int(port), path=path)],
        "interval": "30s",
        "timeout": "5s",
        "start_period": "30s",
        "retries": 3,
    }


class FilterModule:
    """Filter `http_healthcheck`."""

    def filters(self) -> dict[str, Any]:
        return {"http_healthcheck": http_healthcheck}
