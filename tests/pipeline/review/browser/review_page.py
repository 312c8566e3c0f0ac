"""What a reviewer does in a browser window: where to go, what to press, click and draw."""

from __future__ import annotations

from pipeline.review.sync.label.documents import sample_object_id
from tests.pipeline.review.browser.opened_pair import OpenedPair
from tests.pipeline.review.browser.review_window import WAIT_S, ReviewWindow

TILES = 24
"""So many are on the screen."""


class ReviewPage(ReviewWindow):
    """A reviewer's window."""

    # Going somewhere

    def open(self, number: int) -> None:
        """Open pair `number`."""
        self.number = number
        self.saves.clear()
        self.page.goto(f"{self.url}?id={sample_object_id(f'toy/{number}')}")
        self.page.wait_for_function("window.__glipforge__ && window.__glipforge__.ready")
        self.page.wait_for_selector("[data-cy=modal]")
        self.strip_follows()
        self.drawn()

    def open_view(self, slug: str, images: int) -> None:
        """Open some pair of a saved view, which holds so many."""
        self.to_grid()
        self.run("set_view", {"name": slug})
        self.view = slug
        self.page.wait_for_function(f"location.search.includes('view={slug}')")
        samples = f"{images} sample{'s' * (images != 1)}"
        self.page.locator("[data-cy=entry-counts]", has_text=samples).wait_for()
        self.wait_for(lambda: self.tiles() == images, f"a grid of {images} images")
        self.click_tile()

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
        fresh = (n for n in range(TILES) if OpenedPair(self.bench, n).is_fresh())
        self.click_tile(next(fresh, 0))
        self.next_untouched()

    def click_tile(self, place: int = 0) -> None:
        """Open an image by its tile, of those that are on the screen."""
        tile = self.page.locator("[data-cy=looker]").nth(place)
        tile.wait_for()

        def opened() -> bool:
            area = tile.bounding_box() or {"x": 0, "y": 0, "width": 0, "height": 0}
            # FiftyOne opens the one at the pointer.
            middle = area["x"] + area["width"] / 2, area["y"] + area["height"] / 2
            self.page.mouse.move(*middle)
            tile.evaluate(
                """node => { for (const kind of ["mousedown", "mouseup", "click"])
                node.dispatchEvent(new MouseEvent(kind, {bubbles: true})) }"""
            )
            # A tile that is not yet drawn takes no click.
            return self.comes_true(lambda: self.page.locator("[data-cy=modal]").count(), 5)

        self.wait_for(opened, "the image of a tile")
        self.strip_follows()
        self.drawn()

    def strip_follows(self) -> None:
        """Wait until the strip shows the open image, and learn which pair it is."""
        self.page.wait_for_selector("#glipforge-strip .caption")
        self.page.wait_for_function(
            """() => document.getElementById("glipforge-strip").dataset.sample ===
            new URLSearchParams(location.search).get("id")"""
        )
        self.find_number()

    def tiles(self) -> int:
        """Images in the grid: a dataset of few has them all at once."""
        return int(self.page.locator("[data-cy=looker]").count())

    def find_number(self) -> int:
        """Learn which pair is open."""
        ids = {str(sample_object_id(row.record_id)): n for n, row in enumerate(self.bench.rows)}
        shown = self.page.locator("#glipforge-strip").get_attribute("data-sample")
        self.number = ids.get(str(shown), self.number)
        return self.number

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
        self.drawn()

    def annotate(self) -> None:
        """Choose Annotate."""
        self.page.locator("[data-cy=annotate]").click()
        self.page.wait_for_selector("[data-cy^=annotate-label-]")

    # Pressing

    def press(self, key: str) -> None:
        self.actions += 1
        self.page.keyboard.press(key)

    def press_at_once(self, *keys: str) -> None:
        """Press keys before the page can do what the first one asks."""
        self.page.evaluate(
            """keys => keys.forEach(key => window.dispatchEvent(
            new KeyboardEvent("keydown", {key, bubbles: true, cancelable: true})))""",
            list(keys),
        )

    def press_for(self, key: str, question: str = "") -> None:
        """Press a key that asks, and answer by Enter, once the question is there."""
        self.press(key)
        asked = self.question()
        assert question in asked, asked
        self.press("Enter")

    def select(self, ordinal: int) -> None:
        """Click a box of the open image in Explore, where no other box lies."""
        chosen = str(self.label(ordinal)["_id"])
        self.idle()
        self.point_at(ordinal)
        before = self.selected()

        def taken() -> bool:
            self.page.mouse.down()
            self.page.mouse.up()
            return self.comes_true(lambda: (chosen in self.selected()) != (chosen in before), 8)

        self.actions += 1
        self.wait_for(taken, f"{self.box(ordinal)} takes the click")
        assert set(self.selected()) - set(before) <= {chosen}, "another box took the click as well"

    def point_at(self, ordinal: int) -> None:
        """Move the pointer to a box of the open image, until FiftyOne knows it there."""
        chosen = str(self.label(ordinal)["_id"])

        def is_there() -> bool:
            x, y = self.spot(self.free_point(ordinal))
            self.page.mouse.move(x - 4, y - 4)
            self.page.mouse.move(x, y)
            return self.comes_true(lambda: self.look().get("under") == chosen, 2)

        self.wait_for(is_there, f"the pointer is on {self.box(ordinal)}")

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
        self.drag(start, end)

    def drag(self, start: tuple[int, int], end: tuple[int, int]) -> None:
        """Draw with the pencil that is in hand, or soon will be."""
        self.page.wait_for_selector("[data-cy=detection-mode][data-cy-active=true]")

        def is_pencil() -> bool:
            self.page.mouse.move(start[0] - 2, start[1] - 2)
            self.page.mouse.move(*start)
            cursor = "node => getComputedStyle(node).cursor"
            canvas = self.page.locator("[data-cy=lighter-sample-renderer-canvas]")
            return str(canvas.evaluate(cursor)) == "crosshair"

        self.wait_for(is_pencil, "the pencil over the image")
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

        def is_in(filters: str) -> bool:
            return wanted.keys() <= (self.state(filters) or {}).keys()

        def opened_so() -> bool:
            """FiftyOne may drop the filters until its grid is loaded."""
            self.run("set_filters", wanted)
            if not self.comes_true(lambda: is_in("filters"), 5):
                return False
            self.click_tile()
            if is_in("modalFilters"):
                return True
            self.run("close_sample", {})
            self.page.wait_for_selector("[data-cy=modal]", state="detached")
            return False

        self.wait_for(opened_so, "an image under the grid's filter", 3 * WAIT_S)
        self.drawn()
