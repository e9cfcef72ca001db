"""Prometheus scrape jobs from the catalogue's sources; every collector is configured from this one list."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleFilterError

# Keys of a source that stand in a scrape_config as they are. honor_timestamps and track_timestamps_staleness
# (Prometheus >= 2.48, Grafana Agent >= 0.40, Alloy) appear only where a source states them.
PASSED_ON = ("honor_timestamps", "track_timestamps_staleness")
# A rollout replaces a container within seconds; a look-up stays on the host.
DISCOVERY_INTERVAL = "5s"
UNITS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000}
# What Prometheus' and Go's duration syntax have in common, because Alloy reads Go's.
DURATION = re.compile(r"(\d+h)?(\d+m)?(\d+s)?(\d+ms)?")


def milliseconds(duration: str, where: str) -> int:
    """Length of a duration such as 60s or 1m30s."""
    match = DURATION.fullmatch(duration) if isinstance(duration, str) else None
    total = sum(
        int(part[: -len(unit)]) * UNITS[unit]
        for part, unit in zip(match.groups() if match else (), ("h", "m", "s", "ms"), strict=False)
        if part
    )
    if not total:
        raise AnsibleFilterError(f"{where}: a time such as 60s or 1m30s was expected, not {duration!r}")
    return total


def scrape_jobs(
    sources: Mapping[str, Mapping[str, Any]], interval: str, timeout: str = "10s"
) -> list[dict[str, Any]]:
    """One `scrape_config` for each enabled source, in the catalogue's order.

    A scrape may not take longer than the interval: the general timeout gives way to a short interval, while a
    source that states its own timeout needs that time and is an error.
    """
    every = milliseconds(interval, "scrape_interval")
    general = timeout if milliseconds(timeout, "metric_catalogue_scrape_timeout") <= every else interval
    jobs = []
    for name, source in sources.items():
        if not source["enabled"]:
            continue
        own = source.get("scrape_timeout")
        if own and milliseconds(own, f"metric_catalogue_{name}.scrape_timeout") > every:
            raise AnsibleFilterError(
                f"scrape_interval: {interval} is shorter than the {own} that a scrape of {name} may take"
            )
        job: dict[str, Any] = {
            "job_name": source["job"],
            "scrape_interval": interval,
            "scrape_timeout": own or general,
            "metrics_path": source["path"],
            "scheme": source.get("scheme", "http"),
            **{key: source[key] for key in PASSED_ON if key in source},
            **_targets(source),
        }
        if source["relabel"]:
            job["metric_relabel_configs"] = [dict(rule) for rule in source["relabel"]]
        jobs.append(job)
    return jobs


def _targets(source: Mapping[str, Any]) -> dict[str, Any]:
    """The one target of a source, or each of its containers: Docker's DNS answers with all their addresses.

    Asked by name, two containers would answer in turns under one `instance`, and every counter would jump.
    """
    if not source.get("each_container"):
        return {"static_configs": [{"targets": [source["target"]]}]}
    discovery = {"names": [source["service"]], "type": "A", "port": int(source["port"])}
    return {"dns_sd_configs": [{**discovery, "refresh_interval": DISCOVERY_INTERVAL}]}


def series_budget(
    jobs: Sequence[Mapping[str, Any]],
    sources: Mapping[str, Mapping[str, Any]],
    limit: int,
    included: int,
) -> dict[str, Any]:
    """What the jobs may cost (T16): the plan's limits, each job's interval and what trims its series."""
    trims = {source["job"]: source["trim"] for source in sources.values()}
    return {
        "limit": int(limit),
        "included": int(included),
        "jobs": [
            {
                "name": job["job_name"],
                "seconds": milliseconds(job["scrape_interval"], f"interval of {job['job_name']}") / 1000,
                "trim": trims[job["job_name"]],
            }
            for job in jobs
        ],
    }


class FilterModule:
    """Filters of this file."""

    def filters(self) -> dict[str, Any]:
        return {"scrape_jobs": scrape_jobs, "series_budget": series_budget}
