"""Writes one small corpus in every format that is read: six pairs, the same in each."""

from __future__ import annotations

import io
import json
import tarfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from tests.corpus_builders import picture_bytes

CAPTIONS = tuple(f"a dog and a cat{number}" for number in range(6))


def picture(number: int) -> bytes:
    return picture_bytes(number, (12, 10))


def write_tar(path: Path, members: Mapping[str, bytes]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, data in members.items():
            info = tarfile.TarInfo(name)
            info.size = len(data)
            tar.addfile(info, io.BytesIO(data))
    return path


def write_images(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(len(CAPTIONS)):
        (folder / f"{number}.png").write_bytes(picture(number))


def write_lines(path: Path, rows: list[Any]) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def imagefolder(root: Path) -> Path:
    write_images(root / "images")
    rows = [{"file_name": f"images/{n}.png", "text": text} for n, text in enumerate(CAPTIONS)]
    write_lines(root / "metadata.jsonl", rows)
    return root


def jsonl(root: Path) -> Path:
    write_images(root / "pictures")
    rows = [{"image": f"pictures/{n}.png", "caption": t, "id": n} for n, t in enumerate(CAPTIONS)]
    return write_lines(root / "pairs.jsonl", rows)


def webdataset(root: Path) -> Path:
    for shard in range(2):
        members = {}
        for number in range(3 * shard, 3 * shard + 3):
            members[f"{number:03d}.png"] = picture(number)
            members[f"{number:03d}.txt"] = CAPTIONS[number].encode()
        write_tar(root / f"{shard:05d}.tar", members)
    return root


def parquet(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True)
    table = pa.table(
        {
            "image": [{"bytes": picture(n), "path": None} for n in range(len(CAPTIONS))],
            "caption": list(CAPTIONS),
        }
    )
    pq.write_table(table, root / "train-00000.parquet", row_group_size=2)
    return root


def coco_captions(root: Path) -> Path:
    write_images(root / "val2017")
    images = [{"id": 10 + n, "file_name": f"{n}.png"} for n in range(len(CAPTIONS))]
    annotations = [
        {"id": n, "image_id": 10 + n, "caption": text} for n, text in enumerate(CAPTIONS)
    ]
    path = root / "annotations" / "captions_val2017.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


def img2dataset(root: Path) -> Path:
    webdataset(root)
    for shard in range(2):
        keys = [f"{number:03d}" for number in range(3 * shard, 3 * shard + 3)]
        table = pa.table({"key": keys, "status": ["success"] * 3, "caption": ["x"] * 3})
        pq.write_table(table, root / f"{shard:05d}.parquet")
        (root / f"{shard:05d}_stats.json").write_text("{}")
    return root


def image_files(root: Path) -> Path:
    write_images(root / "a")
    for number, text in enumerate(CAPTIONS):
        (root / "a" / f"{number}.txt").write_text(f"{text}\n")
    return root


WRITERS: dict[str, Callable[[Path], Path]] = {
    "imagefolder": imagefolder,
    "jsonl": jsonl,
    "webdataset": webdataset,
    "parquet": parquet,
    "coco-captions": coco_captions,
    "img2dataset": img2dataset,
    "image-files": image_files,
}
