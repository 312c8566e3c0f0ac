"""Images that are in a run more than once, side by side: nothing is downloaded.

Imported only by the App server, after FiftyOne.
"""

from __future__ import annotations

from typing import Any

import fiftyone.operators as foo
from fiftyone.operators import types

from pipeline.review.app.answers import store_of
from pipeline.review.app.parameters import whole_number
from pipeline.review.sync.label.documents import sample_object_id
from pipeline.review.sync.store.label_store import WriteRefused
from pipeline.run.store import RunStore
from pipeline.trust.duplicates import duplicate_groups
from pipeline.trust.near_images import MAX_DISTANCE
from schemas.errors import ConfigError

TITLE = "Show duplicates"
DISTANCE = 6


class ShowDuplicates(foo.Operator):  # type: ignore[misc]
    """Shows the images that look the same, each beside its copies."""

    @property
    def config(self) -> foo.OperatorConfig:
        return foo.OperatorConfig(
            name="show_duplicates",
            label=TITLE,
            description="Different files that show the same picture (layer duplicates), the "
            "largest group first; several captions of one file are not duplicates",
            icon="filter_none",
        )

    def resolve_input(self, ctx: Any) -> types.Property:
        inputs = types.Object()
        label = "Bits of 128 in which the looks of two may differ (0: next to none)"
        inputs.int("distance", default=DISTANCE, label=label, min=0, max=MAX_DISTANCE)
        return types.Property(inputs, view=types.View(label=TITLE))

    def execute(self, ctx: Any) -> dict[str, Any]:
        try:
            wanted = ctx.params.get("distance")
            distance = whole_number(
                {"distance": DISTANCE if wanted is None else wanted}, "distance"
            )
            groups = duplicate_groups(RunStore(str(ctx.dataset.info["run"])), distance)
        except (WriteRefused, ConfigError) as error:
            ctx.ops.notify(str(error), variant="error")
            return {"groups": [], "refused": str(error)}
        present = {raw["_id"] for raw in store_of(ctx).samples.find({}, {"_id": 1})}
        shown = [
            [one for one in map(sample_object_id, group) if one in present] for group in groups
        ]
        found = [[str(one) for one in group] for group in shown if len(group) > 1]
        count = sum(map(len, found))
        if not found:
            ctx.ops.notify("no two images of this dataset look the same", variant="info")
            return {"groups": []}
        ids = [sample_id for group in found for sample_id in group]
        ctx.ops.set_view(ctx.dataset.select(ids, ordered=True))
        ctx.ops.notify(f"{count:,} pairs in {len(found):,} groups", variant="success")
        return {"groups": found}
