"""`python -m tests.schemas.golden` writes the golden file of the current schema version."""

from __future__ import annotations

from pathlib import Path

import pyarrow.parquet as pq

from schemas.arrow_schemas import SCHEMA_VERSION
from schemas.tables import annotations_to_table
from tests.schemas.builders import make_annotation

if __name__ == "__main__":
    path = Path("tests/golden/schemas") / f"annotation-v{SCHEMA_VERSION}.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(annotations_to_table([make_annotation()]), path)
    print(path)
