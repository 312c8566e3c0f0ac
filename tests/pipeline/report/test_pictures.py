from __future__ import annotations

import base64
import io
from pathlib import Path

from PIL import Image

from pipeline.images.decode import ImageLimits
from pipeline.report.pictures import WIDTH, choose_samples, labelled_picture, sample_pictures
from tests.schemas.builders import make_curated


def test_the_choice_does_not_depend_on_the_order() -> None:
    records = [make_curated(record_id=f"toy/{n}") for n in range(20)]
    chosen = choose_samples(records, 5)
    assert choose_samples(reversed(records), 5) == chosen
    assert choose_samples(records, 0) == []
    assert len(choose_samples(records, 99)) == 20


def test_boxes_are_drawn_to_scale() -> None:
    picture = labelled_picture(
        make_curated(width=4000, height=1000), Image.new("RGB", (4000, 1000))
    )
    assert picture.width == WIDTH
    small = labelled_picture(make_curated(), Image.new("RGB", (64, 48)))
    assert small.width == WIDTH


def test_an_image_that_is_gone_says_so(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.new("RGB", (64, 48)).save(path)
    there = make_curated(image_uri=str(path))
    gone = make_curated(image_uri=str(tmp_path / "b.png"))
    first, second = sample_pictures([there, gone], ImageLimits())
    data = base64.b64decode(first.data_url.removeprefix("data:image/jpeg;base64,"))
    assert Image.open(io.BytesIO(data)).width == WIDTH
    assert second.data_url == ""
    assert "image_missing" in second.failure
