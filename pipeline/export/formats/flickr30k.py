"""Flickr30k Entities: bracketed sentences, and one XML of boxes per image."""

from __future__ import annotations

import posixpath
from xml.sax.saxutils import escape

from pipeline.export.border import size_of
from pipeline.export.decimals import one_based_pixels
from pipeline.export.formats.image_spool import OTHER_SIZE
from pipeline.export.writer import Item, Target, Writer
from schemas.records import CuratedRecord, Phrase

BRACKETS = "pair whose caption is blank or has square brackets, which sentences cannot say"
OVERLAP = "phrase that overlaps a longer one or begins with a blank: brackets cannot say it"
NAMELESS = "box whose every phrase brackets cannot say"
IMAGE_FOLDER = "flickr30k-images"


class Flickr30kWriter(Writer):
    """Sentences/<id>.txt, Annotations/<id>.xml, and a list of ids for each split.

    Every phrase that has a box is a chain of its own; boxes are whole pixels from 1.
    """

    def __init__(self, target: Target) -> None:
        super().__init__(target)
        self._images: dict[str, tuple[tuple[int, int], int]] = {}
        """Image -> its size, and the chains it has."""
        self._ids: dict[str, list[str]] = {split: [] for split in target.splits}
        for name in ("Sentences/x", "Annotations/x"):
            target.publication.file(name)

    def add(self, item: Item) -> bool:
        record = item.record
        if not record.caption.strip() or "[" in record.caption or "]" in record.caption:
            self.summary.left_out[BRACKETS] += 1
            return False
        image_id = posixpath.splitext(posixpath.basename(item.file_name))[0]
        is_new = image_id not in self._images
        size_wh, chains = self._images.get(image_id, (size_of(record), 0))
        if size_wh != size_of(record):
            self.summary.left_out[OTHER_SIZE] += 1
            return False
        chain_of = self._chains(record, chains)
        self._images[image_id] = (size_wh, chains + len(chain_of))
        file = self.target.publication.file
        sentences, xml = file(f"Sentences/{image_id}.txt"), file(f"Annotations/{image_id}.xml")
        with sentences.open("a", encoding="utf-8", newline="\n") as out:
            out.write(_sentence(record, chain_of) + "\n")
        with xml.open("a", encoding="utf-8", newline="\n") as out:
            if is_new:
                self._ids[item.part.split].append(image_id)
                out.write(_head(item.file_name, size_wh))
            out.writelines(self._objects(record, chain_of))
        return True

    def finish(self) -> None:
        file = self.target.publication.file
        for split, ids in self._ids.items():
            text = "".join(f"{image_id}\n" for image_id in ids)
            file(f"{split or 'all'}.txt").write_text(text, encoding="utf-8")
            for image_id in ids:
                with file(f"Annotations/{image_id}.xml").open("a", encoding="utf-8") as out:
                    out.write("</annotation>\n")
        self.summary.notes.append(
            "boxes are whole pixels, counted from 1, the last one included; every phrase is a "
            "chain of its own; scores and negative phrases cannot be said"
        )

    def _chains(self, record: CuratedRecord, used: int) -> dict[int, int]:
        """Phrase -> chain, for the phrases that have a box and can be put into brackets."""
        wanted = sorted({i for box in record.boxes for i in box.phrase_indices})
        taken: list[Phrase] = []
        found: dict[int, int] = {}
        by_length = sorted(wanted, key=lambda i: record.phrases[i].start - record.phrases[i].end)
        for index in by_length:
            phrase = record.phrases[index]
            overlaps = any(phrase.start < one.end and one.start < phrase.end for one in taken)
            if overlaps or phrase.text[0].isspace():
                self.summary.left_out[OVERLAP] += 1
            else:
                taken.append(phrase)
                found[index] = 0
        return {index: used + n for n, index in enumerate(sorted(found), start=1)}

    def _objects(self, record: CuratedRecord, chain_of: dict[int, int]) -> list[str]:
        objects = []
        for box in record.boxes:
            chains = [chain_of[index] for index in box.phrase_indices if index in chain_of]
            if not chains:
                self.summary.left_out[NAMELESS] += 1
                continue
            names = "".join(f"\t\t<name>{chain}</name>\n" for chain in chains)
            corners = one_based_pixels(box.xyxy, size_of(record))
            keys = ("xmin", "ymin", "xmax", "ymax")
            places = "".join(
                f"\t\t\t<{key}>{value}</{key}>\n" for key, value in zip(keys, corners, strict=True)
            )
            objects.append(f"\t<object>\n{names}\t\t<bndbox>\n{places}\t\t</bndbox>\n\t</object>\n")
        return objects


def _sentence(record: CuratedRecord, chain_of: dict[int, int]) -> str:
    """The caption with its phrases in brackets; line breaks become blanks of the same length.

    The data set's own reader takes a sentence word by word: a blank stands before and behind each
    bracket, also where the caption has a comma.
    """
    caption = record.caption.replace("\n", " ").replace("\r", " ")
    text, position = "", 0
    for index in sorted(chain_of, key=lambda i: record.phrases[i].start):
        phrase = record.phrases[index]
        words = caption[phrase.start : phrase.end]
        text = _apart(text, caption[position : phrase.start])
        text = _apart(text, f"[/EN#{chain_of[index]}/other {words}]")
        position = phrase.end
    return _apart(text, caption[position:])


def _apart(text: str, more: str) -> str:
    """Both, with a blank between a bracket and what touches it."""
    touches = text and more and not text[-1].isspace() and not more[0].isspace()
    return text + " " * bool(touches and (text[-1] == "]" or more[0] == "[")) + more


def _head(file_name: str, size_wh: tuple[int, int]) -> str:
    width, height = size_wh
    return (
        f"<annotation>\n\t<filename>{escape(file_name)}</filename>\n\t<size>\n"
        f"\t\t<width>{width}</width>\n\t\t<height>{height}</height>\n\t\t<depth>3</depth>\n"
        "\t</size>\n"
    )
