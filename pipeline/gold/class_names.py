"""Names of numbered classes: a JSON map, a YAML `names`, a list of lines, a Hugging Face README."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import yaml

from pipeline.gold.checks import read_json, read_text
from schemas.errors import DataError, reason_of


def read_class_names(path: str) -> dict[int, str]:
    """Number -> name: `.json` (an object of numbers to names, or a list), `.yaml` with `names`
    (YOLO's data.yaml), `.csv` (number,name), or a text file with one name a line from 0 on.

    Raises:
        DataError: the file cannot be read, or is none of these.
    """
    ending = Path(path).suffix.lower()
    if ending == ".json":
        raw = read_json(path)
    elif ending in (".yaml", ".yml"):
        raw = read_yaml(path)
        raw = raw.get("names", raw) if isinstance(raw, dict) else raw
    elif ending == ".csv":
        raw = {row[0].strip(): row[1].strip() for row in read_csv(path) if len(row) > 1}
    else:
        raw = [line.strip() for line in read_text(path).splitlines() if line.strip()]
    return numbered_names(raw, f"label map {path!r}")


def read_csv(path: str | Path) -> list[list[str]]:
    """The rows of a table with commas that are not empty.

    Raises:
        DataError: the file cannot be read, or a cell is too long for the csv module.
    """
    try:
        return [row for row in csv.reader(read_text(path).splitlines()) if row]
    except csv.Error as error:
        raise DataError(f"gold file {str(path)!r} cannot be read: {reason_of(error)}") from error


def numbered_names(raw: Any, where: str) -> dict[int, str]:
    """Number -> name of a list of names, or of an object of numbers to names.

    Raises:
        DataError: it is neither.
    """
    if isinstance(raw, list):
        raw = dict(enumerate(raw))
    if not isinstance(raw, dict) or not raw:
        raise DataError(f"{where} must be an object of numbers to names, or a list of names")
    names: dict[int, str] = {}
    for key, name in raw.items():
        # str.isdigit is true of a superscript two, which int refuses.
        text = str(key)
        if isinstance(key, bool) or not (text.isascii() and text.isdigit() and len(text) < 10):
            raise DataError(f"{where} must be an object of numbers to names, got the key {key!r}")
        if isinstance(name, dict | list) or name is None or not str(name).strip():
            raise DataError(f"{where}: the name of {key!r} must be a string, got {name!r:.100}")
        if int(text) in names:
            raise DataError(f"{where}: the number {int(text)} occurs twice")
        names[int(text)] = str(name)
    return names


def hugging_face_names(folder: Path) -> dict[int, str]:
    """The `class_label` names in the YAML head of a data set's README.md; empty where none."""
    for place in (folder, folder.parent):
        readme = place / "README.md"
        if readme.is_file():
            head = read_text(readme).removeprefix("---").partition("\n---")[0]
            try:
                found = find_class_label(yaml.safe_load(head))
            except yaml.YAMLError:
                continue
            if found is not None:
                return numbered_names(found, f"class_label names of {str(readme)!r}")
    return {}


def read_yaml(path: str) -> Any:
    """The value of a YAML file.

    Raises:
        DataError: the file cannot be read or is not YAML.
    """
    try:
        return yaml.safe_load(read_text(path))
    except yaml.YAMLError as error:
        raise DataError(f"gold file {path!r} is not YAML: {error}") from error


def find_class_label(value: Any) -> Any:
    """The names of the first class label in a description of features; None where there is none."""
    if isinstance(value, dict):
        if value.get("_type") == "ClassLabel":
            return value.get("names")
        label = value.get("class_label")
        if isinstance(label, dict) and "names" in label:
            return label["names"]
    children = value.values() if isinstance(value, dict) else value
    for child in children if isinstance(value, dict | list) else ():
        found = find_class_label(child)
        if found is not None:
            return found
    return None
