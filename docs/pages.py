"""What differs between a page of this folder on GitHub and on the site.

GitHub shows plain Markdown, which knows neither the tree of a site nor docstrings. So a page says in plain Markdown
what it has to say, and this extension of Sphinx adds to it before it is read: the tree, from the lists of links in
`index.md`; the README as a page; where links to other files of the repository lead; and the docstrings behind each
table of names.
"""

from __future__ import annotations

import inspect
import os
import re
import tomllib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, get_overloads

from docutils import nodes
from sphinx.addnodes import pending_xref
from sphinx.application import Sphinx
from sphinx.environment import BuildEnvironment
from sphinx.pycode import ModuleAnalyzer
from sphinx.util import logging

import llm_strategy

DOCS = Path(__file__).parent
CHECKOUT = DOCS.parent
REPOSITORY = tomllib.loads((CHECKOUT / "pyproject.toml").read_text("utf-8"))["project"]["urls"]["Repository"]
README = "overview"
"""The page in whose place the site has the README."""

_CODE = re.compile(r"^(`{3,})[^`]*\n.*?^\1 *$|(?<!`)(`+)(?!`).+?(?<!`)\2(?!`)", re.MULTILINE | re.DOTALL)
_TARGET = re.compile(r"(?<=\]\()(?![a-z]+:|#|<)([^\s()#]+)((?:#[\w-]*)?)(?=\))")
_HEADING = re.compile(r"^##+ (.+)$", re.MULTILINE)
_PAGE = re.compile(r"^- \[([^\]]+)\]\(([\w./-]+)\.md\)", re.MULTILINE)
_BADGE = re.compile(r"^\[!\[[^\]]*\]\(https?:[^)]*\)\]\([^)]*\)\n", re.MULTILINE)
"""Is drawn by another server, which the site does not ask."""
_DOCSTRINGS = "<!-- docstrings -->"
_NAME = re.compile(r"^\| `([\w.]+)` \|", re.MULTILINE)
_NO_BREAK = re.compile(r"\\ (?=\s|\Z)")
"""Markup in reStructuredText ends at a blank, or at an escaped one where a word goes on; one of them is enough."""
_SPAN = re.compile(r"`([^`\n]+)`")
_ERROR = re.compile(
    rf"\b({'|'.join(name for name in llm_strategy.__all__ if name.endswith(('Error', 'Miss', 'Found', 'Warning')))})\b"
)

_log = logging.getLogger(__name__)


def setup(app: Sphinx) -> dict[str, Any]:
    app.connect("source-read", read)
    app.connect("missing-reference", public)
    app.connect("autodoc-process-docstring", marked_up)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def read(app: Sphinx, page: str, source: list[str]) -> None:
    """Make of a page's Markdown what the site has in its place."""
    text, place = source[0], Path(app.env.doc2path(page)).parent
    if page == README:
        app.env.note_dependency(str(CHECKOUT / "README.md"))
        text, place = _BADGE.sub("", (CHECKOUT / "README.md").read_text("utf-8")), CHECKOUT
    text = "".join(
        part if part.startswith("`") else _TARGET.sub(lambda found: _link(found, place, page), part)
        for part in parts(text)
    )
    if page == "index":
        text += "".join(trees(text))
    source[0] = "".join(documented(text)) if _DOCSTRINGS in text else text


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


def documented(text: str) -> Iterator[str]:
    """The text with, behind each table of names, what their docstrings say."""
    *tables, rest = text.split(_DOCSTRINGS)
    for table in tables:
        directives = "\n".join(map(_directive, _NAME.findall(table)))
        yield _NAME.sub(_entry, table) + f"```{{eval-rst}}\n{directives}\n```\n"
    yield rest


def _entry(found: re.Match[str]) -> str:
    return f"| [`{found[1].rpartition('.')[2]}`](#{found[1]}) |"


def _directive(name: str) -> str:
    """Of a function with overloads, which are for type checkers, readers get the one signature that has them all."""
    value = named(name)
    if inspect.isclass(value):
        return f".. autoclass:: {name}" + "\n   :show-inheritance:" * issubclass(value, BaseException)
    if inspect.isfunction(value) and not get_overloads(value):
        return f".. autofunction:: {name}"
    signature = str(inspect.signature(value)).replace("'", "") if inspect.isfunction(value) else ""
    lines = docstring(name).splitlines()
    marked_up(lines)
    module, _, attribute = name.rpartition(".")
    directive = f".. py:{'function' if signature else 'data'}:: {attribute}{signature}"
    return "\n   ".join([directive, f":module: {module}", "", *lines])


def named(name: str) -> Any:
    """The object of a full name."""
    module, _, attribute = name.rpartition(".")
    return getattr(import_module(module), attribute)


def docstring(name: str) -> str:
    """What is said of a name at its definition: of what is no class and no function, in the lines below it."""
    value = named(name)
    if inspect.isclass(value) or inspect.isfunction(value):
        return inspect.getdoc(value) or ""
    module, _, attribute = name.rpartition(".")
    home = f"{module}.{llm_strategy._HOMES[attribute]}"
    return "\n".join(ModuleAnalyzer.for_module(home).find_attr_docs().get(("", attribute), []))


def marked_up(*event: Any) -> None:
    """Docstrings are plain text, in which Markdown marks code; public names in them lead to where they stand."""
    lines: list[str] = event[-1]
    pieces = _SPAN.split("\n".join(lines))
    pieces[::2] = [_ERROR.sub(lambda found: _reference(found[1]), piece) for piece in pieces[::2]]
    pieces[1::2] = [_reference(code) if code in llm_strategy.__all__ else f"``{code}``\\ " for code in pieces[1::2]]
    lines[:] = _NO_BREAK.sub("", "".join(pieces)).splitlines()


def _reference(name: str) -> str:
    return f":obj:`~llm_strategy.{name}`\\ "


def public(app: Sphinx, env: BuildEnvironment, node: pending_xref, text: nodes.Element) -> nodes.Element | None:
    """A public name is documented as such, but annotations name the module that it lives in, or nothing but itself."""
    name = str(node.get("reftarget")).rpartition(".")[2]
    domain = env.domains.python_domain
    for full in (f"llm_strategy.{name}", f"pytest_llm_strategy.strategies.{name}"):
        if full in domain.objects and app.builder is not None:
            place = str(node.get("refdoc"))
            return domain.resolve_xref(env, place, app.builder, "obj", full, node, text)
    return None
