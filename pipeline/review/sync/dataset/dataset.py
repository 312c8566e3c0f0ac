"""The FiftyOne dataset of a run: its fields, its colours, and what Annotate mode offers."""

from __future__ import annotations

from typing import Any

from pipeline.curation.box_state import Origin, Review
from pipeline.images.palette import PALETTE, phrase_hex
from pipeline.review.sync.dataset.views import save_views
from pipeline.review.sync.label.documents import BOXES
from pipeline.review.sync.label.notes import (
    AUDIT,
    DISAGREEMENT,
    LEVEL,
    NUMBER_FIELDS,
    QUEUE_REASONS,
    QUEUE_SCORE,
    RAREST_PHRASE,
    STABILITY,
)
from pipeline.review.sync.label.stamp import PAIR_FIELDS, PAIR_REVIEW, PAIR_REVIEWER, REVIEWER

LAYOUT, LAYOUT_KEY = 3, "layout"
"""Goes up with fields and views; a push brings older datasets up to it."""
COLORED_PHRASES = 60
"""Phrases of a caption that get their colour; the App needs each value listed."""
_TEXT_FIELDS = (
    *("record_id", "image_id", "source", "caption", "caption_origin", "status", "teacher_id"),
)


# Side bar: group -> its fields; a field that is in no group is added to the last by the App.
_SIDEBAR = {
    "tags": ("tags", "_label_tags"),
    "labels": (BOXES,),
    "pair": (
        "caption",
        "caption_origin",
        "status",
        PAIR_REVIEW,
        PAIR_REVIEWER,
        "conflicts",
        "source",
    ),
    "look first": (*NUMBER_FIELDS, DISAGREEMENT, RAREST_PHRASE, AUDIT),
    "phrases": ("phrases.text", "phrases.best_score", "phrases.status"),
}
_NOTES = (*NUMBER_FIELDS, DISAGREEMENT, RAREST_PHRASE, AUDIT, QUEUE_REASONS)
_PHRASE_FIELDS = (
    ("text", "StringField"),
    ("start", "IntField"),
    ("end", "IntField"),
    ("status", "StringField"),
    ("best_score", "FloatField"),
)


def create_dataset(name: str, info: dict[str, Any]) -> Any:
    """Make an empty persistent dataset with every field declared.

    Args:
        name: the dataset's name.
        info: kept in the dataset's `info`: which run it shows.
    """
    import fiftyone as fo

    dataset = fo.Dataset(name, persistent=True)
    dataset.media_type = "image"
    dataset.info = info
    lay_out(dataset)
    return dataset


def lay_out(dataset: Any) -> None:
    """Declare every field, set colours and side bar, save the views: also of a dataset that an
    earlier version made. Samples are not touched."""
    import fiftyone as fo

    def add(path: str, kind: Any, **options: Any) -> None:
        if dataset.get_field(path) is None:
            dataset.add_sample_field(path, kind, **options)

    for field in _TEXT_FIELDS:
        add(field, fo.StringField)
    for field in PAIR_FIELDS:
        add(field, fo.StringField)
    for field in NUMBER_FIELDS:
        add(field, fo.FloatField)
    for field in (DISAGREEMENT, RAREST_PHRASE):
        add(field, fo.IntField)
    add(AUDIT, fo.BooleanField)
    for field in ("pushed_box_ids", "conflicts", QUEUE_REASONS):
        add(field, fo.ListField, subfield=fo.StringField)
    add(
        "phrases",
        fo.ListField,
        subfield=fo.EmbeddedDocumentField,
        embedded_doc_type=fo.DynamicEmbeddedDocument,
    )
    for name, kind in _PHRASE_FIELDS:
        add(f"phrases.{name}", getattr(fo, kind))
    add(BOXES, fo.EmbeddedDocumentField, embedded_doc_type=fo.Detections)
    for attribute, kind in (
        ("phrase_index", fo.IntField),
        ("review", fo.StringField),
        ("origin", fo.StringField),
        (REVIEWER, fo.StringField),
        (LEVEL, fo.FloatField),
        (QUEUE_SCORE, fo.FloatField),
        (STABILITY, fo.FloatField),
        (AUDIT, fo.BooleanField),
    ):
        add(f"{BOXES}.detections.{attribute}", kind)
    # `box_id`, `decision_id`, `reviewed_at` and `queue_reasons` stay undeclared: they are kept and
    # can be queried, but a filter with one entry per box would fill the side bar.
    _configure_app(dataset)
    _configure_annotate(dataset)
    save_views(dataset)
    dataset.info = {**dataset.info, LAYOUT_KEY: LAYOUT}
    dataset.save()


def _configure_app(dataset: Any) -> None:
    import fiftyone as fo

    config = fo.DatasetAppConfig()
    config.color_scheme = fo.ColorScheme(
        color_by="value",
        color_pool=[phrase_hex(index) for index in range(len(PALETTE))],
        fields=[
            {
                "path": BOXES,
                "colorByAttribute": "phrase_index",
                "valueColors": [
                    {"value": str(index), "color": phrase_hex(index)}
                    for index in range(COLORED_PHRASES)
                ],
            }
        ],
    )
    config.active_fields = fo.ActiveFields(paths=[BOXES, "caption"])
    config.sidebar_groups = _sidebar_groups(dataset)
    dataset.app_config = config
    # The grid shows them, Annotate must not offer to change them: they are the run's.
    for name in (*_TEXT_FIELDS, *_NOTES, "pushed_box_ids", "phrases"):
        field = dataset.get_field(name)
        if not field.read_only:
            field.read_only = True
            field.save()


def _sidebar_groups(dataset: Any) -> list[Any]:
    """What reviewers filter by on top; everything else in one closed group."""
    import fiftyone as fo

    default = fo.DatasetAppConfig.default_sidebar_groups(dataset)
    named = {path for paths in _SIDEBAR.values() for path in paths}
    rest = [path for group in default for path in group.paths if path not in named | {"phrases"}]
    groups = [
        fo.SidebarGroupDocument(name=name, paths=list(paths)) for name, paths in _SIDEBAR.items()
    ]
    return [*groups, fo.SidebarGroupDocument(name="details", paths=rest, expanded=False)]


def _configure_annotate(dataset: Any) -> None:
    """What Annotate mode offers for a box.

    Written out, not scanned from the samples: the scan would make a drop-down of every box id.
    """
    dataset.update_label_schema(
        BOXES,
        {
            "type": "detections",
            "component": "text",
            "attributes": [
                {"name": "id", "type": "id", "component": "text", "read_only": True},
                {
                    "name": "review",
                    "type": "str",
                    "component": "radio",
                    "values": [str(word) for word in Review],
                    "default": str(Review.PENDING),
                },
                {"name": "phrase_index", "type": "int", "component": "text"},
                {
                    "name": "origin",
                    "type": "str",
                    "component": "text",
                    "default": str(Origin.HUMAN),
                },
                {
                    "name": "confidence",
                    "type": "float",
                    "component": "text",
                    "read_only": True,
                },
            ],
        },
    )
    dataset.activate_label_schemas([BOXES])
