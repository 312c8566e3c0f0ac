"""The miniature world: equal seeds, tight boxes, exact spans, true captions, real formats."""

from __future__ import annotations

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jobs.demo.world import WorldConfig, run
from pipeline.corpus import open_corpus
from pipeline.gold import load_gold
from pipeline.phrases.extract import PhraseExtractor
from pipeline.world import (
    STYLES,
    CorpusShape,
    GlyphAtlas,
    SceneOptions,
    all_nouns,
    draw_scene,
    nouns_of,
    plural_of,
    write_caption,
    write_corpus,
    write_gold,
)
from pipeline.world.nouns import with_article
from pipeline.world.writers import iter_scenes
from schemas.errors import ConfigError


@pytest.fixture(scope="module")
def atlas() -> GlyphAtlas:
    return GlyphAtlas()


def shape(**changes) -> CorpusShape:
    return CorpusShape(**({"name": "toy", "scenes": 20, "nouns": nouns_of("seen")} | changes))


def test_pools_are_apart_and_complete() -> None:
    pools = [nouns_of(pool) for pool in ("seen", "web", "never")]
    assert [len(pool) for pool in pools] == [300, 150, 150]
    assert sorted(noun for pool in pools for noun in pool) == sorted(all_nouns())
    assert len(set(all_nouns())) == 600


def test_every_noun_has_artwork(atlas: GlyphAtlas) -> None:
    for noun in all_nouns():
        drawn = [style for style in STYLES if atlas.glyph(style, noun) is not None]
        assert "noto" in drawn
    assert sum(atlas.glyph("fluent", noun) is None for noun in all_nouns()) == 6


@pytest.mark.parametrize(
    "noun, plural, one",
    [
        ("dog", "dogs", "a dog"),
        ("police officer", "police officers", "a police officer"),
        ("old woman", "old women", "an old woman"),
        ("wolf", "wolves", "a wolf"),
        ("cherry blossom", "cherry blossoms", "a cherry blossom"),
        ("bus", "buses", "a bus"),
        ("puppy", "puppies", "a puppy"),
        ("key", "keys", "a key"),
        ("hourglass", "hourglasses", "an hourglass"),
        ("unicorn", "unicorns", "a unicorn"),
        ("umbrella", "umbrellas", "an umbrella"),
        ("scissors", "scissors", "a scissors"),
    ],
)
def test_words(noun: str, plural: str, one: str) -> None:
    assert (plural_of(noun), with_article(noun)) == (plural, one)


def test_equal_seeds_draw_equal_scenes_and_others_do_not(atlas: GlyphAtlas) -> None:
    def pixels(seed: int) -> bytes:
        rng = np.random.default_rng(seed)
        return draw_scene(rng, atlas, nouns_of("web"), SceneOptions()).pixels.tobytes()

    assert pixels(1) == pixels(1)
    assert pixels(1) != pixels(2)
    (first, _), *_ = iter_scenes(shape(scenes=1))
    (other, _), *_ = iter_scenes(shape(scenes=1, name="another"))
    assert not np.array_equal(first.pixels, other.pixels)


def test_boxes_are_tight(atlas: GlyphAtlas) -> None:
    """On an empty ground every side of a box touches what was drawn."""
    from pipeline.world import scenes

    for seed in range(12):
        rng = np.random.default_rng(seed)
        canvas = Image.new("RGBA", (128, 128), (0, 0, 0, 255))
        before = np.asarray(canvas.convert("RGB")).copy()
        glyph = atlas.glyph("noto", "dog")
        assert glyph is not None
        drawn = scenes._transform(rng, glyph, 50.0)
        box = scenes.opaque_box(drawn)
        assert box is not None
        cropped = drawn.crop(box)
        canvas.paste(cropped, (20, 30), cropped)
        changed = np.argwhere((np.asarray(canvas.convert("RGB")) != before).any(2))
        top, left = changed.min(0)
        bottom, right = changed.max(0) + 1
        assert abs(left - 20) <= 1
        assert abs(top - 30) <= 1
        assert abs(right - 20 - cropped.width) <= 1
        assert abs(bottom - 30 - cropped.height) <= 1


def test_scenes_are_within_their_options() -> None:
    options = SceneOptions(side=96, nouns=(2, 3), max_copies=2, styles=("fluent",))
    for scene, _ in iter_scenes(shape(options=options, nouns=nouns_of("never"))):
        assert scene.pixels.shape == (96, 96, 3)
        assert {item.style for item in scene.objects} == {"fluent"}
        counts = {item.noun: 0 for item in scene.objects}
        assert 1 <= len(counts) <= 3
        for item in scene.objects:
            counts[item.noun] += 1
            x0, y0, x1, y1 = item.xyxy
            assert 0 <= x0 < x1 <= 96
            assert 0 <= y0 < y1 <= 96
        assert max(counts.values()) <= 2


def test_captions_name_what_is_there_with_exact_spans() -> None:
    for scene, caption in iter_scenes(shape(scenes=200)):
        for mention in caption.mentions:
            phrase = caption.text[slice(*mention.span)].lower()
            boxes = tuple(item.xyxy for item in scene.objects if item.noun == mention.noun)
            assert mention.boxes == boxes
            assert mention.noun in phrase or plural_of(mention.noun) in phrase
            if phrase.startswith(("two ", "three ")):
                assert len(boxes) == {"two": 2, "three": 3}[phrase.split()[0]]
        nouns = {item.noun for item in scene.objects}
        assert {mention.noun for mention in caption.mentions} == nouns


def test_relations_are_true() -> None:
    seen = 0
    for _, caption in iter_scenes(shape(scenes=200)):
        for first, second in zip(caption.mentions, caption.mentions[1:], strict=False):
            between = caption.text[first.span[1] : second.span[0]]
            if between == " to the left of ":
                assert first.boxes[0][2] <= second.boxes[0][0]
            elif between == " below ":
                assert first.boxes[0][1] >= second.boxes[0][3]
            else:
                continue
            seen += 1
    assert seen > 10


def test_a_caption_may_leave_things_out(atlas: GlyphAtlas) -> None:
    rng = np.random.default_rng(0)
    scene = draw_scene(rng, atlas, nouns_of("seen"), SceneOptions(nouns=(4, 4)))
    assert len(write_caption(rng, scene, drop_rate=0.999).mentions) == 1


def test_the_parser_finds_the_mentions() -> None:
    """Nearly all: what it misses is a floor for every recall on this world."""
    pairs = [caption for _, caption in iter_scenes(shape(scenes=300))]
    found = PhraseExtractor().extract([caption.text for caption in pairs])
    spans = [{(p.start, p.end) for p in phrases} for phrases in found]
    hits = sum(m.span in s for c, s in zip(pairs, spans, strict=True) for m in c.mentions)
    assert hits / sum(len(caption.mentions) for caption in pairs) > 0.93


def test_a_corpus_with_its_truth(tmp_path: Path) -> None:
    folder, truth = write_corpus(shape(scenes=12), tmp_path / "web", flaws=4)
    corpus = open_corpus(str(folder))
    records = [record for unit in corpus.units() for record in corpus.read(unit)]
    assert len(records) == 16
    gold = load_gold(str(truth), "mdetr")
    by_id = {record.record_id: record for record in records}
    for sample in gold.samples:
        assert by_id[sample.sample_id].caption == sample.caption
    flawed = [record for record in records if "flaw" in record.record_id]
    assert len(flawed) == 4
    assert Image.open(io.BytesIO(records[0].image_bytes or b"")).size == (128, 128)


def test_gold_in_both_formats(tmp_path: Path) -> None:
    grounding, detection = write_gold(shape(scenes=5), tmp_path / "gold")
    captions = load_gold(str(grounding), "mdetr", image_root=str(tmp_path / "gold"))
    names = load_gold(str(detection), "coco", image_root=str(tmp_path / "gold"))
    assert len(captions.samples) == len(names.samples) == 5
    assert names.is_exhaustive
    boxes = [sum(len(sample.boxes) for sample in gold.samples) for gold in (captions, names)]
    assert boxes[0] == boxes[1] > 5
    assert len(json.loads(detection.read_text())["categories"]) == 300


@pytest.mark.parametrize(
    "options, said",
    [
        ({"scenes": 0}, "scenes must be at least 1"),
        ({"drop_rate": 1.0}, r"drop_rate in \[0, 1\)"),
        ({"side": 8}, "side >= 32"),
    ],
)
def test_wrong_options(options, said: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=said):
        run(WorldConfig(out=tmp_path / "new", **options))
    assert not (tmp_path / "new").exists()


def test_a_folder_that_is_not_empty(tmp_path: Path) -> None:
    (tmp_path / "x").write_text("")
    with pytest.raises(ConfigError, match="is not empty; give a new folder"):
        run(WorldConfig(out=tmp_path))


def test_licences_lie_beside_the_artwork() -> None:
    from pipeline.world.atlas import FOLDER

    texts = {path.name: path.read_text() for path in FOLDER.glob("LICENSE-*.txt")}
    assert set(texts) == {
        "LICENSE-fluent.txt",
        "LICENSE-noto.txt",
        "LICENSE-unicode-emoji-json.txt",
    }
    assert "Apache License" in texts["LICENSE-noto.txt"]
    assert sum(path.stat().st_size for path in FOLDER.glob("*.webp")) < 3_000_000
