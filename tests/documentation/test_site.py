"""The site is built of the documents that are executed, and of nothing else."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from docs.pages import REPOSITORY, documented, parts, trees
from tests.documentation.runner import CHECKOUT
from tests.documentation.test_documents import DOCUMENTS

DOCS = CHECKOUT / "docs"
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the site, built as `make docs` builds it: a warning would be an error."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-q", "-E", "-W", "--keep-going", "-d", f"{folder}/trees", str(DOCS)]
    done = subprocess.run([*command, f"{folder}/pages"], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    return folder / "pages"


def test_each_document_is_a_page(site: Path) -> None:
    """And each page is a document whose code blocks are run."""
    pages = {path.relative_to(site).with_suffix(".md").as_posix() for path in site.rglob("*.html")}
    made = {"genindex.md", "search.md", "py-modindex.md"}
    assert pages - made == {document.removeprefix("docs/") for document in DOCUMENTS}


def test_each_page_is_in_the_list_of_the_first(site: Path) -> None:
    """The list of links that readers of GitHub see is the tree of the site: its titles stand at the side of every page."""
    page = (site / "changelog.html").read_text("utf-8")
    titles = re.findall(r'<li class="toctree-l1[^>]*><a [^>]*>(.*?)</a>', page)
    listed = re.findall(r"^- \[([^]]+)\]", (DOCS / "index.md").read_text("utf-8"), re.MULTILINE)
    assert titles == [title.replace("`", "") for title in listed]


def test_the_overview_is_the_readme(site: Path) -> None:
    """With its links leading to pages of the site, or to files of the repository."""
    page = (site / "overview.html").read_text("utf-8")
    assert "The main job" in page
    assert 'href="how-to/streaming.html"' in page
    assert f'href="{REPOSITORY}/blob/main/tests/README.md"' in page


def test_links_to_the_readme_lead_to_the_overview(site: Path) -> None:
    """Its headings are found from other pages, too."""
    pages = "\n".join(path.read_text("utf-8") for path in (site / "how-to").glob("*.html"))
    assert 'href="../overview.html#models"' in pages


def test_nothing_is_loaded_from_elsewhere(site: Path) -> None:
    """Neither fonts nor scripts nor styles: a page is read without a network."""
    loads = re.compile(r"""<(?:script|link|img|iframe)[^>]*(?:src|href)=["'](https?:)?//[^>]*>""")
    foreign = {found[0] for path in site.rglob("*.html") for found in loads.finditer(path.read_text("utf-8"))}
    assert foreign == set()


def test_code_is_left_as_it_is() -> None:
    """What looks like a link or a heading within code is none."""
    text = "a `[b](c)` d\n\n```python\n# e\nx[0](1)\n```\n\n[f](g.md)"
    assert list(parts(text)) == ["a ", "`[b](c)`", " d\n\n", "```python\n# e\nx[0](1)\n```", "\n\n[f](g.md)"]


def test_a_list_becomes_a_tree() -> None:
    """Links that stand elsewhere in a text are only links."""
    (tree,) = trees("# T\n\nsee [x](y.md)\n\n## Start\n\n- [The `a`](b/c.md): d\n- e\n\n## Other\n\nnone\n")
    assert tree.split("\n")[1:6] == ["```{toctree}", ":hidden:", ":caption: Start", "", "The a <b/c>"]


def test_a_table_of_names_brings_their_docstrings() -> None:
    """A class, a function with overloads, and an alias each in the way in which readers need it."""
    names = ("llm_strategy.Call", "llm_strategy.llm_function", "llm_strategy.Volatile")
    rows = "".join(f"| `{name}` | |\n" for name in names)
    shown = "".join(documented(f"{rows}\n<!-- docstrings -->\nrest"))
    assert ".. autoclass:: llm_strategy.Call\n" in shown
    assert shown.count(".. py:function:: llm_function(function: Any") == 1
    assert ".. py:data:: Volatile\n" in shown
    assert shown.endswith("\nrest")


def test_each_link_leads_to_a_page_that_is_there(site: Path) -> None:
    """What a docstring has in quotation marks is no address, though it may look like one."""
    for path in site.rglob("*.html"):
        for target in re.findall(r'<a [^>]*href="([^"#?]+)', path.read_text("utf-8")):
            assert target.startswith(("https://", "http://")) or (path.parent / target).exists(), (path.name, target)


@pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open the pages with")
@pytest.mark.parametrize("width", [400, 1400])
def test_a_page_is_as_wide_as_the_window_and_a_row_of_a_table_no_higher(site: Path, width: int) -> None:
    """In a real browser: long names in a table leave room for the words beside them; what is too wide scrolls by itself."""
    browsers = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
    measure = """() => [document.documentElement.scrollWidth,
                        Math.max(0, ...[...document.querySelectorAll("tr")].map((row) => row.offsetHeight))]"""
    with browsers.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": width, "height": 1200})
        for path in sorted(site.rglob("*.html")):
            page.goto(path.as_uri(), wait_until="domcontentloaded")
            wide, high = page.evaluate(measure)
            assert wide <= width, path.name
            assert high <= 1200, path.name
        browser.close()
