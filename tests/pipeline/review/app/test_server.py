"""Addresses and ports of the App server; the server itself is tested with a real one."""

from __future__ import annotations

import socket

import pytest

from pipeline.review.app.server import check_address, choose_port
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
            choose_port(port)


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_port_has_its_range(port: int) -> None:
    with pytest.raises(ConfigError, match=rf"port must be in \[1, 65535\], got {port}"):
        choose_port(port)


def test_without_a_wish_some_port_is_found() -> None:
    assert 0 < choose_port(None) < 65536
