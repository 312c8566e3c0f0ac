"""What looks like a box or an image, by the vectors of a layer: nothing is downloaded.

Imported only by the App server, after FiftyOne.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from pipeline.review.app.answers import store_of
from pipeline.review.app.operators import selected_labels
from pipeline.review.app.parameters import object_id, whole_number
from pipeline.review.sync.label.seen import labels_of
from pipeline.review.sync.store.label_store import LabelStore, WriteRefused
from pipeline.review.sync.verdict.likeness import Alike, alike_boxes, alike_pairs
from schemas.errors import ConfigError

LIMIT = 200


class SortByLikeness(foo.Operator):  # type: ignore[misc]
    """Shows what looks like the selected box, else like the open image, the likest first."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="sort_by_likeness",
            label="Show what looks like this",
            description="Boxes like the selected one (layer region_embeddings), else images like "
            "the open one (layer embeddings); copies of an image come first",
            icon="image_search",
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        inputs.int("limit", default=LIMIT, label="At most so many images", min=1)
        return types.Property(inputs, view=types.View(label="Show what looks like this"))

    def execute(self, ctx: Any) -> dict[str, Any]:
        store = store_of(ctx)
        try:
            limit = whole_number({"limit": ctx.params.get("limit") or LIMIT}, "limit")
            found = self._find(ctx, store, str(ctx.dataset.info["run"]), limit)
        except (WriteRefused, ConfigError) as error:
            ctx.ops.notify(str(error), variant="error")
            return {"found": 0, "refused": str(error)}
        ids = [str(sample_id) for sample_id, _ in found]
        ctx.ops.set_view(ctx.dataset.select(ids, ordered=True))
        ctx.ops.notify(f"{len(ids):,} images, the likest first", variant="success")
        return {"found": len(ids), "samples": ids, "cosines": [cosine for _, cosine in found]}

    def _find(self, ctx: Any, store: LabelStore, run: str, limit: int) -> Alike:
        chosen = ctx.params.get("box_id")
        selected = selected_labels(ctx)
        if chosen is None and selected:
            if sum(map(len, selected.values())) != 1:
                raise WriteRefused("select one box; the images that look like it are shown")
            ((sample_id, (label_id,)),) = selected.items()
            labels = labels_of(store.document(sample_id))
            found = (label.get("box_id") for label in labels if label.get("_id") == label_id)
            chosen = next(found, None)
            if chosen is None:
                raise WriteRefused("a box that was drawn has no vector in the layer")
        if chosen is not None:
            return alike_boxes(store, run, str(chosen), limit=limit)
        sample = ctx.params.get("sample_id") or ctx.current_sample
        if not sample:
            raise WriteRefused("select a box or open an image first")
        record_id = str(store.document(object_id(sample, "sample_id"))["record_id"])
        return alike_pairs(store, run, record_id, limit=limit)
