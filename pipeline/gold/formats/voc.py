"""Pascal VOC: one XML per image, boxes in whole pixels from 1, the last one included."""

from __future__ import annotations

from pathlib import Path

from pipeline.gold.checks import image_size, join_uri, read_text, usable_xyxy
from pipeline.gold.detection_samples import DetectionImage, named_detection_set
from pipeline.gold.gold_set import GoldCounts, GoldSet, IgnoredBox
from pipeline.gold.opened import read_xml
from pipeline.gold.picture_sizes import NO_SIZE, picture_size
from schemas.errors import DataError

DIFFICULT = "difficult object: a region to ignore"


def load_voc(
    path: str, *, image_root: str = "", split: str = "", counts: GoldCounts | None = None
) -> GoldSet:
    """The XML files of a folder, or of its Annotations/; images in JPEGImages/ or beside them.

    `split` names a list of ids: a file, or a name below ImageSets/Main.

    Raises:
        DataError: a file breaks the format, or there is none.
    """
    folder, counts = Path(path), GoldCounts() if counts is None else counts
    xml_folder = folder / "Annotations" if (folder / "Annotations").is_dir() else folder
    jpegs = folder / "JPEGImages"
    root = image_root or str(jpegs if jpegs.is_dir() else xml_folder)
    images = []
    for xml in _files(folder, xml_folder, split):
        with counts.entry():
            image = _image(xml, root, counts)
            if image is not None:
                images.append(image)
    return named_detection_set(images, name=folder.name, file_format="voc", counts=counts)


def _files(folder: Path, xml_folder: Path, split: str) -> list[Path]:
    if split:
        listed = folder / "ImageSets" / "Main" / f"{split}.txt"
        listed = listed if listed.is_file() else folder / split
        if not listed.is_file():
            raise DataError(
                f"split {split!r} is neither a file in {str(folder)!r} nor in its ImageSets/Main"
            )
        lines = read_text(listed).splitlines()
        return [xml_folder / f"{line.split()[0]}.xml" for line in lines if line.strip()]
    files = sorted(xml_folder.glob("*.xml"))
    if not files:
        raise DataError(f"{folder} has no XML files: it is not Pascal VOC")
    return files


def _image(xml: Path, root: str, counts: GoldCounts) -> DetectionImage | None:
    tree = read_xml(xml)
    if tree.tag.lower() != "annotation":
        raise DataError(f"gold file {str(xml)!r} must hold <annotation>, got <{tree.tag}>")
    name = tree.findtext("filename", "").strip() or f"{xml.stem}.jpg"
    uri = join_uri(root, name)
    size = tree.find("size")
    size_wh: tuple[int, int] | None
    if size is None or not size.findtext("width", "").strip("0 "):
        size_wh = picture_size(uri)
    else:
        texts = {key: size.findtext(key, "") for key in ("width", "height")}
        sides = {key: _number(text, f"{xml}: {key}") for key, text in texts.items()}
        size_wh = image_size(sides, str(xml))
    if size_wh is None:
        counts.drop(NO_SIZE, where=str(xml))
        return None
    image = DetectionImage(sample_id=xml.stem, image_uri=uri, size_wh=size_wh)
    for number, entry in enumerate(tree.findall("object")):
        where = f"{xml}: object {number + 1}"
        category = entry.findtext("name", "").strip()
        if not category:
            raise DataError(f"{where} has no name")
        box = entry.find("bndbox")
        if box is None:
            tags = ", ".join(dict.fromkeys(child.tag for child in entry))
            raise DataError(f"{where} has no bndbox; it has {tags}")
        keys = ("xmin", "ymin", "xmax", "ymax")
        x0, y0, x1, y1 = (_number(box.findtext(key, ""), f"{where}: {key}") for key in keys)
        xyxy = usable_xyxy((x0 - 1, y0 - 1, x1, y1), size_wh, counts, where)
        if xyxy is None:
            continue
        if entry.findtext("difficult", "0").strip() == "1":
            counts[f"dropped: {DIFFICULT}"] += 1
            image.ignored.append(IgnoredBox(xyxy=xyxy, category=category))  # type: ignore[arg-type]
        else:
            image.boxes.append((xyxy, category))
    return image


def _number(text: str, where: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise DataError(f"{where} must be a number, got {text!r:.100}") from None
