"""What an address names is decided once; a file's own name may look like a member's."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.images.address import ImageAddress, UriKind, file_version


@pytest.mark.parametrize(
    ("uri", "kind", "file", "member"),
    [
        ("cat.jpg", UriKind.FILE, "cat.jpg", ""),
        ("file:///d/a%20b.jpg", UriKind.FILE, "file:///d/a%20b.jpg", ""),
        ("a#b.jpg", UriKind.FILE, "a#b.jpg", ""),
        ("d/a.tar#f/x.jpg", UriKind.ARCHIVE, "d/a.tar", "f/x.jpg"),
        ("d/a.tar.gz#x#1.jpg", UriKind.ARCHIVE, "d/a.tar.gz", "x#1.jpg"),
        ("s3://b/a.zip#x.jpg", UriKind.ARCHIVE, "s3://b/a.zip", "x.jpg"),
        ("t.parquet#12/image", UriKind.TABLE, "t.parquet", "12/image"),
        ("t.parquet#image", UriKind.FILE, "t.parquet#image", ""),
        ("s3://b/cat.jpg", UriKind.STORE, "s3://b/cat.jpg", ""),
        ("HTTPS://h/cat.jpg", UriKind.WEB, "HTTPS://h/cat.jpg", ""),
        ("http://h/a.tar#x.jpg", UriKind.WEB, "http://h/a.tar#x.jpg", ""),
    ],
)
def test_an_address_is_taken_apart(uri: str, kind: UriKind, file: str, member: str) -> None:
    found = ImageAddress.of(uri)
    assert (found.kind, found.file, found.member, found.uri) == (kind, file, member, uri)
    assert bool(found.path) is not uri.lower().startswith(("s3:", "http"))


def test_a_file_with_the_name_of_a_member_is_a_file(tmp_path: Path) -> None:
    for name in ("a.tar#x.jpg", "a.zip#x.jpg", "t.parquet#1/x"):
        path = tmp_path / name
        assert ImageAddress.of(str(path)).kind is not UriKind.FILE
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"")
        found = ImageAddress.of(str(path))
        assert (found.kind, found.path) == (UriKind.FILE, str(path))


def test_the_version_of_a_file_is_that_of_what_is_opened(tmp_path: Path) -> None:
    for name in ("a.jpg", "a.tar"):
        (tmp_path / name).write_bytes(b"1")
    versions = {file_version(f"{tmp_path}/a.jpg"), file_version(f"{tmp_path}/a.tar#x.jpg")}
    assert "" not in versions
    (tmp_path / "a.tar").write_bytes(b"two")
    assert file_version(f"{tmp_path}/a.tar#x.jpg") not in versions
    assert file_version("s3://b/a.jpg") == file_version(f"{tmp_path}/gone.jpg") == ""
