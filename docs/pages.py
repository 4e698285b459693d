"""What differs between a page of this folder on GitHub and on the site.

GitHub shows plain Markdown, which knows neither the tree of a site nor docstrings. So a page says in plain Markdown
what it has to say, and this extension of Sphinx adds to it before it is read: the tree, from the lists of links in
`index.md`; the README as a page; where links to other files of the repository lead; and the docstrings behind each
table of names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.util import logging

DOCS = Path(__file__).parent
CHECKOUT = DOCS.parent
REPOSITORY = "/".join(
    (
        os.environ.get("GITHUB_SERVER_URL", "https://github.com"),
        os.environ.get("GITHUB_REPOSITORY", "BlackHC/llm-strategy"),  # a fork's site leads to the fork
    )
)
README = "overview"
"""The page in whose place the site has the README."""

_CODE = re.compile(r"^(`{3,})[^`]*\n.*?^\1 *$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#|<)([^\s()#]+)((?:#[\w-]*)?)(?=\))")
_HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)
_PAGE = re.compile(r"^- \[([^\]]+)\]\(([\w/-]+)\.md\)", re.MULTILINE)
_NAMES = re.compile(r"^<!-- docstrings -->$", re.MULTILINE)
_NAME = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)

_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    app.connect("missing-reference", public)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Make of a page's Markdown what the site has in its place."""
    text, place = source[0], Path(app.env.doc2path(page)).parent
    if page == README:
        app.env.note_dependency(str(CHECKOUT / "README.md"))
        text, place = (CHECKOUT / "README.md").read_text("utf-8"), CHECKOUT
    text = "".join(
        part if part.startswith("`") else _NAMES.sub("", _TARGET.sub(lambda found: _link(found, place, page), part))
        for part in parts(text)
    )
    source[0] = text + "".join(trees(text)) if page == "index" else text


def parts(text: str) -> Iterator[str]:
    """A text cut into code, which begins with a backtick, and what is none."""
    end = 0
    for code in _CODE.finditer(text):
        yield text[end : code.start()]
        yield code[0]
        end = code.end()
    yield text[end:]


def _link(found: re.Match[str], place: Path, page: str) -> str:
    """Where a relative link leads on the site: to a page or picture of it, otherwise to the repository."""
    target, fragment = found.groups()
    path = (place / target).resolve()
    if not path.exists():
        _log.warning("%s does not exist", target, location=page, type="pages", subtype="link")
    if path == CHECKOUT / "README.md":
        path = DOCS / f"{README}.md"
    if path.is_relative_to(DOCS) and path.suffix in {".md", ".svg", ".png"}:
        return os.path.relpath(path, (DOCS / page).parent).replace(os.sep, "/") + fragment
    return f"{REPOSITORY}/{'tree' if path.is_dir() else 'blob'}/main/{path.relative_to(CHECKOUT).as_posix()}{fragment}"


def trees(text: str) -> Iterator[str]:
    """The contents of the site: under each heading of the first page, the pages of its list."""
    _, *sections = _HEADING.split(text)
    for heading, section in zip(sections[::2], sections[1::2], strict=True):
        if pages := _PAGE.findall(section):
            entries = "\n".join(f"{title.replace('`', '')} <{page}>" for title, page in pages)
            yield f"\n```{{toctree}}\n:hidden:\n:caption: {heading}\n\n{entries}\n```\n"


def public(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> nodes.Element | None:
    """A public name is documented as such, but annotations name the module that it lives in, or nothing but itself."""
    name = str(node.get("reftarget")).rpartition(".")[2]
    domain = env.domains.python_domain
    for full in (f"llm_strategy.{name}", f"pytest_llm_strategy.strategies.{name}"):
        if full in domain.objects and app.builder is not None:
            place = str(node.get("refdoc"))
            return domain.resolve_xref(env, place, app.builder, "obj", full, node, text)
    return None
