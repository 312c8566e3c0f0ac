"""What an export cannot do is said before hours of curation."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.export.export import Export, ExportRequest
from schemas.errors import ConfigError
from tests.pipeline.folder_run import folder_run
from tests.schemas.builders import make_annotation


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ({"pairs": "PLACE/ids.txt"}, "ids.txt"),
        ({"without_leaks": True}, "was not compared with a test set"),
        ({"masks": True, "format": "coco"}, "has no layer 'masks'"),
        ({"masks": True}, "masks must go with format coco or lvis, got 'goldg'"),
        ({"policy": "PLACE/none.json"}, "none.json"),
        ({"out": "PLACE/there.json"}, "exists; give --force"),
    ],
)
def test_nothing_is_curated(wish: dict[str, object], said: str, tmp_path: Path) -> None:
    run = folder_run(tmp_path / "run", [make_annotation()])
    (tmp_path / "there.json").touch()
    fields: dict[str, object] = {"out": "PLACE/out.json", "format": "goldg"} | wish
    placed = {
        name: value.replace("PLACE", str(tmp_path)) if isinstance(value, str) else value
        for name, value in fields.items()
    }
    with pytest.raises(ConfigError, match=said):
        Export(ExportRequest(runs=(run.uri,), **placed))  # type: ignore[arg-type]
    assert not (tmp_path / "run" / "curated").exists()
