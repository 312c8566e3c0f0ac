"""A browser window on the review app: what one sees in it, and what it waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.review.app.server import AppServer
from tests.pipeline.review.bench import Bench
from tests.pipeline.review.browser.opened_pair import OpenedPair

WAIT_S = 120.0
IN_PAGE = """async name => {
const here = document.querySelector('script[src*="index.umd"]').src;
const page = await import(new URL("page/fiftyone.js", here).href);
"""
"""How a function begins that works with the page's own modules."""
SHOWN = """window.__shown = [];
new MutationObserver((changes) => {
  for (const { addedNodes } of changes)
    for (const { textContent } of addedNodes)
      if (textContent && textContent.length < 300) window.__shown.push(textContent);
}).observe(document, { childList: true, subtree: true });
"""
"""Keeps the short texts that come up in the page: messages go by themselves."""
SIZE = {"width": 1400, "height": 900}


class ReviewWindow(OpenedPair):
    """One browser window on one dataset."""

    def __init__(self, context: Any, app: AppServer, bench: Bench) -> None:
        super().__init__(bench)
        self.url = app.url(bench.name)
        self.page = context.new_page()
        self.page.on("dialog", self._answer)
        self.questions: list[str] = []
        """Kinds of the browser's own questions; each is answered by yes."""
        self.stays = False
        """Answer them by no."""
        self.page.set_default_timeout(WAIT_S * 1000)
        self.saves: list[tuple[int, Any]] = []
        self.view = ""
        """The saved view that is open."""
        self.actions = 0
        """Keys pressed and boxes clicked."""
        self.page.on("response", self._note)
        self.page.add_init_script(SHOWN)

    def _note(self, response: Any) -> None:
        if response.request.method == "PATCH":
            self.saves.append((response.status, response.request.post_data))

    def _answer(self, dialog: Any) -> None:
        self.questions.append(dialog.type)
        if self.stays:
            dialog.dismiss()
        else:
            dialog.accept()

    def close(self) -> None:
        """Close the window without a question."""
        try:
            if self.view:
                self.leave_view()
        finally:
            self.page.close()

    @contextmanager
    def held_saves(self) -> Iterator[None]:
        """No edit arrives within the block: FiftyOne sends one every three seconds, whenever."""
        held: list[Any] = []
        is_held = True

        def send(route: Any) -> None:
            if is_held and route.request.method == "PATCH":
                held.append(route)
            else:
                route.continue_()

        self.page.route("**/dataset/**", send)
        try:
            yield
        finally:
            is_held = False
            for route in held:
                route.continue_()

    def wait_for(self, what: Callable[[], Any], message: str, seconds: float = WAIT_S) -> Any:
        """The first true value of `what`; the browser goes on meanwhile.

        Raises:
            AssertionError: it stayed false.
        """
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            value = what()
            if value:
                return value
            self.page.wait_for_timeout(100)
        raise AssertionError(f"not within {seconds:g} s: {message}; at last {what()!r}")

    def comes_true(self, what: Callable[[], Any], seconds: float) -> bool:
        """Whether it becomes true meanwhile; looks at least once."""
        try:
            self.wait_for(what, "", seconds)
        except AssertionError:
            return False
        return True

    def run(self, name: str, params: dict[str, Any]) -> None:
        """Run one of FiftyOne's own operators."""
        self.page.evaluate(
            """([name, params]) =>
            window.__foo__.executeOperator("@voxel51/operators/" + name, params)""",
            [name, params],
        )

    def leave_view(self) -> None:
        """Back to the whole dataset: a server remembers the view."""
        self.run("clear_view", {})
        self.page.wait_for_function("!location.search.includes('view=')")
        self.view = ""

    def state(self, name: str) -> Any:
        """One of FiftyOne's own values in the page."""
        return self.page.evaluate(
            IN_PAGE
            + """return page.inPage(async ctx => {
              const value = await ctx.state.snapshot.getPromise(window.__fos__[name]);
              return value instanceof Set ? [...value] : value;
            }) }""",
            name,
        )

    def selected(self) -> list[str]:
        """The ids of the selected labels, on whatever image."""
        return [str(entry["labelId"]) for entry in self.state("selectedLabels")]

    def look(self) -> dict[str, Any]:
        """What the page sees of the open image, as its own keys do."""
        return dict(
            self.page.evaluate(
                IN_PAGE
                + """const seen = await page.look().catch(() => null);
                if (!seen) return {};
                const { sampleId, visible, selected, looker } = seen;
                const [over] = (looker && looker.currentOverlays) || [];
                const under = over && over.label && (over.label.id || over.label._id);
                const state = (looker && looker.state) || {};
                const isLoaded = state.loaded && state.overlaysPrepared;
                return { sampleId, visible, selected, under, isLoaded } }"""
            )
        )

    def visible(self) -> list[str]:
        """The ids of the boxes that are drawn, once they are; empty in Annotate."""
        seen = self.look()
        return list(seen.get("visible") or []) if seen.get("isLoaded") else []

    def drawn(self, expected: int | None = None) -> None:
        """Wait until the image and its boxes are drawn: so many, or as many as stay."""
        last: list[str] = []

        def rests() -> bool:
            nonlocal last
            before, last = last, self.visible()
            return len(last) == expected if expected is not None else bool(last) and last == before

        self.wait_for(rests, f"{'its' if expected is None else expected} boxes are drawn")

    def idle(self) -> None:
        """Wait until what was pressed is done and shown."""
        self.page.wait_for_function("window.__glipforge__.isIdle()")

    @property
    def sample_id(self) -> str:
        """The open image."""
        return parse_qs(urlsplit(self.page.url).query).get("id", [""])[0]

    def strip_says(self, words: str) -> None:
        """Wait for words in the strip above the image."""
        self.page.locator("#glipforge-strip", has_text=words).wait_for()

    def question(self) -> str:
        """The open question's text."""
        return str(self.page.locator("#glipforge-question p").inner_text())

    def toast(self, words: str) -> None:
        """Wait for a message; it may be gone again."""
        self.page.wait_for_function(
            "words => window.__shown.some((text) => text.includes(words))", arg=words
        )

    def wait_reviews(self, expected: list[str]) -> None:
        """Wait until the words on the boxes are these."""
        self.wait_for(lambda: self.reviews() == expected, f"{expected}")
