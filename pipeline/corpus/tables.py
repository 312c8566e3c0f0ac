"""Which of the files beside images hold their captions: CSV and its kin, or a JSON array."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from pipeline.corpus.field_names import CAPTIONS, IMAGE_PATHS, fields_of, have_any
from pipeline.corpus.formats.rows_base import first_entry, first_rows
from pipeline.corpus.options import CorpusOptions
from pipeline.corpus.rows.kinds import JSON_ENDINGS, TABLE_ENDINGS, packed
from schemas.errors import ConfigError, GlipforgeError, reason_of
from schemas.plan import InputFile

MAX_LOOKED_AT = 64
"""So many files are opened to see whether they are tables of captions."""
_LEMMAS = ".lemma."
"""Flickr8k also comes with its captions' words in their ground form."""


def find_tables(
    found: Sequence[InputFile], options: CorpusOptions, stems: Collection[str] = ()
) -> tuple[str, list[InputFile]]:
    """The kind, `csv` or `json`, and the files whose rows name an image and hold a caption.

    stems: Names of images without their ending; a file of such a name belongs to its image.

    Raises:
        ConfigError: there are tables of both kinds.
    """
    endings = packed((*TABLE_ENDINGS, *JSON_ENDINGS))
    lone = [
        file
        for file in found
        if file.uri.lower().endswith(endings)
        and _LEMMAS not in file.uri
        and file.uri.rpartition(".")[0] not in stems
    ]
    tables = [file for file in lone[:MAX_LOOKED_AT] if _holds_captions(file, options)]
    kinds = {"json" if is_json(file) else "csv" for file in tables}
    if len(kinds) > 1:
        raise ConfigError(
            f"captions are in {tables[0].uri} and in {tables[-1].uri}, tables of two kinds: choose "
            "one with --format csv or --format json, or name the file"
        )
    return (kinds.pop() if kinds else ""), tables


def is_json(file: InputFile) -> bool:
    """True for a table that is named as JSON."""
    return file.uri.lower().endswith(packed(JSON_ENDINGS))


def why_unread(file: InputFile) -> str:
    """What is wrong with a table beside images, in parentheses; nothing where it reads well."""
    if not file.uri.lower().endswith(packed((*TABLE_ENDINGS, *JSON_ENDINGS))):
        return ""
    try:
        entry = first_entry(file.uri)
    except (GlipforgeError, OSError) as error:
        return f" ({reason_of(error)})"
    if entry is None:
        return " (it has no rows)"
    if entry.row is None:
        return f" ({entry.problem})"
    return f" (its rows have {', '.join(fields_of(entry.row))})"[:200]


def _holds_captions(file: InputFile, options: CorpusOptions) -> bool:
    try:
        rows = first_rows(file.uri)
    except (GlipforgeError, OSError):
        return False
    present = {name for row in rows for name in fields_of(row)}
    image, caption = options.image_field, options.caption_field
    has_image = have_any(IMAGE_PATHS, present) if image is None else image in present
    has_caption = have_any(CAPTIONS, present) if caption is None else caption in present
    return has_image and (has_caption or options.captions == "none")
