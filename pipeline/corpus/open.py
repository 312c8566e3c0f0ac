"""Finds out what kind of corpus a path or URL is, and opens it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence

from pipeline.corpus.corpus import Corpus
from pipeline.corpus.formats.bare_images import ImageFilesCorpus
from pipeline.corpus.formats.coco_captions import CocoCaptionsCorpus, is_coco_captions
from pipeline.corpus.formats.hf_imagefolder import METADATA_NAME, METADATA_NAMES, ImageFolderCorpus
from pipeline.corpus.formats.img2dataset import STATS_ENDING, Img2datasetCorpus
from pipeline.corpus.formats.img2dataset_files import Img2datasetFilesCorpus
from pipeline.corpus.formats.jsonl import JsonCorpus, JsonlCorpus, TableCorpus
from pipeline.corpus.formats.parquet import ParquetCorpus
from pipeline.corpus.formats.tar_samples import IMAGE_ENDINGS, TEXT_ENDINGS
from pipeline.corpus.formats.webdataset import WebdatasetCorpus
from pipeline.corpus.listing import list_inputs
from pipeline.corpus.options import CAPTIONS, CorpusOptions
from pipeline.corpus.rows.kinds import JSON_ENDINGS, JSONL_ENDINGS, TABLE_ENDINGS, packed
from pipeline.corpus.tables import find_tables, why_unread
from pipeline.images.access import ImageAccess
from schemas.errors import ConfigError, RecordError
from schemas.plan import InputFile

TAR_ENDINGS = (".tar", ".tar.gz", ".tgz")
IMG2DATASET_FILES = "img2dataset-files"
MAX_JSON_LOOKED_AT = 64
"""So many JSON files beside images are opened to see whether they are COCO captions."""
_TEXT_FILES = tuple(f".{ending}" for ending in TEXT_ENDINGS)
_CAPTION_TABLES = (".csv", ".tsv", ".txt", ".xlsx", ".token", ".json", ".csv.gz", ".tsv.gz")
_CLASSES: dict[str, type[Corpus]] = {
    "imagefolder": ImageFolderCorpus,
    "jsonl": JsonlCorpus,
    "csv": TableCorpus,
    "json": JsonCorpus,
    "webdataset": WebdatasetCorpus,
    "parquet": ParquetCorpus,
    "coco-captions": CocoCaptionsCorpus,
    "img2dataset": Img2datasetCorpus,
}
_WANTED = {
    "imagefolder": tuple(f"/{name}" for name in METADATA_NAMES),
    "jsonl": packed(JSONL_ENDINGS),
    "csv": packed(TABLE_ENDINGS),
    "json": packed(JSON_ENDINGS),
    "webdataset": TAR_ENDINGS,
    "parquet": (".parquet",),
    "coco-captions": (".json",),
    "img2dataset": (".tar",),
}


def open_corpus(uri: str, options: CorpusOptions | None = None) -> Corpus:
    """The corpus at a path or URL: a file, a folder, or a pattern such as `shards/{000..099}.tar`.

    Raises:
        ConfigError: there is nothing, nothing that is read, or several kinds at once.
    """
    options = options or CorpusOptions()
    if options.made_captions is not None:
        raise ConfigError(
            f"captions must be {', '.join(CAPTIONS[:-1])} or {CAPTIONS[-1]}, got "
            f"{options.captions!r}"
        )
    root, found = list_inputs(uri)
    kind = options.format
    if kind == "auto":
        kind_found, files = _detect(uri, found, options)
    elif kind == "imagefolder":
        files = _metadata(found) or found
        kind_found = "imagefolder" if files is not found else "images"
        if kind_found == "images":
            files = _images(found)
    else:
        kind_found, files = kind, _of_kind(kind, found)
        if kind == "img2dataset" and not files and _is_img2dataset_files(found):
            kind_found, files = IMG2DATASET_FILES, _images(found)
    if not files:
        wanted = ", ".join(_WANTED[kind]) if kind in _WANTED else ""
        raise ConfigError(
            f"corpus {uri!r} holds no {kind} data (files that end in {wanted}); there is: "
            f"{_endings(found)}"
        )
    tables = tuple(_of_kind("parquet", found)) if kind_found == IMG2DATASET_FILES else ()
    if options.untrusted:
        # A picture that is a link to elsewhere is a row with a reason.
        _require_inside(root, files if kind_found in _CLASSES else tables)
    if kind_found == IMG2DATASET_FILES:
        return Img2datasetFilesCorpus(uri, root, tuple(files), options, tables=tables)
    if kind_found == "images":
        corpus = ImageFilesCorpus(uri, root, tuple(files), options)
        corpus.explanation += _unread_captions(files, found)
        return corpus
    return _CLASSES[kind_found](uri, root, tuple(files), options)


def _require_inside(root: str, files: Sequence[InputFile]) -> None:
    access = ImageAccess(untrusted=True, root=root)
    for file in files:
        try:
            access.require(file.uri)
        except RecordError as error:
            raise ConfigError(f"untrusted: {error.detail}; it is a link to elsewhere") from error


def _detect(
    uri: str, found: Sequence[InputFile], options: CorpusOptions
) -> tuple[str, list[InputFile]]:
    """The kind of a corpus, by the names of its files, and by what is in tables beside images."""
    if metadata := _metadata(found):
        return "imagefolder", metadata
    kinds = {
        kind: files
        for kind in ("webdataset", "parquet", "jsonl")
        if (files := _of_kind(kind, found))
    }
    if "webdataset" in kinds and any(file.uri.endswith(STATS_ENDING) for file in found):
        return "img2dataset", _of_kind("img2dataset", found)
    if set(kinds) == {"parquet"} and _is_img2dataset_files(found):
        return IMG2DATASET_FILES, _images(found)
    if len(kinds) > 1:
        raise ConfigError(
            f"corpus {uri!r} holds several kinds of data ({', '.join(kinds)}): choose one with "
            f"--format, or name the files, for example {uri.rstrip('/')}/*.tar"
        )
    if kinds:
        return next(iter(kinds.items()))
    if images := _images(found):
        return _beside_images(uri, images, found, options)
    if listed := _of_kind("coco-captions", found):
        # COCO's own folder also holds boxes and key points of the same images.
        captions = [file for file in listed[:MAX_JSON_LOOKED_AT] if is_coco_captions(file)]
        if captions:
            return "coco-captions", captions
    kind, tables = find_tables(found, options)
    if tables:
        return kind, tables
    if listed:
        return "coco-captions", listed
    if len(found) == 1 and (lone := _of_kind("csv", found)):
        return "csv", lone  # opening it says why it is none
    raise ConfigError(
        f"corpus {uri!r}: nothing in it is a corpus that is read: an image folder with or without "
        f"{METADATA_NAME}, JSON lines, a table of images and captions (CSV, TSV, JSON), WebDataset "
        "tars, Parquet, COCO captions, img2dataset output, a zip archive of one of these; "
        f"there is: {_endings(found)}"
    )


def _beside_images(
    uri: str, images: list[InputFile], found: Sequence[InputFile], options: CorpusOptions
) -> tuple[str, list[InputFile]]:
    """Where the captions of a folder of images are: in a file for all, or in one beside each."""
    stems = {_stem(file) for file in images}
    captions = _coco_files(found, stems)
    kind, tables = ("coco-captions", captions) if captions else find_tables(found, options, stems)
    if not tables:
        return "images", images
    if any(_stem(file) in stems and file.uri.endswith(_TEXT_FILES) for file in found):
        raise ConfigError(
            f"corpus {uri!r} holds images with text files beside them and captions in "
            f"{tables[0].uri}: choose one with --format imagefolder or --format {kind}"
        )
    return kind, tables


def _metadata(found: Sequence[InputFile]) -> list[InputFile]:
    """The lists of an image folder, of one kind: a folder may have the same list twice."""
    for name in METADATA_NAMES:
        if listed := [file for file in found if f"/{file.uri}".endswith(f"/{name}")]:
            return listed
    return []


def _is_img2dataset_files(found: Sequence[InputFile]) -> bool:
    """Pictures in folders that are named as the Parquet file with the statistics beside each."""
    shards = {
        file.uri.removesuffix(STATS_ENDING) for file in found if file.uri.endswith(STATS_ENDING)
    }
    return any(file.uri.rpartition("/")[0] in shards for file in _images(found))


def _unread_captions(images: Sequence[InputFile], found: Sequence[InputFile]) -> str:
    """What to say of tables and lists beside images, which may be where the captions are."""
    stems = {_stem(file) for file in images}
    lone = [
        file
        for file in found
        if file.uri.lower().endswith(_CAPTION_TABLES) and _stem(file) not in stems
    ]
    if not lone:
        return ""
    named = [f"{file.uri.rpartition('/')[2]}{why_unread(file)}" for file in lone[:3]]
    listed = ", ".join(named) + (f" and {len(lone) - 3:,} more" if len(lone) > 3 else "")
    return (
        f"; not read: {listed}: a table of captions needs a header that names the image and the "
        "caption (image,caption), or --image-field and --caption-field"
    )


def _of_kind(kind: str, found: Sequence[InputFile]) -> list[InputFile]:
    return [file for file in found if f"/{file.uri}".lower().endswith(_WANTED[kind])]


def _coco_files(found: Sequence[InputFile], stems: Collection[str]) -> list[InputFile]:
    """COCO captions among the JSON files that belong to no single image."""
    lone = [file for file in _of_kind("coco-captions", found) if _stem(file) not in stems]
    return [file for file in lone[:MAX_JSON_LOOKED_AT] if is_coco_captions(file)]


def _stem(file: InputFile) -> str:
    return file.uri.rpartition(".")[0]


def _images(found: Sequence[InputFile]) -> list[InputFile]:
    return [file for file in found if file.uri.rpartition(".")[2].lower() in IMAGE_ENDINGS]


def _endings(found: Sequence[InputFile]) -> str:
    counts = Counter(
        "." + name.rpartition(".")[2] if "." in name else "without ending"
        for name in (file.uri.rpartition("/")[2] for file in found)
    )
    listed = ", ".join(f"{count:,} {ending}" for ending, count in counts.most_common(6))
    return listed or "no file"
