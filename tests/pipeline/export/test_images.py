from __future__ import annotations

import json
import tarfile
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from pipeline.export import ExportOptions, export_records
from pipeline.export.image_files import original_name
from pipeline.gold import load_gold
from pipeline.images.decode import ImageLimits
from schemas.errors import ConfigError
from schemas.fingerprint import sha256_bytes
from schemas.records import CuratedRecord
from tests.schemas.builders import make_curated


def picture(
    path: Path,
    color: str | tuple[int, int, int] = "red",
    size: tuple[int, int] = (64, 48),
    **save: object,
) -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path, **save)  # type: ignore[arg-type]
    return str(path)


def record_of(uri: str, number: int = 0, **changes: object) -> CuratedRecord:
    path = Path(uri)
    sha = sha256_bytes(path.read_bytes()) if path.is_file() else ""
    fields = {"record_id": f"r/{number}", "image_uri": uri, "image_sha256": sha}
    return make_curated(**(fields | changes))


def names_of(path: Path) -> list[str]:
    return [image["file_name"] for image in json.loads(path.read_text())["images"]]


def copy(records: list[CuratedRecord], folder: Path, **options: object) -> tuple[list[str], object]:
    options = {"images": "copy", "image_folder": str(folder / "copies")} | options
    out = folder / "out.json"
    summary = export_records(records, "goldg", str(out), ExportOptions(**options))  # type: ignore[arg-type]
    return names_of(out), summary


def test_copies_keep_their_names_and_collisions_are_resolved(tmp_path: Path) -> None:
    first = picture(tmp_path / "cats/1.png", "red")
    other = picture(tmp_path / "dogs/1.PNG", "blue")
    same = picture(tmp_path / "again/1.png", "red")
    records = [record_of(uri, n) for n, uri in enumerate((first, other, same, first))]
    names, summary = copy(records, tmp_path)
    assert names[0] == names[2] == names[3] == "1.png"
    assert names[1].startswith("1-")
    assert names[1].endswith(".PNG")
    assert sorted(p.name for p in (tmp_path / "copies").iterdir()) == sorted({*names})
    assert any("could not keep their file name" in note for note in summary.notes)
    assert summary.images == 2


@pytest.mark.parametrize("mode", ["copy", "link"])
def test_names_that_loaders_skip_or_file_systems_refuse(tmp_path: Path, mode: str) -> None:
    long = "é" * 120 + ".png"
    folder = tmp_path / "in"
    uris = [picture(folder / name, "red") for name in (".a.png", "__b.png", long)]
    uris += [picture(folder / "x" / long, "blue"), picture(folder / "image.a.png", "green")]
    names, summary = copy([record_of(uri, n) for n, uri in enumerate(uris)], tmp_path, images=mode)
    assert names[:2] == ["image.a.png", "image__b.png"]
    assert sorted(p.name for p in (tmp_path / "copies").iterdir()) == sorted({*names})
    assert len({*names}) == len(uris)
    assert max(len(name.encode()) for name in names) <= 200
    assert names[2].startswith("éé")
    (note,) = [note for note in summary.notes if "could not keep their file name" in note]
    assert note.startswith("5 copies")
    assert names[4].startswith("image.a-")


def test_names_that_lists_of_lines_and_datasets_would_not_find_again(tmp_path: Path) -> None:
    odd = ["a\\b.png", "c\nd.png", " e .png", "f\u2028\t.png", "ok 1[2]{3}é#%20.png"]
    uris = [picture(tmp_path / "in" / name, (n, 0, 0)) for n, name in enumerate(odd)]
    records = [record_of(uri, n) for n, uri in enumerate(uris)]
    names, summary = copy(records, tmp_path)
    assert names == ["a_b.png", "c_d.png", "e.png", "f__.png", odd[-1]]
    assert sorted(p.name for p in (tmp_path / "copies").iterdir()) == sorted(names)
    assert any(note.startswith("4 copies could not keep") for note in summary.notes)


def test_a_picture_that_is_none_is_left_out_and_counted(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>404</html>")
    records = [record_of(str(tmp_path / "a.png")), record_of(picture(tmp_path / "b.png", "red"), 1)]
    names, summary = copy(records, tmp_path)
    assert names == ["b.png"]
    assert summary.left_out == {"pair whose image cannot be copied: image_corrupt": 1}


@pytest.mark.parametrize("name", ["yolo", "flickr30k", "hf-imagefolder"])
@pytest.mark.parametrize("split", [(), (0.5, 0.5)])
def test_formats_of_a_file_per_image_have_no_shards(
    tmp_path: Path, name: str, split: tuple[float, ...]
) -> None:
    uris = [picture(tmp_path / f"{n}.png", (n, 0, 0)) for n in range(6)]
    records = [record_of(uri, n) for n, uri in enumerate(uris)]
    options = ExportOptions(shard_pairs=2, split=split)
    summary = export_records(records, name, str(tmp_path / "out"), options)
    assert f"--shard-pairs changes nothing for {name}" in summary.notes
    assert summary.records == len(load_gold(str(tmp_path / "out")).samples) == 6


def test_links_to_files_without_an_ending_have_one(tmp_path: Path) -> None:
    bare = Path(picture(tmp_path / "a.png", "red")).rename(tmp_path / "noending")
    export_records(
        [record_of(str(bare))], "yolo", str(tmp_path / "o"), ExportOptions(images="link")
    )
    assert (tmp_path / "o/images/train/noending.png").is_symlink()
    assert (tmp_path / "o/labels/train/noending.txt").is_file()


def test_names_by_content(tmp_path: Path) -> None:
    uri = picture(tmp_path / "a.png")
    (name,), _ = copy([record_of(uri)], tmp_path, image_names="content")
    digest = sha256_bytes(Path(uri).read_bytes())
    assert name == f"{digest[:2]}/{digest[:24]}.png"
    assert (tmp_path / "copies" / name).read_bytes() == Path(uri).read_bytes()


def test_links_point_to_plain_files_and_nothing_else(tmp_path: Path) -> None:
    plain = picture(tmp_path / "a.png")
    turned = Image.new("RGB", (48, 64), "red")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "b.jpg", exif=exif)
    records = [record_of(plain), record_of(str(tmp_path / "b.jpg"), 1)]
    names, summary = copy(records, tmp_path, images="link")
    assert names == ["a.png"]
    assert (tmp_path / "copies/a.png").readlink() == Path(plain)
    assert summary.left_out == {"pair whose image cannot be linked: not_upright": 1}


@pytest.mark.parametrize("ending", ["png", "webp"])
def test_a_broken_exif_block_does_not_stop_an_export(tmp_path: Path, ending: str) -> None:
    uri = picture(tmp_path / f"a.{ending}", exif=b"Exif\0\0broken block of nothing")
    names, _ = copy([record_of(uri)], tmp_path)
    assert Image.open(tmp_path / "copies" / names[0]).size == (64, 48)


def test_the_limits_of_the_run_hold(tmp_path: Path) -> None:
    uri = picture(tmp_path / "a.bmp", size=(5, 5))
    box = replace(make_curated().boxes[0], xyxy=(0.0, 0.0, 3.0, 3.0))
    record = record_of(uri, width=5, height=5, boxes=(box,))
    names, _ = copy([record], tmp_path)
    assert names == []
    names, _ = copy([record], tmp_path, limits=ImageLimits(min_side_px=4))
    assert names == ["a.png"]  # what is not JPEG, PNG or WebP is written anew


def test_members_of_a_tar_are_said_to_be_unreadable_and_copied_under_their_name(
    tmp_path: Path,
) -> None:
    picture(tmp_path / "x.png")
    with tarfile.open(tmp_path / "s.tar", "w") as tar:
        tar.add(tmp_path / "x.png", "deep/x.png")
    record = record_of(f"{tmp_path}/s.tar#deep/x.png")
    out = tmp_path / "o.json"
    summary = export_records([record], "coco", str(out))
    assert any("do not open: 1 of a member of an archive" in note for note in summary.notes)
    assert summary.advice == ["--copy-images FOLDER writes the images as plain files"]
    names, _ = copy([record], tmp_path)
    assert names == ["x.png"]


@pytest.mark.parametrize(
    "uri, ending, name",
    [
        ("a/b.jpeg", ".jpg", "b.jpeg"),
        ("a/b.png", ".jpg", "b.jpg"),
        ("a/b", ".png", "b.png"),
        ("a/v1.2", ".png", "v1.2.png"),
        ("http://h/x.jpg?w=1#f", "", "x.jpg"),
        ("s3://b/k/x.webp", ".webp", "x.webp"),
        ("d/s.tar#m/n/x.jpg", ".jpg", "x.jpg"),
        ("d/t.parquet#12/image", ".png", "t-12.png"),
    ],
)
def test_original_names(uri: str, ending: str, name: str) -> None:
    assert original_name(uri, ending) == name


@pytest.mark.parametrize("spelling", ["data", "./data", "data/../data/", "link", "absolute"])
def test_an_image_root_may_be_spelled_in_many_ways(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spelling: str
) -> None:
    picture(tmp_path / "data/sub/a.png")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    root = str(tmp_path / "data") if spelling == "absolute" else spelling
    record = record_of(str(tmp_path / "data/sub/a.png"))
    summary = export_records([record], "goldg", "o.json", ExportOptions(image_root=root))
    assert names_of(Path("o.json")) == ["sub/a.png"]
    assert not any("outside" in note for note in summary.notes)


def test_two_images_of_one_stem_do_not_share_a_label_file(tmp_path: Path) -> None:
    uris = [picture(tmp_path / "a/x.png", "red"), picture(tmp_path / "a/x.jpg", "blue")]
    records = [record_of(uri, n) for n, uri in enumerate(uris)]
    export_records(records, "yolo", str(tmp_path / "y"))
    labels = sorted((tmp_path / "y/labels/train").iterdir())
    assert len(labels) == 2
    assert all(len(label.read_text().splitlines()) == 1 for label in labels)


def test_a_folder_is_replaced_only_where_an_export_made_it(tmp_path: Path) -> None:
    record = record_of(picture(tmp_path / "a.png"))
    out = tmp_path / "y"
    export_records([record], "yolo", str(out))
    with pytest.raises(ConfigError, match=r"y' exists; give --force to replace it"):
        export_records([record], "yolo", str(out))
    export_records([], "yolo", str(out), force=True)
    assert list((out / "images/train").iterdir()) == []
    own = tmp_path / "own"
    own.mkdir()
    (own / "thesis.txt").write_text("years of work")
    with pytest.raises(ConfigError, match=r"has files that no export wrote; give another folder"):
        export_records([record], "yolo", str(own), force=True)
    assert (own / "thesis.txt").is_file()
    with pytest.raises(ConfigError, match=r"is a file; this format writes a folder"):
        export_records([record], "yolo", str(own / "thesis.txt"))
