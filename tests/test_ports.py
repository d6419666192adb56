"""Ports for servers are free, and stay free until the server listens."""

from __future__ import annotations

import socket

from components import ports
from tests.clones import free_ports


def test_a_free_port_can_be_listened_on() -> None:
    for _ in range(50):
        port = ports.free_port()
        assert port in ports.PORTS
        socket.create_server(("127.0.0.1", port)).close()


def test_no_port_is_given_twice() -> None:
    given = free_ports(50)
    assert len(set(given)) == 50
