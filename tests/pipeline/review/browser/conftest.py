"""One database, one app server and one Chromium for all tests of the page."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import pytest

from pipeline.review.app.server import AppServer, run_server
from tests.pipeline.review.bench import Bench
from tests.pipeline.review.browser.drawn_rows import NOTED, drawn_notes, drawn_rows
from tests.pipeline.review.browser.opened_pair import OpenedPair
from tests.pipeline.review.browser.review_page import ReviewPage
from tests.pipeline.review.browser.review_window import SIZE
from tests.pipeline.review.conftest import ReviewSession

FLAGS = (
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",  # the app asks for fonts
)
SCENES = 50


def chromium_path() -> str:
    """The system's Chromium.

    Raises:
        RuntimeError: there is none; says how to get it.
    """
    for name in ("chromium", "chromium-browser", "google-chrome"):
        found = shutil.which(name)
        if found:
            return found
    raise RuntimeError("the browser tests need Chromium: make system (apt-get install chromium)")


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """A running browser."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=chromium_path(), headless=True, args=list(FLAGS)
        )
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def app(review_session: ReviewSession) -> Iterator[AppServer]:
    """A running app server."""
    with run_server(review_session.home, review_session.database) as running:
        yield running


@pytest.fixture(scope="session")
def scenes(
    review_session: ReviewSession, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bench]:
    """Drawn pairs, pushed once; every test gets the next one for itself."""
    folder = tmp_path_factory.mktemp("scenes")
    made = Bench(review_session, folder, drawn_rows(folder, SCENES))
    made.push(notes=drawn_notes(made.rows))
    yield made
    made.drop()


@pytest.fixture(scope="session")
def numbers() -> Iterator[int]:
    """The pairs that no test has used."""
    return iter(range(SCENES - NOTED))


@pytest.fixture(scope="session")
def context(chromium: Any) -> Iterator[Any]:
    """A browser profile: its cache serves all tests, what the app remembers in it none."""
    made = chromium.new_context(viewport=SIZE)
    made.add_init_script("localStorage.clear()")
    yield made
    made.close()


@pytest.fixture
def window(context: Any, app: AppServer, scenes: Bench) -> Iterator[ReviewPage]:
    """A window that shows nothing yet, for tests that begin in the grid."""
    opened = ReviewPage(context, app, scenes)
    yield opened
    opened.close()


@pytest.fixture
def page(window: ReviewPage, scenes: Bench, numbers: Iterator[int]) -> ReviewPage:
    """A window with a pair open that no test has touched."""
    window.open(next(number for number in numbers if untouched(scenes, number)))
    return window


def untouched(scenes: Bench, number: int) -> bool:
    """Whether no test came by and judged the pair: some go on to the next image."""
    pair = OpenedPair(scenes, number)
    return len(pair.labels()) > 2 and pair.is_fresh()


@pytest.fixture(scope="session")
def noted_numbers() -> Iterator[int]:
    """Pairs with notes that no test has used."""
    return iter(range(SCENES - NOTED, SCENES))


@pytest.fixture
def noted_page(window: ReviewPage, scenes: Bench, noted_numbers: Iterator[int]) -> ReviewPage:
    """A window with an untouched pair open, of which the policy keeps a part."""
    window.open(next(number for number in noted_numbers if untouched(scenes, number)))
    return window
