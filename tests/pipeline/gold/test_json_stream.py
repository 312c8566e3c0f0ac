from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.gold import json_stream
from pipeline.gold.json_stream import NotAnObject, stream_object
from schemas.errors import DataError

_LEAVES = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text()
_VALUES = st.recursive(_LEAVES, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))


def rebuilt(path: Path) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, number, value in stream_object(str(path)):
        if number is None:
            found[key] = value
        else:
            assert number == len(found[key])
            found[key].append(value)
    return found


@given(
    st.dictionaries(st.text(), _VALUES),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16", "utf-32"]),
    st.booleans(),
    st.sampled_from([1, 7, 1 << 20]),
)
def test_it_reads_what_json_reads(
    tmp_path_factory: pytest.TempPathFactory,
    value: dict[str, Any],
    encoding: str,
    escaped: bool,
    block: int,
) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps(value, ensure_ascii=escaped, indent=2 if escaped else None)
    path.write_bytes(text.encode(encoding, "surrogatepass"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(json_stream, "_BLOCK", block if encoding != "utf-32" else 1 << 20)
        if block == 1:
            patch.setattr(json_stream, "_BLOCK", 4)  # the encoding shows in four bytes
        expected = json.loads(path.read_bytes())
        assert rebuilt(path) == expected


@pytest.mark.parametrize(
    "text, message",
    [
        ("", r"is not JSON: Expecting value at character 0"),
        ("{", r"is not JSON: Expecting .* at character 1"),
        ('{"a": [1, 2}', r"expected , or \], got '}' at character 11"),
        ('{"a": 1} x', r"extra data at character 9"),
        ('{"a": 1 "b": 2}', r"expected , or }, got .* at character 8"),
        ("{1: 2}", r"a key must be a string, got 1"),
        ('{"a": [' + "[" * 100_000, r"is not JSON"),
        ('{"a": [1', r"expected , or \], got 'the end'"),
        ('{"a": ' + "9" * 5000 + "}", r"is not JSON: .*digits"),
    ],
)
def test_what_is_not_json_is_explained(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(text)
    with pytest.raises(DataError, match=message):
        rebuilt(path)


def test_another_value_than_an_object_is_told_apart(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("[1]")
    with pytest.raises(NotAnObject, match=r"a.json' must hold a JSON object"):
        rebuilt(path)
    with pytest.raises(DataError, match=r"cannot be read"):
        rebuilt(tmp_path / "none.json")
