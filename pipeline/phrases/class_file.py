"""A file of class names as its field writes them: lines, COCO's and LVIS's JSON, YOLO's data.yaml,
label maps, a spreadsheet. What is one of these and has no names is refused, and so is markup: a
class that nobody meant is asked in every image, and nobody sees it.
"""

from __future__ import annotations

import csv
import itertools
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from schemas.errors import ConfigError, reason_of

MAX_TEXT_BYTES = 16 * 2**20
"""Of a list by lines: a file over this is something else, given by mistake."""
MAX_CELL_CHARS = 100_000
"""Of a table: a longer cell is no name."""
_ALLOWED = (
    "a file of class names has a class a line, or is JSON or YAML with `categories` (COCO, LVIS), "
    "`names` (YOLO), a list, numbers to names, or names to their wordings, or CSV with a column "
    "`name`"
)
_COMMENT = re.compile(r"(?:^|\s)#.*")
_BULLET = re.compile(r"[-*•]\s")
_NUMBERED = re.compile(r"\s*(?P<number>\d+)(?:\s*[:,\t]|[.)]\s)\s*(?P<name>\S.*)")
_PBTXT_ITEM = re.compile(r"\bitem\s*\{([^{}]*)\}")
_PBTXT_NAME = re.compile(r"\b(display_name|name)\s*:\s*(?:\"([^\"]*)\"|'([^']*)')")
_NAME_COLUMNS = ("name", "display_name", "displayname", "class", "class_name", "category", "label")


class Named(NamedTuple):
    """A class whose name is what the file says, whatever signs it has."""

    name: str
    words: tuple[str, ...] = ()
    """Its wordings, and after `-` what it must not be; empty: it is asked for by its name."""


def read_class_file(path: str) -> list[str | Named]:
    """The classes of a file: a text is to be read as a line, `name` or `name: wording, -not`.

    Raises:
        ConfigError: it cannot be read, or nobody can say which of it are the classes.
    """
    text = _text_of(path)
    where = f"names: the file {path!r}"
    ending = Path(path).suffix.lower()
    if text.lstrip()[:1] == "<":
        raise ConfigError(f"{where} is HTML or XML, not a list of classes; {_ALLOWED}")
    if ending == ".json" or text.lstrip()[:1] in ("[", "{"):
        try:
            return _named(json.loads(text), where)
        except (ValueError, RecursionError) as error:  # also a number of 5,000 digits
            raise ConfigError(f"{where} is not JSON ({error}); {_ALLOWED}") from error
    if ending in (".yaml", ".yml"):
        try:
            # Names as they are written: to the usual loader `no` and `1e3` are other things.
            raw = yaml.load(text, yaml.BaseLoader)
        except (yaml.YAMLError, RecursionError) as error:
            raise ConfigError(f"{where} is not YAML ({error}); {_ALLOWED}") from error
        if isinstance(raw, list | dict):
            return _named(raw, where)
    if ending == ".pbtxt":
        return _of_label_map(text, where)
    if len(text) > MAX_TEXT_BYTES:
        raise ConfigError(
            f"{where} has {len(text) / 2**20:,.0f} million characters, a list of classes at most "
            f"{MAX_TEXT_BYTES // 2**20}; {_ALLOWED}"
        )
    if ending in (".csv", ".tsv") and (column := _column(text, ending, where)) is not None:
        return column
    return _of_lines(text)


def _text_of(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"names: cannot read the file {path!r}: {error}; save it as UTF-8"
        ) from error
    except OSError as error:
        raise ConfigError(f"names: cannot read the file {path!r}: {reason_of(error)}") from error


def _of_lines(text: str) -> list[str | Named]:
    lines = [_COMMENT.sub("", line) for line in text.splitlines()]
    lines = [line for line in lines if line.strip()]
    numbered = [_NUMBERED.fullmatch(line) for line in lines]
    numbers = [int(found["number"]) for found in numbered if found]
    # A list that counts from 0 or 1: the numbers are no part of the names.
    if len(numbers) == len(lines) > 1 and numbers[0] in (0, 1) and _counts(numbers):
        lines = [found["name"] for found in numbered if found]
    return [_listed(part) for line in lines for part in line.split(";") if part.strip()]


def _counts(numbers: list[int]) -> bool:
    return all(before < after for before, after in itertools.pairwise(numbers))


def _listed(line: str) -> str:
    """What YAML, JSON and spreadsheets put around a name is no part of it."""
    line = line.lstrip()
    bullet = _BULLET.match(line)
    return unquoted(line[bullet.end() if bullet else 0 :].rstrip(",;\t "))


def unquoted(text: str) -> str:
    """A name without blanks and one pair of quote marks around it."""
    text = text.strip()
    if len(text) > 1 and text[0] == text[-1] and text[0] in "\"'":
        return text[1:-1].strip()
    return text


# --- JSON and YAML -------------------------------------------------------------------------------


def _named(raw: Any, where: str) -> list[str | Named]:
    """The classes of a value: a list, or an object that has one or is a map."""
    if isinstance(raw, dict):
        for key in ("categories", "names", "classes"):
            if isinstance(raw.get(key), list | dict):
                return _named(raw[key], where)
        return _of_map(raw, where)
    if not isinstance(raw, list):
        raise ConfigError(f"{where} holds {raw!r:.80}; {_ALLOWED}")
    return [_of_item(item, where) for item in raw]


def _of_item(item: Any, where: str) -> str | Named:
    if isinstance(item, dict) and isinstance(item.get("name"), str | int):
        return Named(str(item["name"]))
    if isinstance(item, dict) and len(item) == 1:  # `- helmet: -cap` of YAML
        return _of_map(item, where)[0]
    if isinstance(item, str | int) and not isinstance(item, bool):
        text = str(item)
        # Its ends are known: only of what may have wordings anything is left to read.
        return text if ":" in text or "：" in text else Named(text)  # noqa: RUF001
    raise ConfigError(f"{where}: a class must be a name or have one, got {item!r:.80}")


def _of_map(raw: dict[Any, Any], where: str) -> list[str | Named]:
    """Numbers to names, names to numbers, or names to wordings."""
    pairs = [(str(key), value) for key, value in raw.items()]
    if pairs and all(_is_number(key) for key, _ in pairs):
        return [_of_item(value, where) for _, value in sorted(pairs, key=lambda one: int(one[0]))]
    if pairs and all(_is_number(str(value)) for _, value in pairs):
        return [Named(key) for key, _ in sorted(pairs, key=lambda one: int(one[1]))]
    return [Named(key, _words(key, value, where)) for key, value in pairs]


def _words(key: str, value: Any, where: str) -> tuple[str, ...]:
    words = value.split(",") if isinstance(value, str) else [] if value is None else value
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return tuple(words)
    raise ConfigError(f"{where}: {key!r} must have its wordings, got {value!r:.80}; {_ALLOWED}")


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 19


# --- tables and label maps -----------------------------------------------------------------------


def _of_label_map(text: str, where: str) -> list[str | Named]:
    """TensorFlow's: `item { id: 1 name: "cat" }`; `display_name` is what people read."""
    names = []
    for item in _PBTXT_ITEM.findall(text):
        found = {key: one or other for key, one, other in _PBTXT_NAME.findall(item)}
        names.append(found.get("display_name") or found.get("name") or "")
    if not names or not all(names):
        raise ConfigError(f"{where} has items without a name; {_ALLOWED}")
    return [Named(name) for name in names]


def _column(text: str, ending: str, where: str) -> list[str | Named] | None:
    """The column of names of a table; None where it is a list by lines."""
    first = text.lstrip().partition("\n")[0].lower().strip()
    by_semicolons = "," not in first and not set(_NAME_COLUMNS).isdisjoint(first.split(";"))
    delimiter = "\t" if ending == ".tsv" else ";" if by_semicolons else ","
    try:
        rows = [_filled(row) for row in csv.reader(text.splitlines(), delimiter=delimiter)]
    except csv.Error as error:
        raise ConfigError(f"{where} is not CSV ({error}); {_ALLOWED}") from error
    rows = [row for row in rows if row]
    longest = max((len(cell) for row in rows for cell in row), default=0)
    if longest > MAX_CELL_CHARS:
        raise ConfigError(f"{where} is not CSV (a cell of {longest:,} characters); {_ALLOWED}")
    if not rows:
        return []
    head = [cell.strip().lower() for cell in rows[0]]
    named = next((head.index(name) for name in _NAME_COLUMNS if name in head), None)
    widths = {len(row) for row in rows}
    if named is not None:
        return [Named(row[named]) for row in rows[1:] if len(row) > named]
    if widths == {1} or any(":" in cell for row in rows for cell in row):
        return None
    if widths == {2} and all(_is_key(row[0]) for row in rows):
        return [Named(row[1]) for row in rows]
    raise ConfigError(f"{where}: which column has the names? Head it `name`; {_ALLOWED}")


def _filled(row: list[str]) -> list[str]:
    """Without blank cells at its end, which spreadsheets leave there."""
    while row and not row[-1].strip():
        row.pop()
    return row


def _is_key(cell: str) -> bool:
    """A number, or the id of Open Images (`/m/011k07`) or of WordNet (`n01440764`)."""
    return re.fullmatch(r"\d+|/[mg]/\w+|n\d{8}", cell.strip()) is not None
