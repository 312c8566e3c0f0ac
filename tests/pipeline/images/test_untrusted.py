"""Corpora of others: no address inside is reached, at no hop."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from pipeline.images import web
from pipeline.images.access import ImageAccess, is_public
from pipeline.images.fetch import read_image_uri
from tests.hostile_server import HostileServer, answer
from tests.pipeline.images.test_web import DATA, reason


@pytest.mark.parametrize(
    "address, public",
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("169.254.169.254", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("fe80::1%eth0", False),
        ("fd00::1", False),
        ("::ffff:127.0.0.1", False),
        ("64:ff9b::7f00:1", False),
        ("2002:7f00:1::", False),
        ("fec0::1", False),
        ("192.0.0.8", False),
        ("2606:4700::5efe:a00:1", False),
        ("2606:4700::200:5efe:a00:1", False),
        ("2606:4700::5efe:808:808", True),
        ("::ffff:8.8.8.8", True),
        ("64:ff9b::808:808", True),
        ("64:ff9b:1::808:808", False),
        ("::7f00:1", False),
        ("not one", False),
    ],
)
def test_public_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def test_an_untrusted_corpus_reaches_no_address_inside(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    access = ImageAccess(untrusted=True, root="/corpus")
    server.replies["/x"] = [answer(DATA)]
    port = server.port
    for host in ("127.0.0.1", "localhost", "0177.0.0.1", "2130706433", "[::ffff:127.0.0.1]"):
        said = reason(f"http://{host}:{port}/x", access=access)
        assert "not a public address" in said or "no address" in said or "resolve" in said, said
    assert not server.requests
    # A kept connection of a trusted fetch is not borrowed.
    assert read_image_uri(f"{server.url}/x") == DATA
    assert "not a public address" in reason(f"{server.url}/x", access=access)


def test_the_address_that_was_checked_is_the_one_that_is_asked(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that is public when it is looked at, and this machine when it is connected to."""
    real, lookups = socket.getaddrinfo, []

    def rebinding(host, port, *args, **kwargs):
        if host != "rebind.example":
            return real(host, port, *args, **kwargs)
        lookups.append(host)
        address = "8.8.8.8" if len(lookups) == 1 else "127.0.0.1"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebinding)
    monkeypatch.setattr(web, "CONNECT_TIMEOUT_S", 0.2)
    monkeypatch.setattr(web, "WEB_ATTEMPTS", 1)
    access = ImageAccess(untrusted=True, root="/corpus")
    reason(f"http://rebind.example:{server.port}/x", access=access)
    assert len(lookups) == 1
    assert not server.requests


def test_an_untrusted_redirect_is_checked_at_every_hop(
    server: HostileServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.images.access.is_public", lambda address: address == "127.0.0.1")
    server.replies["/x"] = [
        answer(b"", status="302 Found", headers=f"Location: http://localhost:{server.port}/y\r\n")
    ]
    server.replies["/y"] = [answer(DATA)]
    assert read_image_uri(f"{server.url}/y", access=ImageAccess(untrusted=True)) == DATA
    monkeypatch.setattr("pipeline.images.access.is_public", lambda address: server.asked["/x"] == 0)
    assert "not a public address" in reason(f"{server.url}/x", access=ImageAccess(untrusted=True))


@pytest.mark.parametrize(
    "address",
    [
        "{root}/a.zip#/../../secret.jpg",
        "{root}/A.ZIP#b/../../../secret.jpg",
        "file://{root}/a.zip%23/../../secret.jpg",
        "{root}/a.tar#/../../secret.jpg",
        "{root}/link.jpg",
        "{root}/folder/secret.jpg",
        "{root}/folder/secret.zip#x.jpg",
        "FILE://{root}/%2e%2e/secret.jpg",
        "file://localhost{root}/..%2Fsecret.jpg",
    ],
)
def test_no_spelling_of_an_address_leaves_an_untrusted_corpus(tmp_path: Path, address: str) -> None:
    root = tmp_path / "corpus"
    (root / "a.zip#").mkdir(parents=True)
    (root / "A.ZIP#b").mkdir()
    for name in ("secret.jpg", "secret.zip", "corpus/own.jpg"):
        (tmp_path / name).write_bytes(DATA)
    (root / "link.jpg").symlink_to("../secret.jpg")
    (root / "folder").symlink_to("..")
    access = ImageAccess(untrusted=True, root=str(root))
    assert read_image_uri(f"{root}/own.jpg", access=access) == DATA
    said = reason(address.format(root=root), access=access)
    assert "is not below the corpus" in said or "does not exist" in said, said


def test_a_link_that_is_turned_between_the_check_and_the_opening(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, link = tmp_path / "corpus", tmp_path / "corpus" / "x.jpg"
    root.mkdir()
    (root / "own.jpg").write_bytes(DATA)
    (tmp_path / "secret.jpg").write_bytes(DATA)
    link.symlink_to("own.jpg")
    access, opened = ImageAccess(untrusted=True, root=str(root)), os.open
    assert read_image_uri(str(link), access=access) == DATA

    def turn(path, *args, **kwargs):
        if str(path) == str(link):
            link.unlink()
            link.symlink_to("../secret.jpg")
        return opened(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", turn)
    assert "is not below the corpus" in reason(str(link), access=access)
