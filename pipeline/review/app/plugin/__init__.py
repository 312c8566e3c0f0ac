"""The review plugin: FiftyOne finds this directory by `FIFTYONE_PLUGINS_DIR`.

The directory is served to browsers, source included, so it holds nothing but this registration.
"""

from __future__ import annotations

from typing import Any

from pipeline.review.app.caption_panel import CaptionPanel
from pipeline.review.app.operators import AcceptLabels, RejectLabels, RelabelPhrase


def register(plugin: Any) -> None:
    """Called by FiftyOne when it loads the plugin."""
    for operator in (AcceptLabels, RejectLabels, RelabelPhrase, CaptionPanel):
        plugin.register(operator)
