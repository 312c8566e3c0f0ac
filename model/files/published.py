"""What is known of the published checkpoints: names, data, and the numbers their authors report.

Figures from the README of Microsoft's GLIP repository (commit 9dda955), as reported there.
"""

from __future__ import annotations

from typing import NamedTuple


class PublishedModel(NamedTuple):
    """One published file. AP figures in percent, None where none is reported.

    key: what `--teacher` calls it.
    revision, sha256: the commit and the hash that are known for the file; None: not known to this
        project, then the hub's own are checked and recorded.
    """

    key: str
    preset: str
    name: str
    file: str
    data: str
    coco_zero_shot: float
    coco_fine_tuned: float
    lvis_minival_last: float | None
    lvis_minival_best: float | None
    odinw_13: float
    revision: str | None = None
    sha256: str | None = None


PUBLISHED = (
    PublishedModel(
        "glip-t-a",
        "glip-t-a",
        "GLIP-T (A)",
        "glip_a_tiny_o365.pth",
        "O365",
        42.9,
        52.9,
        None,
        14.2,
        28.7,
    ),
    PublishedModel(
        "glip-t-b",
        "glip-t",
        "GLIP-T (B)",
        "glip_tiny_model_o365.pth",
        "O365",
        44.9,
        53.8,
        None,
        13.5,
        33.2,
    ),
    PublishedModel(
        "glip-t-c",
        "glip-t",
        "GLIP-T (C)",
        "glip_tiny_model_o365_goldg.pth",
        "O365, GoldG",
        46.7,
        55.1,
        14.3,
        17.7,
        44.4,
    ),
    PublishedModel(
        "glip-t",
        "glip-t",
        "GLIP-T",
        "glip_tiny_model_o365_goldg_cc_sbu.pth",
        "O365, GoldG, CC3M, SBU",
        46.6,
        55.2,
        17.6,
        20.1,
        42.7,
    ),
    PublishedModel(
        "glip-l",
        "glip-l",
        "GLIP-L",
        "glip_large_model.pth",
        "FourODs, GoldG, CC3M+12M, SBU",
        51.4,
        61.7,
        29.3,
        30.1,
        51.2,
    ),
)
HUB_MIRRORS = ("GLIPModel/GLIP", "harold/GLIP")
"""Hub ids that the authors and others name for these files; not verified by this project."""
NUM_PARAMETERS = {
    "glip-t-a": 151_409_966,
    "glip-t": 231_759_662,
    "glip-l": 430_401_824,
    "glip-nano": 9_249_634,
}
"""Parameters of each preset."""
