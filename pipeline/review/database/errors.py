"""What can go wrong with a database that was there a moment ago."""

from __future__ import annotations

from schemas.errors import GlipforgeError


class DatabaseLost(GlipforgeError):
    """The review database went away while it was in use. What it had confirmed is on its disk."""
