"""The one place that decides what must not be written down, and what stands in its place.

Two kinds of rules. Those that look at a text alone (`placeholders`: shapes, folders, the project's own) give the same
result on every machine, so they act before a request is hashed. Those that know this machine (`scrub`, `find_known`)
act on what is written, reported or raised, and never on a key.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, NamedTuple

from llm_strategy import project_rules
from llm_strategy.known_secrets import Known, known
from llm_strategy.project_rules import ProjectRules
from llm_strategy.secret_rules import NAMED, PRIVATE_KEY, SECRETS, Rule

# In a prompt paths stand inside JSON as a rule, where a backslash is doubled.
_SLASH = r"(?:/|\\\\?)"
_NAME = r"[^/\\\s\"'<>|:*?]+"
# A user's name; the punctuation of the sentence around the path is no part of it.
_USER = r"[^/\\\s\"'<>|:*?,;&=!()\[\]{}]*[\w-]"
_WINDOWS = rf"\b[A-Za-z]:{_SLASH}Users{_SLASH}{_USER}"
# Behind what was replaced stand names within that folder.
_AT_ROOT = r"(?<![\w./-])(?<!<tmp>)(?<!<home>)"


def _path(anchor: str, pattern: str, replacement: str) -> Rule:
    return Rule("folder", anchor, (anchor,), pattern, replacement, (), "any")


PATHS: tuple[Rule, ...] = (
    _path("pytest-of-", rf"{_SLASH}pytest-of-{_NAME}{_SLASH}pytest-(?:\d+|current)(?:{_SLASH}popen-\w+)?", "/pytest"),
    _path("/var/folders/", rf"(?:/private)?/var/folders/{_NAME}/{_NAME}/T(?![\w-])", "<tmp>"),
    _path("AppData", rf"{_WINDOWS}{_SLASH}AppData{_SLASH}Local{_SLASH}Temp", "<tmp>"),
    _path("/tmp", rf"{_AT_ROOT}(?:/var)?/tmp(?![\w-])", "<tmp>"),
    # What `tempfile` makes: "tmp" and eight characters at random.
    _path("<tmp>", r"(?<=<tmp>[/\\])tmp[a-z0-9_]{8}(?![\w-])", "<random>"),
    # The folder of a test: pytest counts those of one name, in the order in which they run.
    _path("<tmp>/pytest", rf"(?<=<tmp>/pytest)({_SLASH}{_NAME}?)\d+(?![\w.-])", r"\1"),
    # Windows' drives within Linux.
    _path("/Users/", rf"(?<![\w./-])(?:/mnt)?/[a-z]/Users/{_USER}", "<home>"),
    _path("/home/", rf"(?<![\w.-])(?<!<tmp>)(?<!<home>)/home/{_USER}", "<home>"),
    _path("Users", rf"(?<![\w.-])(?<!<tmp>)(?<!<home>)/Users/{_USER}|{_WINDOWS}", "<home>"),
    _path("/root", rf"{_AT_ROOT}/root(?![\w-])", "<home>"),
)


# Secrets by their shape

_WORDS = tuple(rule for rule in SECRETS if rule.place == "word")
_ADDRESSES = tuple(rule for rule in SECRETS if rule.place == "any")
_BESIDE = tuple(rule for rule in SECRETS if rule.place == "beside")
_RANDOM = tuple(rule for rule in SECRETS if rule.place == "random")
_LOOKS_RANDOM = re.compile("[0-9][A-Za-z]+[0-9]")
_SHORTEST_WORD = b"a" * 14
_IN_WORDS = frozenset("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz_-./+=%~:@&#!$*^").__contains__
_SHADOW = bytes(ord("a") if _IN_WORDS(chr(code)) else ord(" ") for code in range(256))


def _words(text: str) -> str:
    """The long words of a text: all that rules for words have to look at, and of most prompts next to nothing."""
    shadow = text.encode("ascii", "replace").translate(_SHADOW)
    found = []
    at = shadow.find(_SHORTEST_WORD)
    while at >= 0:
        end = shadow.find(b" ", at)
        end = len(text) if end < 0 else end
        found.append(text[at:end])
        at = shadow.find(_SHORTEST_WORD, end)
    return " ".join(found)


@lru_cache(maxsize=256)
def compiled(pattern: str) -> re.Pattern[str]:
    """A rule's pattern. No secret has other letters than ASCII's, which may stand right beside it."""
    return re.compile(pattern, re.ASCII)


def _shapes(text: str, rules: ProjectRules) -> str:
    """A paragraph without what looks like a secret, and without what the project says is one."""
    text = rules.redact(text) if rules.secrets else text
    if PRIVATE_KEY.anchors[0] in text:
        text = rules.substitute(compiled(PRIVATE_KEY.pattern), PRIVATE_KEY.replacement, text)
    words = _words(text)
    if words:
        text = _apply(_WORDS, text, rules, words)
    if "/" in text and "://" in text:
        text = _apply(_ADDRESSES, text, rules, text)
    if words:
        lowered = text.lower()
        text = _apply(_BESIDE, text, rules, lowered)
        if _LOOKS_RANDOM.search(words):
            text = _apply(_RANDOM, text, rules, lowered)
    return text


def _apply(applied: Sequence[Rule], text: str, rules: ProjectRules, seen: str) -> str:
    """The text after rules of which an anchor stands in `seen`."""
    for rule in applied:
        for anchor in rule.anchors:
            if anchor in seen:
                text = rules.substitute(compiled(rule.pattern), rule.replacement, text)
                break
    return text


def _without_shapes(text: str, lines: str) -> str:
    rules = project_rules.of(lines)
    if rules.secrets or rules.exceptions:
        return "\n\n".join([_shapes(piece, rules) for piece in paragraphs(text)])
    return _shapes(text, rules)


def paragraphs(text: str) -> list[str]:
    """The pieces of a text, to be joined by blank lines, in which placeholders can be put one by one."""
    # No rule reaches over a blank line but the one for private keys.
    return [text] if PRIVATE_KEY.anchors[0] in text else text.split("\n\n")


def without_secrets(text: str) -> str:
    """The text without secrets of a known shape and without those that the project names; folders stay."""
    return _without_shapes(text, project_rules.current())


# Folders


def _own(*folders: tuple[str, str]) -> tuple[Rule, ...]:
    """The rules for this machine's folders that lie at unusual places; others are found as on other machines."""
    return tuple(
        _path(path, rf"(?<![\w./-]){re.escape(path)}(?![\w-])", name)
        # One may lie in the other.
        for path, name in sorted(folders, key=lambda folder: -len(folder[0]))
        if len(path) > 3 and os.path.isabs(path) and _without_folders(path, PATHS) != name
    )


def _without_folders(text: str, rules: tuple[Rule, ...]) -> str:
    if "/" in text or "\\" in text:
        for rule in rules:
            if rule.anchors[0] in text:
                text = re.sub(rule.pattern, rule.replacement, text)
    return text


@lru_cache(maxsize=8)
def _replacing(home: str, temporary: str, lines: str) -> Callable[[str], str]:
    folders = (*_own((temporary, "<tmp>"), (home, "<home>")), *PATHS)
    return lambda text: _without_folders(_without_shapes(text, lines), folders)


def replacing() -> Callable[[str], str]:
    """The function `placeholders`, for many texts: this machine's folders are looked up once."""
    return _replacing(os.path.expanduser("~"), tempfile.gettempdir(), project_rules.current())


def placeholders(text: str) -> str:
    """The text with secrets of a known shape and home and temporary folders as fixed placeholders."""
    return replacing()(text)


# What is written

_NOBODY = frozenset(
    "admin administrator app azureuser build builder ci codespace default dev docker ec2-user git github gitlab home "
    "jenkins me node nobody opc postgres public root runner service src test tests tmp ubuntu user users usr vagrant "
    "var vscode work www www-data".split()
)


def _user_names() -> frozenset[str]:
    said = (os.environ.get(name, "") for name in ("USER", "LOGNAME", "USERNAME"))
    names = {os.path.basename(os.path.expanduser("~")), *said}
    return frozenset(name for name in names if len(name) > 2 and name.lower() not in _NOBODY)


@lru_cache(maxsize=8)
def _users(names: frozenset[str]) -> re.Pattern[str]:
    return re.compile(rf"(?<=[/\\])(?:{'|'.join(map(re.escape, sorted(names)))})(?=[/\\])")


def _hiding_users() -> Callable[[str], str]:
    """What puts `<user>` in place of the user's name as a folder of a path."""
    names = _user_names()
    pattern = _users(names)

    def hide(text: str) -> str:
        if "/" not in text and "\\" not in text:
            return text
        return pattern.sub("<user>", text) if any(name in text for name in names) else text

    return hide


def find_known(text: str) -> str | None:
    """The name of the environment variable whose value stands in the text, if one does."""
    return known().find(text)


def conceal(text: str) -> str:
    """The text without secrets; folders stay, since they say where something is."""
    return without_secrets((_settled[-1].secrets if _settled else known()).scrub(text))


def scrub(text: str) -> str:
    """The text fit to be written, reported or raised."""
    return (_settled[-1].scrub if _settled else _scrubbing(known()))(text)


def _scrubbing(secrets: Known) -> Callable[[str], str]:
    replace, hide = replacing(), _hiding_users()
    return lambda text: hide(replace(secrets.scrub(text)))


# What tells who somebody is; "/tmp" and "/root" are the same everywhere, and may be part of an answer.
_NAMING = tuple(rule for rule in PATHS if rule.replacement == "<home>" and rule.anchors != ("/root",))


@lru_cache(maxsize=8)
def _naming(home: str) -> tuple[Rule, ...]:
    return (*_own((home, "<home>")), *_NAMING)


def scrub_reply(text: str) -> str:
    """A reply fit to be written: as `scrub`, but with only those folders replaced that name a user."""
    return (_settled[-1].scrub_reply if _settled else _scrubbing_replies(known()))(text)


def _scrubbing_replies(secrets: Known) -> Callable[[str], str]:
    lines, folders, hide = project_rules.current(), _naming(os.path.expanduser("~")), _hiding_users()
    return lambda text: hide(_without_folders(_without_shapes(secrets.scrub(text), lines), folders))


class Scrubbing(NamedTuple):
    """`scrub` and `scrub_reply` for what is written together, and what is secret."""

    scrub: Callable[[str], str]
    scrub_reply: Callable[[str], str]
    secrets: Known


_settled: list[Scrubbing] = []


def scrubbing() -> Scrubbing:
    """What scrubs many texts: the machine is looked at once."""
    if _settled:
        return _settled[-1]
    secrets = known()
    return Scrubbing(_scrubbing(secrets), _scrubbing_replies(secrets), secrets)


@contextmanager
def settled() -> Iterator[None]:
    """Take the machine as it is now for all that is scrubbed in the block: thousands of texts that a command shows."""
    _settled.append(scrubbing())
    try:
        yield
    finally:
        _settled.pop()


class Opaque(str):
    """Binary content as text: no rule looks at it, for what looks like a credential stands in it by chance."""

    __slots__ = ()


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with `change` applied to every string in it, keys and what is opaque apart."""
    if isinstance(value, str):
        return value if type(value) is Opaque else change(value)
    if isinstance(value, dict):
        return {
            key: _named(key, item, change) if _tells(key) else each_text(item, change) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [each_text(item, change) for item in value]
    return value


@lru_cache(maxsize=1024)
def _tells(name: str) -> bool:
    """Whether a secret without a shape of its own may be told by the name of its field."""
    lowered = name.lower()
    return len(name) < _LONGEST_NAME and any(anchor in lowered for rule in NAMED for anchor in rule.anchors)


_LONGEST_NAME = 100


def _named(name: str, value: Any, change: Callable[[str], str]) -> Any:
    """What stands in a field with such a name, alone or in a list, changed as a text that says both."""
    if isinstance(value, list | tuple):
        return [_named(name, item, change) for item in value]
    changed = each_text(value, change)
    if type(changed) is not str:
        return changed
    said = change(f"{name}: {changed}")
    # What the project names may reach into the name.
    return said.removeprefix(f"{name}: ") if said.startswith(f"{name}: ") else changed
