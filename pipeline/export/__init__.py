"""Exporters of curated records: one file per format, all streaming, all with a summary."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from pipeline.export.checked_output import ExportOptions, ExportSummary
from pipeline.export.coco import export_coco
from pipeline.export.glip_tsv import export_glip_tsv
from pipeline.export.goldg import export_goldg
from pipeline.export.grit import export_grit
from pipeline.export.lvis import export_lvis
from pipeline.export.odvg import export_odvg
from schemas.errors import ConfigError
from schemas.records import CuratedRecord

Exporter = Callable[[Iterable[CuratedRecord], str, ExportOptions], ExportSummary]

EXPORTERS: Mapping[str, Exporter] = {
    "goldg": export_goldg,
    "odvg": export_odvg,
    "coco": export_coco,
    "lvis": export_lvis,
    "glip-tsv": export_glip_tsv,
    "grit": export_grit,
}

__all__ = ["EXPORTERS", "ExportOptions", "ExportSummary", "export_records"]


def export_records(
    records: Iterable[CuratedRecord],
    export_format: str,
    path: str,
    options: ExportOptions | None = None,
) -> ExportSummary:
    """Write curated records to `path` in a format; the file appears whole or not at all.

    Raises:
        ConfigError: unknown format, or a path that the format does not take.
        DataError: a record breaks the contract.
    """
    if export_format not in EXPORTERS:
        raise ConfigError(f"format must be one of {', '.join(EXPORTERS)}, got {export_format!r}")
    return EXPORTERS[export_format](records, path, options or ExportOptions())
