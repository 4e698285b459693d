"""What differs between two revisions, as one HTML file: nothing is loaded, nothing runs, all text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from html import escape

from llm_strategy.revisions.comparison import Comparison, Group, Located, clean, size, told_verdicts

_STYLE = """
:root { color-scheme: light dark; --line: #d0d7de; --soft: #f6f8fa; --old: #82071e; --new: #0a5a24; --quiet: #57606a; }
@media (prefers-color-scheme: dark) {
  :root { --line: #3d444d; --soft: #151b23; --old: #ffa198; --new: #7ee787; --quiet: #9198a1; }
  body { background: #0d1117; color: #e6edf3; }
}
body { font: 16px/1.5 system-ui, sans-serif; max-width: 70rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { display: inline; font-size: 1.1rem; overflow-wrap: anywhere; }
h3 { font-size: 1rem; font-weight: normal; margin: 1rem 0 .25rem; overflow-wrap: anywhere; }
details { border: 1px solid var(--line); border-radius: 6px; padding: .5rem 1rem; margin: 1rem 0; }
summary { cursor: pointer; }
pre { background: var(--soft); border: 1px solid var(--line); border-radius: 6px; padding: .75rem; overflow-x: auto; }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
.quiet { color: var(--quiet); }
.old { color: var(--old); }
.new { color: var(--new); }
"""


def page(comparison: Comparison) -> str:
    return "\n".join(_lines(comparison)) + "\n"


def _lines(comparison: Comparison) -> Iterator[str]:
    title = f"Prompts and answers: {_text(comparison.name)}"
    yield '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">'
    yield '<meta name="viewport" content="width=device-width, initial-scale=1">'
    yield """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">"""
    yield f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n<main>\n<h1>{title}</h1>"
    yield f"<p>{comparison.heading}</p>"
    if comparison.answers:
        yield f"<p>Answers: {comparison.answers}</p>"
    for group in comparison.groups:
        yield from _group(group)
    yield "</main>\n</body>\n</html>"


def _group(group: Group) -> Iterator[str]:
    yield f"<details open>\n<summary><h2>{_text(group.title)}</h2> <span class=quiet>{size(group)}</span></summary>"
    yield f"<p class=quiet>In {', '.join(f'<code>{_text(test)}</code>' for test in group.tests)}</p>"
    if group.prompt:
        yield _pre(group.prompt, "the prompt")
    if group.verdicts:
        yield f"<p>Answers: {told_verdicts(group.verdicts)}</p>"
    for call in group.told:
        yield from _call(call)
    yield "</details>"


def _call(call: Located) -> Iterator[str]:
    verdict = f": <strong>{call.change.verdict}</strong>" if call.change.verdict else ""
    yield f"<h3><code>{_text(call.owner)}</code>, <code>{_text(call.name)}</code>{verdict}"
    yield f" <span class=quiet>{_text(call.place)}</span></h3>"
    if lines := call.lines():
        yield _pre(lines, "the answer")


def _pre(lines: Sequence[str], label: str) -> str:
    """Lines that may be wider than the page, to be reached by the keyboard too."""
    return f'<pre tabindex=0 role=group aria-label="{label}">{chr(10).join(map(_line, lines))}</pre>'


def _line(line: str) -> str:
    kind = {"-": "old", "+": "new", "@": "quiet", "?": "quiet"}.get(line[:1])
    return f"<span class={kind}>{_text(line)}</span>" if kind else _text(line)


def _text(text: str) -> str:
    return escape(clean(text))
