from __future__ import annotations

from pathlib import Path

import pytest

from jobs.training.data import build_mixture
from jobs.training.recipe import Recipe, SourceSpec
from jobs.training.sources import load_sources
from model.inputs.tokenizer import default_tokenizer
from model.training.options import TrainOptions
from schemas.errors import ConfigError
from tests.jobs.shapes import write_shapes


@pytest.mark.parametrize("place", ["file", "file/below"])
def test_a_cache_that_cannot_be_written_is_refused(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("")
    spec = SourceSpec(gold=str(write_shapes(tmp_path / "gold", 2)[0]))
    recipe = Recipe(preset="glip-toy", train=TrainOptions(steps=1), sources=(spec,), cache_side=64)
    sources, _ = load_sources(recipe.sources)
    with pytest.raises(ConfigError, match=f"{place} cannot be written: .* --cache, or do without"):
        build_mixture(recipe, sources, default_tokenizer(), tmp_path / place, lambda _: None)
