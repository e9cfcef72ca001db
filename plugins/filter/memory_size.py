"""Memory as a compose file writes it, in bytes."""

from __future__ import annotations

import re
from typing import Any

from ansible.errors import AnsibleFilterError

_UNITS = {"K": 2**10, "M": 2**20, "G": 2**30}
_SIZE = re.compile(r"([1-9][0-9]*)([KMG])")


def memory_size(text: str, variable: str = "memory") -> int:
    """Bytes of `512M`. `variable` is the name that an error shows.

    Raises AnsibleFilterError for anything that is not a whole number with K, M or G: `512` would be half a
    kilobyte, and `512X` nothing at all.
    """
    found = _SIZE.fullmatch(str(text))
    if not found:
        raise AnsibleFilterError(
            f"{variable}: expected a whole number with K, M or G such as 512M, but it is {str(text)!r}"
        )
    return int(found.group(1)) * _UNITS[found.group(2)]


def rabbitmq_watermark(limit: str, fraction: float) -> int:
    """Bytes from which on the broker holds its publishers back: a fraction of its container's limit.

    Raises AnsibleFilterError for a fraction that would hold them back at once, or so late that the kernel
    kills the broker first.
    """
    part = float(fraction)
    if not 0 < part <= 0.9:
        raise AnsibleFilterError(
            f"rabbitmq_prometheus_memory_fraction: expected more than 0 and at most 0.9, but it is {fraction}"
        )
    return int(memory_size(limit, "app_stack_rabbitmq_memory") * part)


class FilterModule:
    """Filters about memory."""

    def filters(self) -> dict[str, Any]:
        return {"memory_size": memory_size, "rabbitmq_watermark": rabbitmq_watermark}
