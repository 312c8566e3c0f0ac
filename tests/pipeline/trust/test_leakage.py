"""Copies of test images in a run are found, exact and near, and no others."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from pipeline.layers.enrich_unit import enrich_unit
from pipeline.layers.perceptual_hash import CROPS, DuplicateScorer, crop_dhashes
from pipeline.layers.store import LayerStore
from pipeline.run.store import RunStore
from pipeline.trust.leakage import find_leakage, read_leakage, write_leakage
from pipeline.trust.near_images import (
    TURNS,
    NearIndex,
    _parts,
    as_words,
    hash_images,
    image_files,
)
from schemas.errors import ConfigError
from schemas.layer import KINDS, Layer
from tests.pipeline.layers.runs import draw, drawn_run


def hashed_run(folder: Path) -> RunStore:
    run = drawn_run(folder)
    store, kind = LayerStore(run, "duplicates"), KINDS["duplicates"]
    scorer = DuplicateScorer()
    store.define(
        Layer(
            name=kind.name,
            key=kind.key,
            columns=tuple(column.name for column in kind.columns),
            run_plan=run.plan_id(),
            maker=scorer.fingerprint(),
        )
    )
    with ThreadPoolExecutor(2) as pool:
        for source in store.pending():
            rows = run.read_rows(source, source.files[0])
            store.commit(
                source, enrich_unit(rows, [scorer], ("duplicates",), pool=pool)["duplicates"], {}
            )
    return run


def found_in(run: RunStore, folder: Path, distance: int = 6) -> dict[str, tuple[str, str]]:
    others = hash_images("test", image_files(str(folder)))
    found = find_leakage(run, [others], max_distance=distance)
    return {leak.record_id: (leak.kind, Path(leak.other).name) for leak in found.leaks}


def test_exact_and_near_copies_and_no_others(tmp_path: Path) -> None:
    run, folder = hashed_run(tmp_path), tmp_path / "test"
    folder.mkdir()
    images = tmp_path / "images"
    (folder / "same.png").write_bytes((images / "0.png").read_bytes())
    Image.open(images / "1.png").save(folder / "pixels.bmp")
    Image.open(images / "2.png").resize((192, 144), Image.Resampling.BICUBIC).save(
        folder / "near.jpg", quality=70
    )
    draw(folder / "deep" / "other.png", seed=77)
    (folder / "broken.jpg").write_bytes(b"no image")
    assert found_in(run, folder) == {
        "toy/0": ("exact", "same.png"),
        "toy/1": ("exact", "pixels.bmp"),
        "toy/2": ("near", "near.jpg"),
    }
    others = hash_images("test", image_files(str(folder)))
    found = find_leakage(run, [others], max_distance=6)
    assert (found.against, found.unreadable) == ({"test": 4}, {"test": 1})
    assert "broken.jpg" in others.unreadable[0]
    write_leakage(run, found)
    assert read_leakage(run) == found
    assert read_leakage(run).record_ids() == {"toy/0", "toy/1", "toy/2"}


def test_turned_and_mirrored_copies_are_near(tmp_path: Path) -> None:
    run, folder = hashed_run(tmp_path), tmp_path / "test"
    folder.mkdir()
    images = [Image.open(tmp_path / "images" / f"{n}.png") for n in range(3)]
    draw(folder / "other.png", seed=77)
    for turn in Image.Transpose:
        for number, image in enumerate(images):
            copy = image.transpose(turn)
            copy.resize((copy.width * 2, copy.height * 2)).save(
                folder / f"{number}.jpg", quality=80
            )
        found = found_in(run, folder)
        assert found == {f"toy/{n}": ("near", f"{n}.jpg") for n in range(3)}, turn


@pytest.mark.parametrize("where", [(0.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.17, 0.83), (0.7, 0.4)])
def test_a_crop_of_a_test_image_is_found(tmp_path: Path, where: tuple[float, float]) -> None:
    (tmp_path / "images").mkdir()
    folder = tmp_path / "test"
    for number in range(3):
        whole = photo_like(number)
        folder.mkdir(exist_ok=True)
        Image.fromarray(whole).save(folder / f"{number}.png")
        Image.fromarray(photo_like(number + 50)).save(folder / f"other{number}.png")
        side = np.array(whole.shape[:2]) * 0.8**0.5
        top, left = ((whole.shape[:2] - side) * where).astype(int)
        height, width = side.astype(int)
        crop = Image.fromarray(whole[top : top + height, left : left + width])
        crop.resize((200, 150)).save(tmp_path / "images" / f"{number}.jpg", quality=70)
    hashes = hash_images("test", image_files(str(folder)))
    own = hash_images("own", image_files(str(tmp_path / "images")))
    places, _ = NearIndex(hashes.crops, 6).nearest(own.hashes[::TURNS])
    assert [Path(hashes.names[p // CROPS]).name for p in places] == ["0.png", "1.png", "2.png"]
    assert NearIndex(hashes.hashes, 6).nearest(own.hashes[::TURNS])[0].tolist() == [-1, -1, -1]


def photo_like(seed: int) -> NDArray[np.uint8]:
    """Colours that change slowly, as in photographs: [240, 320, 3]."""
    coarse = np.random.default_rng(seed).integers(0, 256, (7, 9, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((320, 240), Image.Resampling.BICUBIC))


@pytest.mark.parametrize("size", [(1, 1), (1, 40), (300, 2), (97, 100), (1000, 10)])
def test_crops_of_images_of_any_size(size: tuple[int, int]) -> None:
    found = crop_dhashes(np.zeros((*size, 3), np.uint8))
    assert len(found) == CROPS
    squares = found[-9:]
    assert (squares == [None] * 9) == (min(size) / max(size) > 0.96)


def test_flat_images_are_not_near_to_each_other(tmp_path: Path) -> None:
    run, folder = hashed_run(tmp_path), tmp_path / "test"
    folder.mkdir()
    Image.new("RGB", (64, 48), (10, 10, 10)).save(folder / "flat.png")
    others = hash_images("test", image_files(str(folder)))
    white = np.zeros((3, 2), np.uint64)
    assert NearIndex(others.hashes, 6).nearest(white)[0].tolist() == [-1, -1, -1]
    assert found_in(run, folder) == {}


@pytest.mark.parametrize("distance", [0, 3, 7, 8, 15])
def test_the_index_finds_what_a_comparison_of_all_finds(
    distance: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("pipeline.trust.near_images._COMPARED", 50)
    random = np.random.default_rng(distance)
    others = random.integers(0, 2**63, (200, 2), dtype=np.uint64)
    mine = others[random.integers(0, 200, 400)].copy()
    for row in mine:  # up to 20 bits turned
        for bit in random.integers(0, 128, random.integers(0, 20)):
            row[bit // 64] ^= np.uint64(1) << np.uint64(bit % 64)
    places, distances = NearIndex(others, distance).nearest(mine)
    all_of_them = np.bitwise_count(mine[:, None] ^ others[None]).sum(axis=2)
    nearest = all_of_them.min(axis=1)
    np.testing.assert_array_equal(places >= 0, nearest <= distance)
    np.testing.assert_array_equal(distances[places >= 0], nearest[places >= 0])


def test_images_that_are_alike_in_half_are_not_compared_with_all() -> None:
    """Skies: the rows of one half of the image say the same, whatever is below."""
    hashes = np.random.default_rng(0).integers(0, 2**63, (4_000, 2), dtype=np.uint64)
    hashes |= np.uint64(0xFFFF_FFFF)
    for part in _parts(hashes, np.uint16).T:
        assert np.unique(part, return_counts=True)[1].max() < 400


def test_hex_digits_keep_their_order() -> None:
    assert as_words(["00" * 7 + "01" + "ff" * 8]).tolist() == [[1, 2**64 - 1]]
    assert as_words([]).shape == (0, 2)


def test_a_coco_file_names_images(tmp_path: Path) -> None:
    draw(tmp_path / "val" / "1.png", seed=1)
    coco = tmp_path / "val.json"
    coco.write_text(json.dumps({"images": [{"file_name": "1.png"}], "annotations": []}))
    assert image_files(str(coco), str(tmp_path / "val")) == [str(tmp_path / "val" / "1.png")]
    with pytest.raises(ConfigError, match="give --images with the folder"):
        image_files(str(coco))


@pytest.mark.parametrize(
    "content, said",
    [
        (None, "must be a folder of images or a COCO file"),
        ("{}", "is not a COCO file"),
        ("[1]", "is not a COCO file"),
        ('{"images": []}', "names no image"),
    ],
)
def test_what_is_no_set(tmp_path: Path, content: str | None, said: str) -> None:
    path = tmp_path / "x.json"
    if content is not None:
        path.write_text(content)
    with pytest.raises(ConfigError, match=said):
        image_files(str(path))


def test_a_folder_that_links_lead_back_to_is_read_once(tmp_path: Path) -> None:
    draw(tmp_path / "set" / "in" / "1.PNG", seed=1)
    for place in ("set/loop", "set/in/loop"):
        (tmp_path / place).symlink_to(tmp_path / "set", target_is_directory=True)
    (tmp_path / "set" / "again").symlink_to(tmp_path / "set" / "in", target_is_directory=True)
    assert len(image_files(str(tmp_path / "set"))) == 1


def test_an_empty_folder_is_no_set(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="has no image"):
        image_files(str(tmp_path))


def test_an_old_report_is_refused(tmp_path: Path) -> None:
    run = hashed_run(tmp_path)
    with pytest.raises(ConfigError, match="was not compared with a test set"):
        read_leakage(run)
    (tmp_path / "test").mkdir()
    draw(tmp_path / "test" / "1.png", seed=50)
    others = hash_images("t", image_files(str(tmp_path / "test")))
    write_leakage(run, find_leakage(run, [others], max_distance=6))
    path = Path(run.url("leakage.json"))
    path.write_text(path.read_text().replace(read_leakage(run).annotations_id, "0" * 16))
    with pytest.raises(ConfigError, match="is older than the labels"):
        read_leakage(run)
