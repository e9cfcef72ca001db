"""RabbitMQ's queues as its own page tells them, and pages that do not come."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from tests.unit.diagnosis_look import FIXTURES, look, made
from tests.unit.diagnosis_modules import load_diagnosis

broker = load_diagnosis("broker")
pages = load_diagnosis("metrics_pages")

PAGE = (FIXTURES / "diagnosis" / "rabbitmq-detailed-4.0.5.prom").read_text(encoding="utf-8")


@contextmanager
def serving(page: str, status: int = 200) -> Iterator[tuple[int, list[str]]]:
    """Its port, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(page.encode())

        def log_message(self, *_: Any) -> None:
            """Quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield server.server_port, asked
        server.shutdown()


def test_queues_of_tasks() -> None:
    with serving(PAGE) as (port, asked):
        part = broker.collect(made(broker={"service": "rabbitmq", "port": port, "vhost": "a/b"}))
    assert part.facts == [
        {
            "name": "default",
            "ready": 10,
            "unacknowledged": 2,
            "consumers": 1,
            "published": 18,
            "delivered": 8,
        },
        # Nothing was ever sent to it, so the broker has no counters of it.
        {
            "name": "ai_queue",
            "ready": 0,
            "unacknowledged": 0,
            "consumers": 1,
            "published": None,
            "delivered": None,
        },
    ]
    assert asked == [
        "/metrics/detailed?vhost=a%2Fb&family=queue_coarse_metrics&family=queue_consumer_count"
        "&family=queue_delivery_metrics&family=queue_exchange_metrics"
    ]


def test_an_older_broker_counts_less() -> None:
    page = "\n".join(line for line in PAGE.splitlines() if "published" not in line)
    names = [name for each in broker.FIGURES.values() for name in each]
    (default, _) = broker.queues(pages.parse(page, names))
    assert (default["ready"], default["published"]) == (10, None)


def test_many_queues_are_bounded() -> None:
    page = "\n".join(f'rabbitmq_detailed_queue_messages_ready{{queue="q{n}"}} {n}' for n in range(60))
    with serving(page) as (port, _):
        part = broker.collect(made(broker={"service": "rabbitmq", "port": port, "vhost": "app"}))
    assert [queue["name"] for queue in part.facts[:2]] == ["q59", "q58"]
    assert len(part.facts) == broker.MOST
    assert part.omitted == ("10 queues with fewer messages",)


def test_a_broker_that_is_down() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(look.Unable, match=rf"^127.0.0.1:{port}/metrics/detailed: Connection refused$"):
        broker.collect(made(broker={"service": "rabbitmq", "port": port, "vhost": "app"}))


def test_a_page_that_is_none() -> None:
    with serving("", 503) as (port, _), pytest.raises(look.Unable, match="expected status 200, got 503"):
        pages.fetch("127.0.0.1", port, "/metrics", 1)


def test_a_page_that_does_not_come() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        with pytest.raises(look.Unable, match=f"127.0.0.1:{port}/metrics: no answer within 0.1 s"):
            pages.fetch("127.0.0.1", port, "/metrics?a=secret", 0.1)


def test_samples() -> None:
    found = pages.parse(
        '# TYPE a gauge\na{x="1,2}",y="say \\"hi\\""} 3.5 1700000000\nb 1e+03\nc 4\n', ["a", "b"]
    )
    assert found == [
        pages.Sample("a", {"x": "1,2}", "y": 'say "hi"'}, 3.5),
        pages.Sample("b", {}, 1000.0),
    ]
