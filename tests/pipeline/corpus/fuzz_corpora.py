"""Corpora of every format in memory, built from pairs that may be bad, with what lies where.

A builder says which bytes belong to which pair, so that a fuzzer knows what a damage may cost.
"""

from __future__ import annotations

import gzip
import io
import json
import posixpath
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq


@dataclass(frozen=True, kw_only=True)
class FuzzPair:
    """One pair as a corpus is to hold it; any part may be nonsense.

    key: Name of its files, or its id.
    image: Its bytes; None: there are none.
    caption: Text, bytes where a format can hold them, or any JSON value.
    """

    key: str
    image: bytes | None
    caption: Any


@dataclass(frozen=True)
class Extent:
    """Bytes [start, stop) of a file that belong to pair `number`; -1: to the file as a whole.

    is_link: What follows is only found by these bytes, as behind a header of a tar.
    """

    path: str
    start: int
    stop: int
    number: int
    is_link: bool = False


@dataclass(kw_only=True)
class Built:
    """A corpus: file contents by path, the path to open, and whose bytes are where."""

    files: dict[str, bytes] = field(default_factory=dict)
    opened: str = ""
    extents: list[Extent] = field(default_factory=list)
    num_rows: int = 0
    """One for each pair that the format can show."""
    is_joined: bool = False
    """Files of two pairs may be one sample: how many rows there must be cannot be said."""

    def add(self, path: str, data: bytes | None, number: int) -> None:
        """A file of one pair."""
        if data is not None:
            self.files[path] = data
            self.extents.append(Extent(path, 0, len(data), number))


Builder = Callable[[Sequence[FuzzPair]], Built]


def as_bytes(value: Any) -> bytes:
    """What a text file would hold."""
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value)
    return text.encode("utf-8", "surrogatepass")


def as_json_value(value: Any) -> Any:
    """Bytes become marks of the bytes that are not UTF-8; `write_json` puts them back."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else value


def write_json(value: Any) -> bytes:
    text = json.dumps(value, ensure_ascii=False)
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return json.dumps(value).encode()


def count_captions(value: Any) -> int:
    """Pairs that a caption field stands for."""
    return max(1, len(value)) if isinstance(value, list) else 1


def build_webdataset(pairs: Sequence[FuzzPair], *, format: int = tarfile.GNU_FORMAT) -> Built:
    """One tar: `<key>.png` with `<key>.txt`, or `.json` where the caption is another value."""
    built = Built(opened="toy")
    stream = io.BytesIO()
    path = "toy/00000.tar"
    with tarfile.open(fileobj=stream, mode="w", format=format) as tar:
        for number, pair in enumerate(pairs):
            members = {"png": pair.image, "txt": None, "json": None}
            if isinstance(pair.caption, str | bytes):
                members["txt"] = as_bytes(pair.caption)
            elif pair.caption is not None:
                members["json"] = write_json({"caption": pair.caption})
            for ending, data in members.items():
                if data is None:
                    continue
                info = tarfile.TarInfo(f"{pair.key}.{ending}")
                info.size = len(data)
                start = tar.offset
                tar.addfile(info, io.BytesIO(data))
                padded = -(-len(data) // 512) * 512
                middle = tar.offset - padded
                built.extents.append(Extent(path, start, middle, number, is_link=True))
                built.extents.append(Extent(path, middle, tar.offset, number))
            # What one lacks and the next has: a tar reads on as one sample.
            built.is_joined |= number > 0 and pairs[number - 1].key == pair.key
            name = f"{pair.key}.".rpartition("/")[2]
            if any(d is not None for d in members.values()) and not name.startswith((".", "__")):
                is_read = members["json"] and not leaves_archive(pair.key)
                built.num_rows += count_captions(pair.caption if is_read else "")
    built.files[path] = stream.getvalue()
    return built


def build_img2dataset(pairs: Sequence[FuzzPair]) -> Built:
    """A tar as above, and the table beside it with one download more, which failed."""
    built = build_webdataset(pairs)
    # Names that img2dataset does not give would be samples of other keys in the tar.
    keys = [p.key for p in pairs if p.key.isalnum() and (p.image or p.caption) is not None]
    table = pa.table(
        {
            "key": [*dict.fromkeys(keys), "lost"],
            "status": ["success"] * len(set(keys)) + ["failed_to_download"],
            "caption": ["x"] * len(set(keys)) + ["a lost dog"],
        }
    )
    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    built.files["toy/00000.parquet"] = buffer.getvalue()
    built.files["toy/00000_stats.json"] = b"{}"
    built.extents.append(Extent("toy/00000.parquet", 0, len(buffer.getvalue()), len(pairs)))
    built.num_rows += 1
    return built


def build_parquet(pairs: Sequence[FuzzPair]) -> Built:
    """Image structs and captions as raw bytes in a text column, two rows to a group."""
    captions = [
        None if pair.caption is None else as_bytes(pair.caption).replace(b"\0", b"\0")
        for pair in pairs
    ]
    text = pa.array(captions, pa.binary()).view(pa.string())
    image = [{"bytes": pair.image, "path": None} for pair in pairs]
    table = pa.table({"image": image, "caption": text})
    buffer = io.BytesIO()
    pq.write_table(table, buffer, row_group_size=2)
    data = buffer.getvalue()
    path = "toy/train-00000.parquet"
    built = Built(files={path: data}, opened="toy", num_rows=len(pairs))
    metadata = pq.ParquetFile(io.BytesIO(data)).metadata
    end = 4
    for group in range(metadata.num_row_groups):
        columns = [metadata.row_group(group).column(c) for c in range(metadata.num_columns)]
        start = min(c.dictionary_page_offset or c.data_page_offset for c in columns)
        stop = start + sum(c.total_compressed_size for c in columns)
        for number in range(2 * group, min(2 * group + 2, len(pairs))):
            built.extents.append(Extent(path, start, stop, number))
        end = max(end, stop)
    built.extents += [Extent(path, 0, 4, -1), Extent(path, end, len(data), -1)]
    return built


def build_jsonl(pairs: Sequence[FuzzPair]) -> Built:
    """Lines with `image`, `caption` and `id`."""
    return _lines(pairs, "toy/pairs.jsonl", "toy", ("image", "caption", "id"))


def build_imagefolder(pairs: Sequence[FuzzPair]) -> Built:
    """Hugging Face's layout; the file name is the id."""
    return _lines(pairs, "toy/metadata.jsonl", "toy", ("file_name", "text", None))


def _lines(
    pairs: Sequence[FuzzPair], path: str, opened: str, names: tuple[str, str, str | None]
) -> Built:
    image, caption, id_name = names
    built = Built(opened=opened if id_name is None else path)
    lines = b""
    for number, pair in enumerate(pairs):
        name = f"images/{pair.key}.png"
        row = {image: name, caption: as_json_value(pair.caption)}
        if id_name is not None:
            row[id_name] = pair.key
        line = write_json(row)
        built.extents.append(Extent(path, len(lines), len(lines) + len(line) + 1, number))
        lines += line + b"\n"
        built.num_rows += count_captions(pair.caption)
        if is_plain(pair.key):
            built.add(f"toy/{name}", pair.image, number)
    built.files[path] = lines
    return built


def build_coco(pairs: Sequence[FuzzPair]) -> Built:
    """COCO's captions JSON, one caption for each image."""
    path = "toy/annotations/captions_val2017.json"
    # The first image of an id has all captions of the id, further ones have none: a row each.
    keys = [pair.key for pair in pairs]
    built = Built(opened=path, num_rows=2 * len(keys) - len(set(keys)))
    images, annotations = [], []
    for number, pair in enumerate(pairs):
        images.append({"id": pair.key, "file_name": f"{pair.key}.png"})
        annotations.append({"image_id": pair.key, "caption": as_json_value(pair.caption)})
        if is_plain(pair.key):
            built.add(f"toy/val2017/{pair.key}.png", pair.image, number)
    data = write_json({"images": images, "annotations": annotations})
    built.files[path] = data
    built.extents.append(Extent(path, 0, len(data), -1))
    return built


def build_image_files(pairs: Sequence[FuzzPair]) -> Built:
    """Images with text files beside them."""
    built = Built(opened="toy")
    for number, pair in enumerate(pairs):
        if not is_plain(pair.key) or pair.image is None:
            continue
        built.num_rows += f"toy/{pair.key}.png" not in built.files
        built.add(f"toy/{pair.key}.png", pair.image, number)
        if pair.caption is not None:
            built.add(f"toy/{pair.key}.txt", as_bytes(pair.caption), number)
    return built


def build_gzipped(builder: Builder, ending: str) -> Builder:
    """The same with its main file packed: damage to it may cost every pair."""

    def build(pairs: Sequence[FuzzPair]) -> Built:
        built = builder(pairs)
        (path,) = [path for path in built.files if path.endswith(ending)]
        data = gzip.compress(built.files.pop(path), mtime=0)
        built.files[f"{path}.gz"] = data
        built.extents = [extent for extent in built.extents if extent.path != path]
        built.extents.append(Extent(f"{path}.gz", 0, len(data), -1))
        built.opened = f"{path}.gz" if built.opened == path else built.opened
        return built

    return build


def leaves_archive(key: str) -> bool:
    """True for names that a careless unpacker would write elsewhere."""
    return key.startswith("/") or posixpath.normpath(key).split("/")[0] == ".."


def is_plain(key: str) -> bool:
    """True where the key can be the name of a file on a disk that is looked at."""
    if key.startswith("__"):
        return False  # hidden
    return 0 < len(key) < 100 and all(c.isalnum() or c in "_-" for c in key) and key.isascii()


BUILDERS: dict[str, Builder] = {
    "webdataset": build_webdataset,
    "webdataset-pax": lambda pairs: build_webdataset(pairs, format=tarfile.PAX_FORMAT),
    "webdataset-gz": build_gzipped(build_webdataset, ".tar"),
    "img2dataset": build_img2dataset,
    "parquet": build_parquet,
    "jsonl": build_jsonl,
    "jsonl-gz": build_gzipped(build_jsonl, ".jsonl"),
    "imagefolder": build_imagefolder,
    "coco-captions": build_coco,
    "image-files": build_image_files,
}
