"""Addresses and ports of the App server; the server itself is tested with a real one."""

from __future__ import annotations

import socket

import pytest

from pipeline.review.app.server import check_address, listening_socket
from schemas.errors import ConfigError


@pytest.mark.parametrize("address", ["0.0.0.0", "192.168.1.4", "::", "example.org"])
def test_a_public_address_needs_a_word_and_gets_the_reasons(address: str) -> None:
    with pytest.raises(ConfigError) as caught:
        check_address(address, allow_remote=False)
    for words in (repr(address), "no login", "not encrypted", "ssh -N -L", "--allow-remote"):
        assert words in str(caught.value)
    check_address(address, allow_remote=True)


@pytest.mark.parametrize("address", ["127.0.0.1", "localhost", "::1"])
def test_loopback_needs_none(address: str) -> None:
    check_address(address, allow_remote=False)


def test_a_taken_port_is_refused_when_asked_for() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=rf"port {port} is taken by another program"):
            listening_socket(port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_has_its_range(port: int) -> None:
    with pytest.raises(ConfigError, match=rf"port must be in \[1, 65535\], got {port}"):
        listening_socket(port)


def test_servers_that_start_at_once_get_ports_of_their_own() -> None:
    with listening_socket(None) as first, listening_socket(None) as second:
        ports = {made.getsockname()[1] for made in (first, second)}
        assert len(ports) == 2
        with pytest.raises(ConfigError, match="is taken by another program"):
            listening_socket(first.getsockname()[1])


def test_a_port_is_free_again_at_once() -> None:
    with listening_socket(None) as made:
        port = made.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            made.accept()[0].close()
    listening_socket(port).close()


def test_an_address_of_another_machine_is_said() -> None:
    with pytest.raises(ConfigError, match=r"cannot listen on address '192\.0\.2\.1'"):
        listening_socket(None, "192.0.2.1")
