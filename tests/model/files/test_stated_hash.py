"""Hashes as hubs state them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from huggingface_hub.hf_api import BlobLfsInfo, RepoSibling

from model.files.stated_hash import StatedHash

BYTES = b"some bytes\n"
BY_GIT = "b9b5b706b5226f5b418e35d278fa00edac3fcfe7"
"""As `git hash-object` says."""
SHA1, SHA256 = hashlib.sha1(BYTES).hexdigest(), hashlib.sha256(BYTES).hexdigest()


def cached(folder: Path, etag: str, data: bytes = BYTES) -> Path:
    """A file as the hub's client keeps it."""
    (folder / etag).write_bytes(data)
    (folder / "file").symlink_to(folder / etag)
    return folder / "file"


@pytest.mark.parametrize("digits", [BY_GIT, SHA1, SHA256])
def test_right_and_wrong_bytes_by_the_servers_etag(digits: str, tmp_path: Path) -> None:
    path = cached(tmp_path, digits)
    stated = StatedHash.of(RepoSibling(rfilename="file"), path)
    assert stated is not None
    assert stated.found(path) == stated.digits == digits
    path.write_bytes(BYTES.upper())
    assert stated.found(path) != digits


def test_what_the_listing_says_comes_first(tmp_path: Path) -> None:
    path = cached(tmp_path, "0" * 40)
    stated = StatedHash.of(RepoSibling(rfilename="file", blob_id=BY_GIT), path)
    assert stated is not None
    assert (stated.digits, stated.kind) == (BY_GIT, "sha1")


def test_the_hash_of_a_large_files_pointer_is_not_that_of_the_file(tmp_path: Path) -> None:
    lfs = BlobLfsInfo(size=11, sha256=SHA256, pointer_size=134)
    entry = RepoSibling(rfilename="file", blob_id=BY_GIT, lfs=lfs)
    stated = StatedHash.of(entry, cached(tmp_path, SHA256))
    assert stated is not None
    assert (stated.digits, stated.kind) == (SHA256, "sha256")


@pytest.mark.parametrize("etag", ["file-of-monday", "1f" * 16, "W0"])
def test_an_etag_that_is_not_such_a_hash_says_nothing(etag: str, tmp_path: Path) -> None:
    assert StatedHash.of(RepoSibling(rfilename="file"), cached(tmp_path, etag)) is None
