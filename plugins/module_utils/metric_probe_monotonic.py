"""Judge counters that were read repeatedly: none may fall, whichever worker answers (T2)."""

from __future__ import annotations

from dataclasses import replace

from .metric_probe_facts import Repeated, Source
from .metric_probe_wording import FAILED, OK, Check


def monotonic_check(source: Source, repeated: Repeated) -> Check:
    """The check of one source."""
    check = Check(
        source.name,
        "monotonic",
        OK,
        asked=f"{repeated.url}, {repeated.scrapes} times",
        expected="no counter falls between two scrapes",
        got=f"{repeated.counters} counters never fell in {repeated.scrapes} scrapes",
    )
    if repeated.problem:
        cause = source.likely_causes.get("endpoint", "")
        check = replace(check, status=FAILED, got=repeated.problem.text, likely_cause=cause, waiting=True)
    elif not repeated.counters:
        cause = source.likely_causes.get("samples", "")
        check = replace(check, status=FAILED, got="no counter", likely_cause=cause, waiting=True)
    elif repeated.falls:
        shown = "; ".join(repeated.falls[:3])
        check = replace(
            check,
            status=FAILED,
            got=f"{len(repeated.falls)} falls, such as {shown}",
            likely_cause=(
                "each gunicorn worker answers for itself (T2): PROMETHEUS_MULTIPROC_DIR is not set for"
                " the service, files of dead workers are removed from it, or the service restarted"
            ),
        )
    return check
