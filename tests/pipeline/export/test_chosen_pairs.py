"""The file of record ids, whatever stands in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from pipeline.export.chosen_pairs import read_pairs
from schemas.errors import ConfigError


@pytest.mark.parametrize(
    ("data", "ids"),
    [
        (b"a/1\n\nb 2\n", {"a/1", "b 2"}),
        (b"\xef\xbb\xbfa/1\r\nb\r\n", {"a/1", "b"}),
        ("a\u2028b\u00e9\x85".encode(), {"a\u2028b\u00e9\x85"}),
    ],
)
def test_a_line_is_an_id(data: bytes, ids: set[str], tmp_path: Path) -> None:
    (tmp_path / "ids").write_bytes(data)
    assert read_pairs(str(tmp_path / "ids")) == ids


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (None, "without '.*ids' does not exist"),
        (b"", "without '.*ids' names no record id; it must hold one a line"),
        (b" \n\t\n", "names no record id"),
        (b"\xff\xfea\x00", "without '.*ids' is not UTF-8 text"),
    ],
)
def test_what_is_not_a_list_is_said(data: bytes | None, said: str, tmp_path: Path) -> None:
    if data is not None:
        (tmp_path / "ids").write_bytes(data)
    with pytest.raises(ConfigError, match=said):
        read_pairs(str(tmp_path / "ids"), option="without")
