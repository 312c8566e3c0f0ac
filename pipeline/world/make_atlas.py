"""Draws the glyph sheets of the world again: `python -m pipeline.world.make_atlas`.

A build step: needs npm (for the artwork, pinned below) and the extra `build-assets`. The sheets it
writes are in the repository, so nobody else needs to run it.
"""

from __future__ import annotations

import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

from PIL import Image

from pipeline.world.atlas import CELL, COLUMNS, FOLDER, all_entries
from schemas.errors import MissingDependency

PACKAGES = {
    "noto": "@iconify-json/noto@1.2.9",
    "fluent-flat": "@iconify-json/fluent-emoji-flat@1.2.6",
    "fluent": "@iconify-json/fluent-emoji@1.2.7",
}
QUALITY = 80
_VARIATION = "\ufe0f"


def fetch_icons(package: str) -> dict[str, Any]:
    """`icons.json` and `chars.json` of an icon package, by npm."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(
            ["npm", "pack", "--silent", package], cwd=folder, check=True, capture_output=True
        )
        (archive,) = Path(folder).glob("*.tgz")
        with tarfile.open(archive) as tar:
            return {
                name: json.load(member)
                for name in ("icons", "chars")
                if (member := tar.extractfile(f"package/{name}.json")) is not None
            }


def icon_names(chars: dict[str, str]) -> dict[str, str]:
    """noun -> name of its icon; the Fluent sets share the names of the flat one."""
    found = {}
    for entry in all_entries():
        plain = entry["char"].replace(_VARIATION, "")
        for text in (entry["char"], plain, plain + _VARIATION):
            code = "-".join(f"{ord(letter):x}" for letter in text)
            if code in chars:
                found[entry["noun"]] = chars[code]
                break
    return found


def draw_icon(icons: dict[str, Any], name: str) -> Image.Image | None:
    """One icon, `CELL` pixels on a side; None where the set has none of this name."""
    try:
        import resvg_py
    except ImportError as error:
        raise MissingDependency("drawing needs resvg-py: pip install '.[build-assets]'") from error
    icon = icons["icons"].get(name)
    if icon is None:
        return None
    width = icon.get("width", icons.get("width", 16))
    height = icon.get("height", icons.get("height", 16))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'viewBox="0 0 {width} {height}" width="{CELL}" height="{CELL}">{icon["body"]}</svg>'
    )
    data = bytes(resvg_py.svg_to_bytes(svg_string=svg, width=CELL, height=CELL))
    return Image.open(io.BytesIO(data)).convert("RGBA").resize((CELL, CELL))


def main() -> int:
    """Write one sheet for each style; an absent icon leaves an empty cell."""
    fetched = {style: fetch_icons(package) for style, package in PACKAGES.items()}
    flat = icon_names(fetched["fluent-flat"]["chars"])
    names = {"noto": icon_names(fetched["noto"]["chars"]), "fluent-flat": flat, "fluent": flat}
    entries = all_entries()
    rows = -(-len(entries) // COLUMNS)
    for style in PACKAGES:
        sheet = Image.new("RGBA", (COLUMNS * CELL, rows * CELL))
        absent = []
        for place, entry in enumerate(entries):
            icon = draw_icon(fetched[style]["icons"], names[style].get(entry["noun"], ""))
            if icon is None:
                absent.append(entry["noun"])
                continue
            sheet.paste(icon, (place % COLUMNS * CELL, place // COLUMNS * CELL))
        path = FOLDER / f"{style}.webp"
        sheet.save(path, quality=QUALITY, method=6)
        sys.stdout.write(f"{path.name}: {path.stat().st_size:,} bytes, without {absent}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
