"""Requests that a web container still has, read from the kernel's tables of connections."""

from __future__ import annotations

import os
import socket

import pytest

from plugins.module_utils.compose_drain import connections_of, open_connections

HEAD = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"


def row(local_port: int, state: str) -> str:
    return (
        f"   0: 0500A8C0:{local_port:04X} 0600A8C0:C350 {state} 00000000:00000000 00:00000000 00000000  0\n"
    )


@pytest.mark.parametrize(
    ("tables", "found"),
    [
        ([HEAD], 0),
        ([], 0),
        ([HEAD + row(8000, "0A")], 0),
        ([HEAD + row(8000, "01"), HEAD + row(8000, "01")], 2),
        ([HEAD + row(5432, "01") + row(8000, "06")], 0),
    ],
    ids=["none", "no table", "listening", "both families", "another port, and one that ended"],
)
def test_open_connections(tables: list[str], found: int) -> None:
    assert open_connections(tables, 8000) == found


def test_one_that_waits_to_be_accepted_counts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        assert connections_of(os.getpid(), port) == 0
        with socket.create_connection(("127.0.0.1", port)):
            assert connections_of(os.getpid(), port) == 1


def test_a_process_that_is_gone_has_none() -> None:
    assert connections_of(0, 8000) == 0
