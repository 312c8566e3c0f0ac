"""A reviewer's browser window: what one sees and presses."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs, urlsplit

from pipeline.review.app.server import AppServer
from pipeline.review.sync.label.documents import sample_object_id
from tests.pipeline.review.bench import Bench
from tests.pipeline.review.browser.opened_pair import OpenedPair

WAIT_S = 40.0
SIZE = {"width": 1400, "height": 900}


class ReviewPage(OpenedPair):
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
        self.actions = 0
        """Keys pressed and boxes clicked."""
        self.page.on("response", self._note)

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
        self.page.close()

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

    # Going somewhere

    def open(self, number: int) -> None:
        """Open pair `number`."""
        self.number = number
        self.saves.clear()
        self.page.goto(f"{self.url}?id={sample_object_id(f'toy/{number}')}")
        self.page.wait_for_function("window.__glipforge__ && window.__glipforge__.ready")
        self.page.wait_for_selector("[data-cy=modal]")
        self.page.wait_for_selector("#glipforge-strip .caption")

    def open_view(self, slug: str) -> None:
        """Open some pair of a saved view."""
        self.to_grid()
        self.run("set_view", {"name": slug})
        self.page.wait_for_function(f"location.search.includes('view={slug}')")
        self.page.wait_for_timeout(1500)
        self.click_tile()

    def leave_view(self) -> None:
        """Back to the whole dataset: a server remembers the view."""
        self.run("clear_view", {})
        self.page.wait_for_function("!location.search.includes('view=')")

    def run(self, name: str, params: dict[str, Any]) -> None:
        """Run one of FiftyOne's own operators."""
        self.page.evaluate(
            """([name, params]) =>
            window.__foo__.executeOperator("@voxel51/operators/" + name, params)""",
            [name, params],
        )

    def to_grid(self) -> None:
        """Open the grid with no image open."""
        self.page.goto(self.url)
        self.page.wait_for_function("window.__glipforge__ && window.__glipforge__.ready")
        self.page.wait_for_selector("[data-cy=looker]")
        if self.page.locator("[data-cy=modal]").count():
            self.run("close_sample", {})
            self.page.wait_for_selector("[data-cy=modal]", state="detached")

    def open_from_grid(self) -> None:
        """Open a pair that no test has touched by its tile: only so there is a next image."""
        self.to_grid()
        self.click_tile()
        self.next_untouched()

    def click_tile(self) -> None:
        """Open an image by its tile: the one at the pointer, whichever it is."""
        tile = self.page.locator("[data-cy=looker]").nth(0)
        tile.wait_for()
        self.page.wait_for_timeout(500)
        tile.evaluate(
            """node => { for (const kind of ["mousedown", "mouseup", "click"])
            node.dispatchEvent(new MouseEvent(kind, {bubbles: true})) }"""
        )
        self.page.wait_for_selector("[data-cy=modal]")
        self.strip_follows()

    def strip_follows(self) -> None:
        """Wait until the strip shows the open image, and learn which pair it is."""
        self.page.wait_for_selector("#glipforge-strip .caption")
        self.page.wait_for_function(
            """() => document.getElementById("glipforge-strip").dataset.sample ===
            new URLSearchParams(location.search).get("id")"""
        )
        self.find_number()

    def find_number(self) -> int:
        """Learn which pair is open."""
        ids = {str(sample_object_id(row.record_id)): n for n, row in enumerate(self.bench.rows)}
        shown = self.page.locator("#glipforge-strip").get_attribute("data-sample")
        self.number = ids.get(str(shown), self.number)
        return self.number

    def strip_says(self, words: str) -> None:
        """Wait for words in the strip above the image."""
        self.page.locator("#glipforge-strip", has_text=words).wait_for()

    def next(self) -> None:
        """Go to the next image."""
        before = self.sample_id
        self.page.locator('[data-cy="nav-right-button"]').dispatch_event("click")
        self.wait_for(lambda: self.sample_id not in ("", before), "the next image")
        self.strip_follows()

    def next_untouched(self, least_score: float = 0.0) -> None:
        """Go on to an image that no test has judged and whose first boxes can be clicked, with
        several of such a score: about one box there is no question."""

        def fits() -> bool:
            scores = [label.get("confidence", 0) for label in self.labels()]
            several = sum(score >= least_score for score in scores) > 1
            return several and self.is_fresh()

        while not fits():
            self.next()
        self.page.wait_for_timeout(1000)  # its boxes are drawn

    @property
    def sample_id(self) -> str:
        """The open image."""
        return parse_qs(urlsplit(self.page.url).query).get("id", [""])[0]

    def annotate(self) -> None:
        """Choose Annotate."""
        self.page.locator("[data-cy=annotate]").click()
        self.page.wait_for_selector("[data-cy^=annotate-label-]")

    # Pressing

    def press(self, key: str) -> None:
        self.actions += 1
        self.page.keyboard.press(key)

    def question(self) -> str:
        """The open question's text."""
        return str(self.page.locator("#glipforge-question p").inner_text())

    def toast(self, words: str) -> None:
        """Wait for a message."""
        self.page.get_by_text(words).first.wait_for()

    def select(self, ordinal: int) -> None:
        """Click a box of the open image in Explore, where no other box lies."""
        x, y = self.spot(self.free_point(ordinal))
        self.page.mouse.move(x - 4, y - 4)
        self.page.wait_for_timeout(300)
        self.page.mouse.move(x, y)
        self.page.wait_for_timeout(300)
        before = self.selected()
        self.page.mouse.click(x, y)
        self.actions += 1
        self.wait_for(lambda: self.selected() != before, f"{self.box(ordinal)} takes the click", 5)
        chosen = str(self.label(ordinal)["_id"])
        assert (chosen in self.selected()) != (chosen in before), "another box took the click"

    def spot(self, point: tuple[float, float]) -> tuple[float, float]:
        """Where a relative point of the picture is on the screen; the pictures are square."""
        canvas = self.page.locator("[data-cy=modal] canvas").first
        area = None
        while area is None or area != canvas.bounding_box():
            # The strip above takes its place after the image: until nothing moves any more.
            area = self.wait_for(canvas.bounding_box, "the canvas")
            self.page.wait_for_timeout(400)
        side = min(area["width"], area["height"])
        left = area["x"] + (area["width"] - side) / 2
        top = area["y"] + (area["height"] - side) / 2
        return left + point[0] * side, top + point[1] * side

    def leave_box(self) -> None:
        """Go back to Annotate's list."""
        back = self.page.locator("[data-cy=annotate-edit-back]")
        if back.count():
            back.first.click()

    def edit(self, ordinal: int) -> None:
        """Choose a box in Annotate's list."""
        self.leave_box()
        label_id = self.label(ordinal)["_id"]
        self.page.locator(f"[data-cy=annotate-label-{label_id}]").click()
        self.page.get_by_text(str(label_id)).wait_for()

    def type_x(self, value: float) -> None:
        """Type the left side of the box that is edited."""
        field = self.page.locator("[data-cy=sidebar] input[type=number]").first
        field.fill(str(value))
        field.press("Tab")

    def set_x(self, value: float) -> None:
        """Type the left side of the box that is edited, and wait until it is saved."""
        count = len(self.saves)
        self.type_x(value)
        self.wait_for(lambda: len(self.saves) > count, "the save of an edit")
        self.settle()

    def settle(self) -> None:
        """Until no save follows any more: FiftyOne saves every three seconds."""
        count = -1
        while count != len(self.saves):
            count = len(self.saves)
            self.page.wait_for_timeout(3600)

    def draw(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw a box by the mouse in Annotate; screen coordinates."""
        self.page.locator("[data-cy=detection-mode]").click()
        self.page.wait_for_timeout(500)
        self.drag(start, end)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw with the pencil that is in hand."""
        self.page.mouse.move(*start)
        self.page.mouse.down()
        self.page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
        self.page.mouse.move(*end, steps=4)
        self.page.mouse.up()

    def filter_score(self, least: float) -> None:
        """Set the grid's confidence filter, then open an image by its tile."""
        self.to_grid()
        numeric = {"range": [least, None], "_CLS": "numeric"}
        numeric |= {"exclude": False, "isMatching": False}
        wanted = {"boxes.detections.confidence": numeric}
        for _ in range(5):
            self.run("set_filters", wanted)
            self.page.wait_for_timeout(1000)
            if wanted.keys() <= self.state("filters").keys():
                break
        self.page.wait_for_timeout(1500)
        self.click_tile()

    def state(self, name: str) -> Any:
        """One of FiftyOne's own values in the page."""
        return self.page.evaluate(
            """async name => {
            const here = document.querySelector('script[src*="index.umd"]').src;
            const page = await import(new URL("page/fiftyone.js", here).href);
            return page.inPage(async ctx => {
              const value = await ctx.state.snapshot.getPromise(window.__fos__[name]);
              return value instanceof Set ? [...value] : value;
            }) }""",
            name,
        )

    def selected(self) -> list[str]:
        """The ids of the selected labels, on whatever image."""
        return [str(entry["labelId"]) for entry in self.state("selectedLabels")]

    def wait_reviews(self, expected: list[str]) -> None:
        """Wait until the words on the boxes are these."""
        self.wait_for(lambda: self.reviews() == expected, f"{expected}")
