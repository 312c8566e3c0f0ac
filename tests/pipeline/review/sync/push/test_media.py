"""Image files for the App."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from pipeline.review.sync.push.media import MediaStore
from schemas.errors import RecordError
from schemas.fingerprint import sha256_bytes
from schemas.records import Annotation
from tests.pipeline.review.builders import make_row

ORIENTATION = 0x0112


def encoded(kind: str = "PNG", *, orientation: int | None = None, **options: Any) -> bytes:
    """A 64 x 48 image, red on the left."""
    pixels = np.zeros((48, 64, 3), np.uint8)
    pixels[:, :32, 0] = 255
    stream = io.BytesIO()
    if orientation is not None:
        exif = Image.Exif()
        exif[ORIENTATION] = orientation
        options["exif"] = exif
    Image.fromarray(pixels).save(stream, kind, **options)
    return stream.getvalue()


def row_of(uri: object, data: bytes, **changes: Any) -> Annotation:
    return make_row(image_uri=str(uri), image_sha256=sha256_bytes(data), **changes)


@pytest.fixture
def media(tmp_path: Path) -> MediaStore:
    (tmp_path / "media").mkdir()
    return MediaStore(tmp_path / "media")


def copies(tmp_path: Path) -> list[Path]:
    return [path for path in (tmp_path / "media").rglob("*") if path.is_file()]


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "WEBP", "BMP", "GIF"])
def test_a_file_that_browsers_show_is_used_as_it_is(
    tmp_path: Path, media: MediaStore, kind: str
) -> None:
    path = tmp_path / "a #b 犬.img"
    path.write_bytes(encoded(kind))
    assert media.filepath(row_of(path, path.read_bytes())) == str(path)
    assert media.filepath(row_of(path.as_uri(), path.read_bytes())) == str(path)
    assert copies(tmp_path) == []


def test_a_relative_path_becomes_absolute(
    tmp_path: Path, media: MediaStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.png").write_bytes(encoded())
    monkeypatch.chdir(tmp_path)
    assert media.filepath(row_of("a.png", encoded())) == str(tmp_path / "a.png")


def test_an_image_in_an_archive_is_written_once_under_its_hash(
    tmp_path: Path, media: MediaStore
) -> None:
    data = encoded("JPEG")
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        member = tarfile.TarInfo("0.jpg")
        member.size = len(data)
        archive.addfile(member, io.BytesIO(data))
    row = row_of(f"{tmp_path}/a.tar#0.jpg", data)
    path = Path(media.filepath(row))
    assert path.read_bytes() == data
    assert path.name == f"{sha256_bytes(data)}.jpg"
    (tmp_path / "a.tar").unlink()
    assert media.filepath(row) == str(path)


@pytest.mark.parametrize("orientation", range(2, 9))
def test_a_turned_photograph_becomes_upright(
    tmp_path: Path, media: MediaStore, orientation: int
) -> None:
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded("JPEG", orientation=orientation, quality=95))
    turned = orientation >= 5
    row = row_of(path, path.read_bytes(), width=48 if turned else 64, height=64 if turned else 48)
    with Image.open(media.filepath(row)) as shown:
        assert shown.size == (row.width, row.height)
        assert shown.getexif().get(ORIENTATION) is None
        assert shown.format == "JPEG"


def test_a_format_that_browsers_do_not_show_becomes_png(tmp_path: Path, media: MediaStore) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(encoded("TIFF"))
    with Image.open(media.filepath(row_of(path, path.read_bytes()))) as shown:
        assert shown.format == "PNG"
        assert shown.getpixel((0, 0)) == (255, 0, 0)


def test_an_image_of_another_size_is_refused(tmp_path: Path, media: MediaStore) -> None:
    path = tmp_path / "a.png"
    path.write_bytes(encoded())
    with pytest.raises(RecordError, match=r"has 64 x 48 pixels, it had 65 x 48 when it was"):
        media.filepath(row_of(path, path.read_bytes(), width=65))


def test_other_bytes_in_the_archive_are_refused(tmp_path: Path, media: MediaStore) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(encoded("TIFF"))
    with pytest.raises(RecordError, match=r"has sha256 .*, it had .* label it again"):
        media.filepath(row_of(path, b"other"))
    assert copies(tmp_path) == []


def test_a_missing_file_and_a_broken_one_are_named(tmp_path: Path, media: MediaStore) -> None:
    with pytest.raises(RecordError, match=r"gone\.png"):
        media.filepath(row_of(tmp_path / "gone.png", b""))
    path = tmp_path / "broken.png"
    path.write_bytes(encoded()[:20])
    with pytest.raises(RecordError, match=r"broken\.png"):
        media.filepath(row_of(path, path.read_bytes()))
