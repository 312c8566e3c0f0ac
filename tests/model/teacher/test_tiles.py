"""Tiles: they cover the image, what they cut does not stay, small things are found better."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from model.teacher.load import load_teacher, teacher_identity
from model.teacher.options import TeacherOptions
from model.teacher.tiles import Tile, TiledTeacher, merge_tiles, tiles_of
from schemas.errors import ConfigError
from schemas.grounder import Grounding, GroundingRequest
from schemas.records import Phrase, PhraseStatus
from tests.model.teacher.tiny_detectors import write_detector

OPTIONS = TeacherOptions(tiles="2x2")


@pytest.mark.parametrize("size", [(640, 480), (101, 333), (64, 64), (4000, 77)])
@pytest.mark.parametrize("grid", [(2, 2), (3, 1), (1, 4)])
@pytest.mark.parametrize("overlap", [0.0, 0.2, 0.5])
def test_tiles_cover_the_image_and_overlap(
    size: tuple[int, int], grid: tuple[int, int], overlap: float
) -> None:
    tiles = tiles_of(size, grid, overlap)
    if not tiles:
        assert min(length / count for length, count in zip(size, grid, strict=True)) < 32
        return
    assert len(tiles) == grid[0] * grid[1]
    seen = np.zeros((size[1], size[0]), bool)
    for x0, y0, x1, y1 in tiles:
        assert 0 <= x0 < x1 <= size[0]
        assert 0 <= y0 < y1 <= size[1]
        seen[y0:y1, x0:x1] = True
    assert seen.all()
    assert len({(x1 - x0, y1 - y0) for x0, y0, x1, y1 in tiles}) == 1  # they share a batch
    if grid[0] > 1:
        common = tiles[0].x1 - tiles[1].x0
        assert common == pytest.approx(overlap * (tiles[0].x1 - tiles[0].x0), abs=2)


def answer(*boxes: tuple[float, float, float, float, float], phrase: int = 0) -> Grounding:
    found = np.array(boxes, np.float32).reshape(-1, 5)
    best = np.zeros(2, np.float32)
    best[phrase] = found[:, 4].max(initial=0.0)
    return Grounding(
        xyxy=found[:, :4],
        phrase_index=np.full(len(found), phrase, np.int64),
        score=found[:, 4],
        token_score=found[:, 4],
        centerness=np.ones(len(found), np.float32),
        phrase_best_score=best,
        phrase_status=(PhraseStatus.OK, PhraseStatus.OK),
    )


LEFT, RIGHT = Tile(0, 0, 110, 100), Tile(90, 0, 200, 100)


def merged(whole: Grounding, *parts: tuple[Tile, Grounding]) -> list[list[float]]:
    found = merge_tiles(whole, list(parts), size_wh=(200, 100), options=OPTIONS)
    assert np.all(np.diff(found.score) <= 0)
    return found.xyxy.tolist()


def test_a_part_that_a_tile_cut_goes_where_the_whole_is_seen() -> None:
    whole = answer((50, 20, 150, 80, 0.6))
    cut = answer((50, 20, 110, 80, 0.9))
    assert merged(whole, (LEFT, cut)) == [[50, 20, 150, 80]]
    # Nobody saw the whole, or was sure of it: then the part stays.
    assert merged(answer(), (LEFT, cut)) == [[50, 20, 110, 80]]
    unsure = answer((50, 20, 150, 80, 0.3))
    assert len(merged(unsure, (LEFT, cut))) == 2
    # Of another phrase it is another thing.
    assert len(merged(answer((50, 20, 150, 80, 0.6), phrase=1), (LEFT, cut))) == 2


def test_a_small_thing_in_a_large_one_stays() -> None:
    whole = answer((50, 20, 150, 80, 0.6))
    assert len(merged(whole, (LEFT, answer((60, 30, 70, 40, 0.5))))) == 2


def test_the_edge_of_the_image_cuts_nothing() -> None:
    whole = answer((0, 0, 150, 100, 0.6))
    assert len(merged(whole, (LEFT, answer((0, 0, 30, 30, 0.5))))) == 2


def test_one_thing_in_the_overlap_is_one_box() -> None:
    inside = (92, 40, 108, 56, 0.5)
    other = (2, 40, 18, 56, 0.7)  # in the right tile's pixels
    assert merged(answer(), (LEFT, answer(inside)), (RIGHT, answer(other))) == [[92, 40, 108, 56]]


def test_a_tiled_teacher_answers_for_each_image_as_alone(tmp_path: Path) -> None:
    source = str(write_detector("grounding-dino", tmp_path / "dino"))
    options = TeacherOptions(score_floor=0.0, token_threshold=0.0, tiles="2x1", tile_overlap=0.1)
    teacher = load_teacher(source, device="cpu", options=options)
    assert isinstance(teacher, TiledTeacher)
    assert teacher_identity(source, options=options) == (teacher.teacher_id, teacher.fingerprint())
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 255, (s, 100, 3), dtype=np.uint8) for s in (70, 30, 70)]
    phrases = (Phrase(text="a cat", start=0, end=5),)
    requests = [GroundingRequest(image=i, caption="a cat", phrases=phrases) for i in images]
    found = teacher.ground(requests)
    for request, own in zip(requests, found, strict=True):
        (alone,) = teacher.ground([request])
        assert np.allclose(alone.xyxy, own.xyxy, atol=1e-3)
        height, width = request.image.shape[:2]
        assert (own.xyxy >= 0).all()
        assert (own.xyxy[:, 2] <= width).all()
        assert (own.xyxy[:, 3] <= height).all()
    plain = load_teacher(source, device="cpu", options=TeacherOptions(score_floor=0.0))
    (small,) = plain.ground([requests[1]])
    assert small.phrase_best_score[0] == pytest.approx(found[1].phrase_best_score[0], abs=1e-5)
    assert len(teacher.detect_batch(images, ["cat", "dog"])) == 3


def test_small_things_are_found_better() -> None:
    from pipeline.world.atlas import GlyphAtlas

    glyph = GlyphAtlas().glyph("noto", "dog")
    assert glyph is not None
    scene = Image.new("RGB", (256, 256), (120, 150, 110))
    small = glyph.resize((16, 16))
    scene.paste(small, (40, 44), small)
    request = GroundingRequest(
        image=np.asarray(scene), caption="a dog", phrases=(Phrase(text="a dog", start=0, end=5),)
    )
    best = []
    for tiles in ("1x1", "4x4"):
        teacher = load_teacher(device="cpu", options=TeacherOptions(tiles=tiles))
        best.append(float(teacher.ground([request])[0].phrase_best_score[0]))
    assert best[1] > best[0] + 0.2


@pytest.mark.parametrize(
    "options, said",
    [
        ({"tiles": "2"}, "tiles must be how many across and down, 1x1 to 9x9, got '2'"),
        ({"tiles": "0x2"}, "tiles must be"),
        ({"tile_overlap": 0.9}, r"tile_overlap must be in \[0, 0.9\), got 0.9"),
    ],
)
def test_wrong_tiles_are_a_sentence(options: dict[str, object], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        TeacherOptions(**options)  # type: ignore[arg-type]


def test_without_tiles_a_fingerprint_is_as_before() -> None:
    assert not {"tiles", "tile_overlap"} & set(TeacherOptions().fingerprint())
    assert TeacherOptions(tiles="3x2").fingerprint()["tiles"] == "3x2"
