"""A Ray that is not there, or does not start, is a sentence."""

from __future__ import annotations

import socket

import pytest
import ray

from jobs.ray_session import ray_session
from schemas.errors import ConfigError, RetryableError


def test_an_address_that_nobody_answers_at(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        port = closed.getsockname()[1]
    for address in (f"127.0.0.1:{port}", f"ray://127.0.0.1:{port}", "nonsense:abc"):
        monkeypatch.setenv("RAY_ADDRESS", address)
        with pytest.raises(ConfigError) as raised, ray_session():
            raise AssertionError("there is no such cluster")
        assert f"RAY_ADDRESS={address} does not answer" in str(raised.value)
        assert "ray://HOST:10001" in str(raised.value)


@pytest.mark.parametrize("address, kind", [("", RetryableError), ("somewhere", ConfigError)])
def test_what_ray_raises_when_it_starts(
    monkeypatch: pytest.MonkeyPatch, address: str, kind: type[Exception]
) -> None:
    def fails(**_: object) -> None:
        raise Exception("The current node timed out during startup.\nMore of it.")

    monkeypatch.setattr(ray, "init", fails)
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "shutdown", lambda: None)
    monkeypatch.setenv("RAY_ADDRESS", address)
    with pytest.raises(kind, match="The current node timed out during startup.$"), ray_session():
        raise AssertionError("it did not start")
