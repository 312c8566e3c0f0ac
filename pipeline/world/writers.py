"""Scenes as the corpora and gold files that the product reads."""

from __future__ import annotations

import io
import json
import tarfile
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from pipeline.world.atlas import GlyphAtlas
from pipeline.world.captions import Caption, write_caption
from pipeline.world.scenes import Scene, SceneOptions, draw_scene

FLAWS = ("corrupt image", "no caption", "no noun", "no image")
"""What a real corpus also holds; each becomes a row with a reason."""
SCENES_PER_TAR = 256
_JPEG_MARK = b"\xff\xd8\xff"


@dataclass(frozen=True, slots=True, kw_only=True)
class CorpusShape:
    """What is drawn. Everything is decided by these fields and the index of a scene."""

    name: str
    """Also part of the seed: two corpora of one seed differ."""
    scenes: int
    nouns: tuple[str, ...]
    options: SceneOptions = field(default_factory=SceneOptions)
    drop_rate: float = 0.0
    """How often a caption leaves a noun out."""
    seed: int = 0


def iter_scenes(shape: CorpusShape) -> Iterator[tuple[Scene, Caption]]:
    """The scenes of a corpus with their captions, in order."""
    atlas = GlyphAtlas()
    name = zlib.crc32(shape.name.encode())
    for index in range(shape.scenes):
        rng = np.random.default_rng([shape.seed, name, index])
        scene = draw_scene(rng, atlas, shape.nouns, shape.options)
        yield scene, write_caption(rng, scene, drop_rate=shape.drop_rate)


def write_gold(shape: CorpusShape, folder: Path) -> tuple[Path, Path]:
    """Scenes with all that is known of them; returns (grounding.json, detection.json).

    grounding.json is MDETR's format (captions with spans), detection.json COCO's (all boxes of
    the corpus's nouns); both name the pictures in `images/`.
    """
    images = folder / "images"
    images.mkdir(parents=True, exist_ok=True)
    grounding, detection = _Grounding(), _Detection(shape.nouns)
    for index, (scene, caption) in enumerate(iter_scenes(shape)):
        file_name = f"images/{index:06d}.jpg"
        (folder / file_name).write_bytes(scene.encode())
        size = scene.pixels.shape[1], scene.pixels.shape[0]
        grounding.add(file_name, size, caption)
        detection.add(file_name, size, scene)
    return (
        _write_json(folder / "grounding.json", grounding.content()),
        _write_json(folder / "detection.json", detection.content()),
    )


def write_corpus(shape: CorpusShape, folder: Path, *, flaws: int = 0) -> tuple[Path, Path]:
    """Scenes as WebDataset tars of pictures and captions; returns (folder, truth.json).

    truth.json is MDETR's format with the ids that the records will have. It lies outside the
    folder: whoever labels does not see it.

    Args:
        shape: What is drawn.
        folder: The tars are written here.
        flaws: So many records that cannot be labelled, of all `FLAWS`, are added at the end.
    """
    folder.mkdir(parents=True, exist_ok=True)
    truth = _Grounding()
    scenes = enumerate(iter_scenes(shape))
    pending = next(scenes, None)
    number = 0
    while pending is not None or number == 0:
        shard = f"{number:05d}"
        with tarfile.open(folder / f"{shard}.tar", "w") as tar:
            for _ in range(SCENES_PER_TAR):
                if pending is None:
                    break
                index, (scene, caption) = pending
                key = f"{index:06d}"
                _add_member(tar, f"{key}.jpg", scene.encode())
                _add_member(tar, f"{key}.txt", caption.text.encode())
                size = scene.pixels.shape[1], scene.pixels.shape[0]
                file_name = f"{shard}.tar#{key}.jpg"
                record_id = f"{folder.name}/{shard}/{key}"
                truth.add(file_name, size, caption, record_id=record_id)
                pending = next(scenes, None)
            if pending is None:
                _add_flaws(tar, flaws)
        number += 1
    return folder, _write_json(folder.parent / f"{folder.name}-truth.json", truth.content())


def _add_flaws(tar: tarfile.TarFile, count: int) -> None:
    picture = io.BytesIO()
    Image.new("RGB", (64, 64), (90, 120, 150)).save(picture, "JPEG")
    for index in range(count):
        key, flaw = f"flaw-{index:03d}", FLAWS[index % len(FLAWS)]
        if flaw != "no image":
            data = picture.getvalue()
            _add_member(tar, f"{key}.jpg", _JPEG_MARK + b"?" if flaw == "corrupt image" else data)
        if flaw != "no caption":
            text = "hello there!" if flaw == "no noun" else "a dog and a cat"
            _add_member(tar, f"{key}.txt", text.encode())


class _Grounding:
    """MDETR's COCO-shaped JSON, one image entry per caption."""

    def __init__(self) -> None:
        self.images: list[dict[str, Any]] = []
        self.boxes: list[dict[str, Any]] = []

    def add(
        self, file_name: str, size: tuple[int, int], caption: Caption, record_id: str = ""
    ) -> None:
        entry = {
            "id": len(self.images),
            "file_name": file_name,
            "width": size[0],
            "height": size[1],
            "caption": caption.text,
        }
        self.images.append(entry | ({"record_id": record_id} if record_id else {}))
        for mention in caption.mentions:
            for xyxy in mention.boxes:
                self.boxes.append(
                    _box(len(self.boxes), entry["id"], xyxy)
                    | {"category_id": 1, "tokens_positive": [list(mention.span)]}
                )

    def content(self) -> dict[str, Any]:
        return {
            "images": self.images,
            "annotations": self.boxes,
            "categories": [{"id": 1, "name": "object"}],
        }


class _Detection:
    """COCO's JSON, a category for each noun."""

    def __init__(self, nouns: Sequence[str]) -> None:
        self.category = {noun: number for number, noun in enumerate(sorted(nouns), start=1)}
        self.images: list[dict[str, Any]] = []
        self.boxes: list[dict[str, Any]] = []

    def add(self, file_name: str, size: tuple[int, int], scene: Scene) -> None:
        number = len(self.images)
        self.images.append(
            {"id": number, "file_name": file_name, "width": size[0], "height": size[1]}
        )
        for item in scene.objects:
            self.boxes.append(
                _box(len(self.boxes), number, item.xyxy) | {"category_id": self.category[item.noun]}
            )

    def content(self) -> dict[str, Any]:
        names = [{"id": number, "name": noun} for noun, number in self.category.items()]
        return {"images": self.images, "annotations": self.boxes, "categories": names}


def _box(number: int, image: Any, xyxy: tuple[float, float, float, float]) -> dict[str, Any]:
    x0, y0, x1, y1 = xyxy
    return {
        "id": number,
        "image_id": image,
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
    }


def _add_member(tar: tarfile.TarFile, name: str, data: bytes) -> None:
    member = tarfile.TarInfo(name)  # no time and no owner: equal scenes give equal archives
    member.size = len(data)
    tar.addfile(member, io.BytesIO(data))


def _write_json(path: Path, content: dict[str, Any]) -> Path:
    path.write_text(json.dumps(content) + "\n", encoding="utf-8")
    return path
