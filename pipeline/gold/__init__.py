"""Importers of gold data: one file per format, all giving a `GoldSet`."""

from __future__ import annotations

from pipeline.gold.gold_set import GoldKind, GoldSet, IgnoredBox
from pipeline.gold.load import load_gold
from schemas.gold_format import GOLD_FORMATS

__all__ = ["GOLD_FORMATS", "GoldKind", "GoldSet", "IgnoredBox", "load_gold"]
