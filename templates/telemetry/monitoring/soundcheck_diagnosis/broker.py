"""RabbitMQ's queues, from the broker's own metrics: nothing is started in its container."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote

from soundcheck_diagnosis.look import Look, Part
from soundcheck_diagnosis.metrics_pages import Sample, fetch, parse

MOST = 50
# The last two count per queue; brokers before 4 leave out those that they do not know.
FAMILIES = (
    *("queue_coarse_metrics", "queue_consumer_count"),
    *("queue_delivery_metrics", "queue_exchange_metrics"),
)
_PREFIX = "rabbitmq_detailed_queue_"
# Each a figure of the facts, and the samples that it is the sum of.
FIGURES: Mapping[str, tuple[str, ...]] = {
    "ready": (f"{_PREFIX}messages_ready",),
    "unacknowledged": (f"{_PREFIX}messages_unacked",),
    "consumers": (f"{_PREFIX}consumers",),
    "published": (f"{_PREFIX}exchange_messages_published_total",),
    "delivered": (f"{_PREFIX}messages_delivered_total", f"{_PREFIX}messages_delivered_ack_total"),
}
# Celery's own for events and answers, which come and go with whoever asks.
_OF_CELERY = ("celeryev.", ".pidbox")


def collect(look: Look) -> Part:
    broker = look.config["broker"]
    asked = "&".join(f"family={family}" for family in FAMILIES)
    path = f"/metrics/detailed?vhost={quote(broker['vhost'], safe='')}&{asked}"
    page = fetch("127.0.0.1", broker["port"], path, look.seconds_left())
    found = queues(parse(page, [name for names in FIGURES.values() for name in names]))
    omitted = (f"{len(found) - MOST} queues with fewer messages",) if len(found) > MOST else ()
    return Part(found[:MOST], omitted=omitted)


def queues(samples: Iterable[Sample]) -> list[dict[str, Any]]:
    """Queues of tasks, the fullest first."""
    found: dict[str, dict[str, Any]] = {}
    for sample in samples:
        name = sample.labels.get("queue", "")
        if not name or any(part in name for part in _OF_CELERY):
            continue
        queue = found.setdefault(name, {"name": name, **dict.fromkeys(FIGURES)})
        for figure, names in FIGURES.items():
            if sample.name in names:
                queue[figure] = (queue[figure] or 0) + int(sample.value)
    return sorted(found.values(), key=lambda queue: -(queue["ready"] or 0))
