"""A backend for tests of the proxy: tells what it was asked, takes its time, dies, and stops like gunicorn.

It runs in a container of its own; what it received is read at /received, straight from it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

NAME = os.environ.get("NAME", "")
# What Django would have in ALLOWED_HOSTS.
ALLOWED = {"localhost", "127.0.0.1", "music.example.com", "music.localhost"}
received: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """One connection, one request, as gunicorn's sync workers do it."""

    protocol_version = "HTTP/1.1"

    def answer(self) -> None:
        url = urlsplit(self.path)
        query = {key: values[0] for key, values in parse_qs(url.query).items()}
        length = int(self.headers.get("Content-Length") or 0)
        body = len(self.rfile.read(length))
        if url.path == "/received":
            self.reply(200, received)
            return
        if url.path == "/soundcheck/ready" and os.path.exists("/tmp/retired"):
            self.reply(503, "retired")
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        received.append({"method": self.command, "path": self.path, "headers": headers, "body": body})
        if query.get("die"):
            # Everything was read, nothing is answered: a worker that was killed in a request.
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        time.sleep(float(query.get("seconds", 0)))
        host = headers.get("host", "").partition(":")[0]
        self.reply(200 if host in ALLOWED else 400, {"name": NAME, "headers": headers})

    do_GET = do_POST = do_PUT = do_HEAD = answer

    def reply(self, status: int, content: object) -> None:
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Connection", "close")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_arguments: object) -> None:
        return


class Server(ThreadingHTTPServer):
    """Waits for its running requests when it stops."""

    daemon_threads = False
    request_queue_size = 256


def main() -> None:
    server = Server(("0.0.0.0", 8000), Handler)

    def stop(*_arguments: object) -> None:
        threading.Thread(target=server.shutdown).start()

    signal.signal(signal.SIGTERM, stop)
    server.serve_forever(poll_interval=0.05)
    server.server_close()


if __name__ == "__main__":
    main()
