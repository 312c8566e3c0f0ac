"""Files by their addresses: a path, a `file://` URL, a store."""

from __future__ import annotations

import uuid
from pathlib import Path

import pytest

from pipeline.storage.errors import MissingFile
from pipeline.storage.files import (
    create_bytes,
    exists,
    find_files,
    is_folder,
    list_folder,
    open_file,
    place_of,
    read_bytes,
    remove,
    stat_file,
    write_bytes,
)
from pipeline.storage.local_place import LocalPlace
from pipeline.storage.store_place import StorePlace
from schemas.errors import ConfigError


@pytest.fixture(params=["path", "file", "memory"])
def base(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An empty folder."""
    kinds = {
        "path": str(tmp_path),
        "file": f"file://{tmp_path}",
        "memory": f"memory://{uuid.uuid4().hex}",
    }
    return kinds[request.param]


def test_the_verbs_agree(base: str) -> None:
    url = f"{base}/a/b.txt"
    assert not exists(url)
    with pytest.raises(MissingFile):
        read_bytes(url)
    write_bytes(url, b"0123456789")
    assert exists(url)
    assert exists(f"{base}/a")
    assert is_folder(f"{base}/a")
    assert not is_folder(url)
    assert read_bytes(url) == b"0123456789"
    assert read_bytes(url, 2, 5) == b"234"
    assert read_bytes(url, 8, 99) == b"89"
    with open_file(url) as stream:
        stream.seek(7)
        assert stream.read() == b"789"
    found = stat_file(url)
    assert (found.uri, found.size) == (url, 10)
    with pytest.raises(MissingFile, match="is not a file"):
        stat_file(f"{base}/a")
    write_bytes(f"{base}/a/c/d.txt", b"")
    files, folders = list_folder(f"{base}/a")
    assert [file.uri.rpartition("/")[2] for file in files] == ["b.txt"]
    assert [folder.rpartition("/")[2] for folder in folders] == ["c"]
    matched = [file.uri.rpartition("/")[2] for file in find_files(f"{base}/a/**/*.txt")]
    assert matched == ["b.txt", "d.txt"]
    write_bytes(url, b"new")
    assert read_bytes(url) == b"new"
    remove(url)
    remove(url)  # it is gone: no error
    assert not exists(url)


def test_an_exclusive_create_or_a_sentence(base: str) -> None:
    url = f"{base}/x"
    if base.startswith("memory://"):
        with pytest.raises(ConfigError, match="memory has no exclusive create here"):
            create_bytes(url, b"1")
        return
    assert create_bytes(url, b"1")
    assert not create_bytes(url, b"2")
    assert read_bytes(url) == b"1"


def test_an_address_is_a_place(tmp_path: Path) -> None:
    name = tmp_path / "a b.txt"
    for url in (str(name), "file://" + str(name).replace(" ", "%20")):
        place = place_of(url)
        assert isinstance(place, LocalPlace)
        assert (place.url, place.path) == (url, str(name))
    assert isinstance(place_of("s3://bucket/key"), StorePlace)
    assert place_of("s3://bucket/key").path == "bucket/key"
    with pytest.raises(ConfigError, match="give a path, or a URL such as s3://bucket/key"):
        place_of("nosuch://x")
