"""The page of `--llm-report` in a real browser: what a person sees and does there."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.pytest_llm_strategy.conftest import MOCKS, QUIET

sync_api = pytest.importorskip("playwright.sync_api", reason="playwright drives the browser")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to open the page with")

FLAGS = [
    *("--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]

HOSTILE = "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'><!-- \u2028 \x00 \ud800 \u202e {{data}} &lt;"
PIXEL = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)

SHOP = f'''
import json
from typing import Annotated

from llm_strategy import Media, Response, ScriptedModel, Usage, llm_strategy

HOSTILE = {HOSTILE!r}


def answer(request):
    prompt = request.messages[1].content
    usage = Usage(1200, 30)
    if "patience" in prompt and len(request.messages) < 6:
        return Response("I would rather not.", usage)
    said = HOSTILE if "hostile" in prompt else "a warm lamp"
    text = json.dumps({{"return_value": said}})
    return Response("Here: " + text if "wordy" in prompt else text, usage, model="gpt-5-mini")


MODEL = ScriptedModel(answer, name="openai:gpt-5-mini", recorded=True)


@llm_strategy(MODEL)
def find(query: str) -> str:
    """Find what fits a query."""
    raise NotImplementedError


@llm_strategy(MODEL)
def describe(photo: Annotated[bytes, Media("image/png")]) -> str:
    """Describe a photo."""
    raise NotImplementedError


@llm_strategy(MODEL)
def advise(query: str) -> str:
    """Advise somebody."""
    raise NotImplementedError
'''

TESTS = f"""
import pytest
from shop import HOSTILE, advise, describe, find

@pytest.mark.parametrize("query", ["something for the evening", "quick silver"])
def test_find(query):
    assert find(query)

def test_hostile():
    find("hostile")
    assert HOSTILE == "harmless"

def test_patience():
    find("patience")

def test_wordy():
    find("wordy \u0130\u0130\u0130 dotted")

def test_photo():
    describe({PIXEL!r})

def test_advice():
    advise("which lamp")

def test_long():
    find("long " * 200_000)
"""


def run(folder: Path, *options: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LLM_STRATEGY", "PYTEST"))}
    environment["PYTHONPATH"] = str(folder)
    subprocess.run(
        [sys.executable, "-m", "pytest", *QUIET, *MOCKS, *options],
        cwd=folder,
        env=environment,
        capture_output=True,
        check=False,
    )


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with a miss, a failure, retries, a repair, an image, a prompt of a megabyte, and a reply that means harm."""
    folder = tmp_path_factory.mktemp("report")
    (folder / "pytest.ini").write_text("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    (folder / "shop.py").write_text(SHOP)
    (folder / "test_shop.py").write_text(TESTS)
    run(folder, "--llm-record")
    (folder / "shop.py").write_text(SHOP.replace("Advise somebody.", "Advise somebody well."))
    run(folder, "--llm-report=report.html")
    (folder / "shop.py").write_text(SHOP.replace("a warm lamp", "a cold lamp"))
    run(folder, "--llm-record=all", "--llm-report=afresh.html")
    return folder / "report.html"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        browser.close()


class Viewer:
    """A tab with the report. `complaints` is what the console says, `requests` what was fetched besides the file."""

    def __init__(self, browser: Any, report: Path, **options: Any) -> None:
        self.address = report.as_uri()
        self.context = browser.new_context(**{"viewport": {"width": 1280, "height": 800}, **options})
        self.page = self.context.new_page()
        self.complaints: list[str] = []
        self.requests: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.requests.append(request.url))

    def open(self, fragment: str = "") -> Any:
        self.page.goto("about:blank")
        self.page.goto(self.address + (f"#{fragment}" if fragment else ""))
        self.page.wait_for_selector("#detail > *", state="attached")
        return self.page

    def rows(self) -> list[str]:
        names: list[str] = self.page.locator("#list .row > .name").all_text_contents()
        return names

    def wait(self, seen: str) -> None:
        """Until an expression is true; the policy of the page forbids what playwright has for it."""
        for _ in range(500):
            if self.page.evaluate(seen):
                return
            self.page.wait_for_timeout(20)
        raise AssertionError(seen)

    def title(self) -> str:
        title: str = self.page.locator("#detail h2").first.inner_text()
        return title


@pytest.fixture
def viewer(browser: Any, report: Path) -> Iterator[Viewer]:
    viewer = Viewer(browser, report)
    viewer.open()
    yield viewer
    viewer.context.close()


def at(test: str, call: int | None = None) -> str:
    return f"test={quote(f'test_shop.py::{test}')}" + (f"&call={call}" if call else "")


def test_it_opens_from_the_disk_and_fetches_nothing(viewer: Viewer) -> None:
    """Opened from file://, the page asks for nothing else, and the console stays empty, whatever is looked at."""
    for fragment in ("", *(at(test, 1) for test in ("test_hostile", "test_photo", "test_long", "test_advice"))):
        viewer.open(fragment)
    assert viewer.complaints == []
    assert {url.partition("#")[0] for url in viewer.requests if not url.startswith("data:")} <= {
        viewer.address,
        "about:blank",
    }


def test_a_hostile_reply_is_text(viewer: Viewer) -> None:
    """Markup in a reply is shown as it is and runs nothing; what cannot be seen is named."""
    page = viewer.open(at("test_hostile", 1))
    shown = page.locator("#detail").inner_text()
    assert "</script><script>window.hurt = 1</script><img src=x onerror='window.hurt = 1'><!--" in shown
    assert "{{data}} &lt;" in shown
    page = viewer.open(at("test_hostile"))
    assert page.evaluate("window.hurt") is None
    assert page.locator("#detail img, #detail script").count() == 0
    assert "window.hurt" in page.locator("#detail pre").first.inner_text()


def test_what_hides_is_named(viewer: Viewer) -> None:
    """NUL, lone surrogates and what turns text around are shown by their names."""
    page = viewer.open(at("test_hostile", 1))
    # In JSON they are escapes; the error of the test shows the text itself.
    assert "\\ud800" in page.locator("#detail section", has_text="Answer").first.inner_text()
    assert (
        page.evaluate("visible('a\\0b\\ud800c\\u202ed\\r\\ne')")
        == "a\u2400b\u27e8U+D800\u27e9c\u27e8U+202E\u27e9d\u240d\ne"
    )


def test_the_page_can_make_nothing_of_text(viewer: Viewer) -> None:
    """Its policy refuses to make HTML or a script of a text, and to connect anywhere."""
    policy = viewer.page.locator("meta[http-equiv]").get_attribute("content")
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    refused = viewer.page.evaluate(
        "() => { try { document.body.innerHTML = '<b>x</b>'; return false } catch (error) { return error instanceof TypeError } }"
    )
    assert refused
    assert viewer.page.evaluate("fetch('https://example.org').then(() => true, () => false)") is False
    refused = viewer.page.evaluate(
        "() => { try { document.body.setAttribute('onclick', 'x'); return false } catch (error) { return error instanceof TypeError } }"
    )
    assert refused
    assert viewer.page.evaluate("window.hurt") is None


def test_search_looks_through_everything(viewer: Viewer) -> None:
    """A word of a prompt, of an answer or of a name narrows the list, and is marked in the details."""
    page = viewer.page
    for query, expected in [
        ("QUICK SILVER", ["test_find[quick silver]"]),
        ("warm lamp", None),
        ("test_photo", ["test_photo"]),
        ("rather not", ["test_patience"]),
    ]:
        page.fill("#search", query)
        viewer.wait(f"new URLSearchParams(location.hash.slice(1)).get('q') === '{query}'")
        assert expected is None or viewer.rows() == expected
    page.locator("#list .row").first.click()
    page.locator("#detail .calls button").first.click()
    assert page.evaluate("CSS.highlights.get('found').size") > 0
    page.fill("#search", "DOTTED")
    viewer.wait("document.getElementById('count').textContent === '1 test, 1 call'")
    page.locator("#list .row").first.click()
    page.locator("#detail .calls button").first.click()
    assert page.evaluate("[...CSS.highlights.get('found')].map(String)") == ["dotted"]
    page.fill("#search", "nowhere at all")
    viewer.wait("document.getElementById('count').textContent === 'Nothing fits'")


def test_filters_and_causes(viewer: Viewer) -> None:
    """The list narrows to what failed, missed or was repaired; a cause shows the tests that it concerns."""
    page = viewer.page
    for name, expected in [
        ("Missed", ["test_advice"]),
        ("Repaired", ["test_wordy"]),
        ("Failed", ["test_hostile", "test_advice"]),
    ]:
        page.locator("#filters button", has_text=name).click()
        assert viewer.rows() == expected
        assert page.locator("#filters button", has_text=name).get_attribute("aria-pressed") == "true"
    page.locator("#filters button", has_text="All").click()
    page.get_by_role("button", name="the docstring of advise").click()
    assert viewer.rows() == ["test_advice"]
    page.locator("#cause").click()
    page.locator("#filters button", has_text="All").click()
    assert len(viewer.rows()) == 8


def test_a_miss_shows_what_changed(viewer: Viewer) -> None:
    """Cause, place, command to copy, and the difference with the words that changed marked."""
    page = viewer.open(at("test_advice"))
    miss = page.locator(".miss").inner_text()
    assert "the docstring of advise" in miss
    assert "pytest --llm-record test_shop.py::test_advice" in miss
    assert page.locator(".difference.new mark").inner_text() == " well"
    assert page.locator(".difference.old mark").count() == 0


def test_answers_that_changed(browser: Any, report: Path) -> None:
    """What recording afresh has changed is told by its cause, and old and new answer stand one above the other."""
    viewer = Viewer(browser, report.with_name("afresh.html"))
    page = viewer.open()
    assert "the same prompts" in page.locator(".afresh").inner_text()
    assert page.locator(".change .old mark").first.inner_text() == "warm"
    assert page.locator(".change .new mark").first.inner_text() == "cold"
    page.locator("#filters button", has_text="Changed").click()
    assert "test_hostile" not in viewer.rows()
    assert "test_photo" in viewer.rows()
    page.locator(".change button").first.click()
    assert page.locator(".change").count() == 1
    viewer.context.close()


def test_sorting(viewer: Viewer) -> None:
    """By name, and by the number of calls."""
    viewer.page.select_option("#sort", "name")
    assert viewer.rows() == sorted(viewer.rows())
    viewer.page.select_option("#sort", "calls")
    assert viewer.rows()[0] == "test_patience"


def test_everything_goes_by_keys(viewer: Viewer) -> None:
    """j and k walk, arrows open and close, Enter goes to the details, / to the search, ? shows the keys, Escape goes back."""
    page = viewer.page
    press = page.keyboard.press
    press("j")
    press("j")
    press("k")
    assert viewer.title().startswith("test_find[something for the evening]")
    for _ in range(3):
        press("j")
    assert viewer.title().startswith("test_patience")
    press("ArrowRight")
    press("ArrowDown")
    assert viewer.title().startswith("find")
    focused = "document.activeElement.getAttribute('role') + ' ' + document.activeElement.getAttribute('aria-selected')"
    assert page.evaluate(focused) == "treeitem true"
    press("Enter")
    assert page.evaluate("document.activeElement.id") == "detail"
    press("Escape")
    assert page.evaluate(focused) == "treeitem true"
    press("ArrowLeft")
    assert viewer.title().startswith("test_patience")
    press("ArrowLeft")
    assert page.locator("#list .call").count() == 0
    press("/")
    assert page.evaluate("document.activeElement.id") == "search"
    page.keyboard.type("photo j")
    press("Escape")
    assert page.input_value("#search") == ""
    press("Escape")
    press("?")
    assert page.locator("#help").is_visible()
    press("Escape")
    assert not page.locator("#help").is_visible()
    press("Escape")
    assert viewer.title() == "Overview"


def test_the_focus_goes_along(viewer: Viewer) -> None:
    """After a click, too, the keys move the focus with the choice; within the details it stays in them."""
    page = viewer.page
    focused = "document.activeElement.id || document.activeElement.querySelector('.name').textContent"
    page.get_by_text("test_patience", exact=True).click()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    assert viewer.title().startswith("find")
    assert page.evaluate(focused) == "find"
    page.keyboard.press("Enter")
    page.keyboard.press("j")
    assert page.evaluate(focused) == "detail"
    page.locator("#detail .crumbs .link").focus()
    page.keyboard.press("Enter")
    assert viewer.title().startswith("test_patience")
    assert page.evaluate(focused) == "detail"


def test_focus_is_seen(viewer: Viewer) -> None:
    """What has the focus has an outline, but the name of the file above a row is outside of it."""
    outline = "(style => style.outlineStyle + style.outlineWidth)"
    viewer.page.keyboard.press("j")
    row = "document.activeElement"
    assert viewer.page.evaluate(f"{outline}(getComputedStyle({row}))") == "none0px"
    assert viewer.page.evaluate(f"{outline}(getComputedStyle({row}.querySelector('.name'), '::before'))") == "solid2px"
    above = f"{row}.querySelector('.file').getBoundingClientRect().bottom - {row}.getBoundingClientRect().top"
    assert viewer.page.evaluate(above) == pytest.approx(29, abs=1)
    viewer.page.keyboard.press("j")
    assert viewer.page.evaluate(f"{outline}(getComputedStyle({row}))") == "solid2px"


def test_retries_are_a_tree(viewer: Viewer) -> None:
    """Retries stand below the call that they go on from, and show what they add to it."""
    page = viewer.open(at("test_patience", 3))
    rows = page.locator("#list .call")
    assert [rows.nth(at).get_attribute("aria-level") for at in range(3)] == ["2", "3", "3"]
    assert page.locator("#detail h2").first.inner_text().split() == ["find", "replayed", "retry"]
    assert page.locator("#detail .message").count() == 2
    page.get_by_role("button", name="4 messages as in").click()
    assert page.locator("#detail .message").count() == 6


def test_the_address_says_what_is_looked_at(viewer: Viewer) -> None:
    """What is selected, searched and filtered stands in the address, and comes back with it."""
    page = viewer.page
    page.locator("#filters button", has_text="Failed").click()
    page.locator("#list .row", has_text="test_hostile").click()
    page.locator("#detail .calls button").first.click()
    viewer.wait("location.hash.includes('call=1')")
    address = page.evaluate("location.hash")
    viewer.open(address[1:])
    assert viewer.rows() == ["test_hostile", "find", "test_advice"]
    assert viewer.title().startswith("find")
    assert page.locator("[aria-selected=true]").inner_text().startswith("find")


def test_details_are_built_when_they_are_opened(viewer: Viewer) -> None:
    """A page that was just opened has rows and no prompts; a long prompt is cut until all of it is asked for."""
    page = viewer.page
    assert page.locator("pre").count() == 0
    assert page.locator("#list .call").count() == 0
    viewer.open(at("test_long", 1))
    cut = page.locator("#detail .message.user pre")
    assert len(cut.inner_text()) < 30_000
    page.get_by_role("button", name="Show all").click()
    assert len(cut.inner_text()) > 1_000_000


def test_images_are_shown(viewer: Viewer) -> None:
    """A PNG of a prompt is shown, from the page itself."""
    image = viewer.open(at("test_photo", 1)).locator("#detail img")
    assert image.get_attribute("src").startswith("data:image/png;base64,")
    viewer.wait("document.querySelector('#detail img').naturalWidth === 1")


def test_light_and_dark(browser: Any, report: Path) -> None:
    """The page follows the system, and a button overrules it."""
    ground = "getComputedStyle(document.body).backgroundColor"
    found = {}
    for scheme in ("light", "dark"):
        viewer = Viewer(browser, report, color_scheme=scheme)
        page = viewer.open()
        found[scheme] = page.evaluate(ground)
        page.locator("#theme").click()
        found[f"{scheme}, light chosen"] = page.evaluate(ground)
        page.locator("#theme").click()
        found[f"{scheme}, dark chosen"] = page.evaluate(ground)
        viewer.context.close()
    assert found["light"] == found["light, light chosen"] == found["dark, light chosen"] == "rgb(255, 255, 255)"
    assert found["dark"] == found["light, dark chosen"] == found["dark, dark chosen"] != found["light"]


def test_narrow_screens_show_one_thing_at_a_time(browser: Any, report: Path) -> None:
    """On a phone the list comes first, then the details, and a button leads back; nothing is wider than the screen."""
    viewer = Viewer(browser, report, viewport={"width": 360, "height": 700})
    page = viewer.open()
    assert page.locator("#list").is_visible()
    assert not page.locator("#detail").is_visible()
    page.locator("#list .row", has_text="test_advice").click()
    assert page.locator("#detail .miss").is_visible()
    assert not page.locator("#list").is_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    page.get_by_role("button", name="List").click()
    assert page.locator("#list").is_visible()
    viewer.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 360])
def test_axe_finds_nothing(browser: Any, report: Path, scheme: str, width: int) -> None:
    """No violation in the list, the overview, tests and calls, in light and dark, wide and narrow."""
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe checks accessibility").Axe()
    viewer = Viewer(browser, report, color_scheme=scheme, viewport={"width": width, "height": 800})
    places = [
        "",
        at("test_hostile"),
        at("test_hostile", 1),
        at("test_advice"),
        at("test_patience", 3),
        at("test_photo", 1),
        "show=missed",
    ]
    for place in places:
        page = viewer.open(place)
        page.evaluate("for (const one of document.querySelectorAll('details')) one.open = true")
        found = axe.run(page).response["violations"]
        assert [(place, rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found] == []
    viewer.page.keyboard.press("?")
    assert axe.run(viewer.page).response["violations"] == []
    viewer.context.close()


def test_it_prints(viewer: Viewer) -> None:
    """On paper the list and the details stand one below the other, without what is to be pressed."""
    page = viewer.open(at("test_advice"))
    page.emulate_media(media="print")
    assert page.locator("#list").is_visible()
    assert page.locator(".miss").is_visible()
    assert not page.locator("#search").is_visible()
    listed, details = page.locator("#list").bounding_box(), page.locator("#detail").bounding_box()
    assert details["y"] >= listed["y"] + listed["height"]
