"""A browser, and the built book from a server and straight from the disk, for every test here."""

import functools
import http.server
import os
import threading
from contextlib import contextmanager

import pytest
from playwright.sync_api import sync_playwright

import course
from tools import paper


class QuietHandler(http.server.SimpleHTTPRequestHandler):
    """A file server that does not report each request."""

    def log_message(self, *arguments):
        """Say nothing."""


@pytest.fixture(scope="module")
def html():
    """Return the folder of the built book; build it where it is missing."""
    if not (course.HTML / "index.html").is_file():
        assert course.build() == 0
    return course.HTML


@contextmanager
def served(folder, scheme):
    """Give the address of `folder` as a reader's browser names it: over http or from the disk."""
    if scheme == "file":
        yield folder.as_uri()
        return
    handler = functools.partial(QuietHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module", params=["http", "file"])
def address(request, html):
    """Return the root of the book."""
    with served(html, request.param) as root:
        yield root


@pytest.fixture(scope="module")  # not longer: its event loop would be in the way of nbval
def browser():
    """Give a running browser."""
    with sync_playwright() as playwright:
        browser = paper.launch_browser(playwright.chromium)
        if browser is None:
            pytest.fail(paper.NO_BROWSER) if os.environ.get("CI") else pytest.skip(paper.NO_BROWSER)
        yield browser
        browser.close()
