"""A miniature world: drawn scenes of 600 nouns with captions, exact boxes and exact spans."""

from pipeline.world.atlas import STYLES, GlyphAtlas
from pipeline.world.captions import Caption, Mention, write_caption
from pipeline.world.nouns import Pool, all_nouns, nouns_of, plural_of
from pipeline.world.scenes import Scene, SceneObject, SceneOptions, draw_scene
from pipeline.world.writers import CorpusShape, write_corpus, write_gold

__all__ = [
    "STYLES",
    "Caption",
    "CorpusShape",
    "GlyphAtlas",
    "Mention",
    "Pool",
    "Scene",
    "SceneObject",
    "SceneOptions",
    "all_nouns",
    "draw_scene",
    "nouns_of",
    "plural_of",
    "write_caption",
    "write_corpus",
    "write_gold",
]
