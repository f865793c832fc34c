"""The site, as built and as a browser opens it: no broken link, no error, nothing too wide."""

import contextlib
import functools
import http.server
import json
import re
import shutil
import subprocess
import sys
import threading
from html.parser import HTMLParser
from importlib.util import find_spec
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest

pytestmark = pytest.mark.slow
DOCS = Path(__file__).parents[1] / "docs"
NEEDED = ("sphinx", "myst_parser", "furo", "sphinx_design", "sphinx_copybutton", "latex2mathml")
BROWSERS = ("chromium", "chromium-browser", "google-chrome")
# Opens page after page in a frame as wide as a phone, and reports what is wider than it.
VISIT = """<!doctype html><body><script>
const frame = document.createElement("iframe"), report = {wide: [], found: 0};
Object.assign(frame.style, {width: "390px", height: "800px"});
document.body.append(frame);
const open = (page, wait) => new Promise(done => {
  frame.onload = () => setTimeout(() => done(frame.contentDocument), wait);
  frame.src = page;
});
(async () => {
  for (const page of PAGES) {
    const opened = await open(page, 100);
    for (const part of [opened.documentElement, ...opened.querySelectorAll(".content")])
      if (part.scrollWidth > part.clientWidth) report.wide.push([page, part.scrollWidth]);
  }
  const searched = await open("search.html?q=funnel", 3000);
  report.found = searched.querySelectorAll("#search-results li").length;
  const page = await open("index.html", 100);
  const color = () => getComputedStyle(page.body).backgroundColor;
  page.body.dataset.theme = "light"; report.light = color();
  page.body.dataset.theme = "dark"; report.dark = color();
  document.body.innerHTML = "<pre>" + JSON.stringify(report) + "</pre>";
})();
</script></body>"""


class Links(HTMLParser):
    """What a page links to, and the names of its parts."""

    def __init__(self, page: Path):
        super().__init__()
        self.targets, self.names = set(), set()
        self.feed(page.read_text())

    def handle_starttag(self, tag, attrs):
        for name, value in attrs:
            if name in ("href", "src") and value:
                self.targets.add(value)
            elif name == "id":
                self.names.add(value)


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """Build the site, with warnings as errors, as `make docs` does."""
    for name in NEEDED:
        if find_spec(name) is None:
            pytest.skip(f"{name} is not installed; it is part of the extra docs")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-W", "--keep-going", "-b", "html"]
    done = subprocess.run([*command, str(DOCS), str(folder)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-5000:]
    return folder


@pytest.fixture(scope="module")
def pages(site):
    return {page: Links(page) for page in site.rglob("*.html")}


@pytest.fixture(scope="module")
def visited(site, pages, tmp_path_factory):
    """Open every page in a browser; return its report, and what it wrote to the console."""
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        pytest.skip("no Chromium and no Chrome is installed")
    names = sorted(str(page.relative_to(site)) for page in pages)
    (site / "visit.html").write_text(VISIT.replace("PAGES", json.dumps(names)))
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"]
    options += [f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update"]
    options += ["--virtual-time-budget=120000", "--dump-dom"]
    with served(site) as address:
        command = [browser, *options, f"{address}/visit.html"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300)
    text = re.search(r"<pre>(.*)</pre>", done.stdout)
    assert text, done.stderr[-3000:]
    written = [line for line in done.stderr.splitlines() if "CONSOLE" in line]
    return json.loads(text[1].replace("&amp;", "&")), written


@contextlib.contextmanager
def served(folder):
    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *_):
            pass

    handler = functools.partial(Quiet, directory=str(folder))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def broken(page, pages):
    """Return the links of a page that lead nowhere within the site."""
    found = []
    for target in pages[page].targets:
        parts = urlsplit(target)
        if parts.scheme or parts.netloc:
            continue
        path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
        anchor = unquote(parts.fragment)
        if not path.exists() or (anchor and path in pages and anchor not in pages[path].names):
            found.append(target)
    return found


def test_no_link_is_broken(pages):
    assert len(pages) > 80
    assert {page.name: links for page in pages if (links := broken(page, pages))} == {}


def test_pages_load_nothing_from_elsewhere(pages):
    loaded = re.compile(r'<(?:script|link|img)[^>]*(?:src|href)="https?:[^"]*"')
    assert {
        page.name: loaded.findall(page.read_text())
        for page in pages
        if loaded.search(page.read_text())
    } == {}


def test_every_finding_has_a_page_and_an_anchor(site, pages):
    from infer.output.finding import read_pages

    for kind in read_pages():
        assert kind in pages[site / "findings.html"].names
        assert kind in pages[site / "findings" / f"{kind}.html"].names


def test_no_page_writes_to_the_console(visited):
    assert visited[1] == []


def test_no_page_is_wider_than_a_phone(visited):
    assert visited[0]["wide"] == []


def test_the_search_finds_pages(visited):
    assert visited[0]["found"] >= 3


def test_the_site_has_a_dark_mode(visited):
    assert visited[0]["dark"] != visited[0]["light"]
