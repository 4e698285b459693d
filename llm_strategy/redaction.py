"""The one place that decides what must not be written down, and what stands in its place.

Two kinds of rules. Those by shape (`placeholders`) give the same result on every machine, so they
act before a request is hashed. Those that know this machine's credentials (`scrub`, `find_known`)
act on what is written, reported or raised, and never on a key.
"""

from __future__ import annotations

import base64
import json
import os
import re
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import Any, NamedTuple
from urllib.parse import quote


class Rule(NamedTuple):
    """A pattern, and a string that stands in every text that it matches.

    Looking for a fixed string costs a hundredth of matching a pattern, and nearly no prompt holds one. So most
    patterns are never used, and none is compiled before it is.
    """

    anchor: str
    pattern: str
    replacement: str


_PRIVATE_KEY = Rule(
    "PRIVATE KEY-----",
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----[\s\S]*?-----END [A-Z ]*PRIVATE KEY-----",
    "<private-key>",
)
SECRETS: tuple[Rule, ...] = (
    Rule("sk-ant-", r"sk-ant-[\w-]{16,}", "<anthropic-key>"),
    Rule("sk-", r"(?<![\w-])sk-(?:proj-|svcacct-|admin-|None-|or-v1-)?[A-Za-z0-9_-]{20,}", "<openai-key>"),
    Rule("AIza", r"\bAIza[\w-]{35}", "<google-key>"),
    Rule("ya29.", r"\bya29\.[\w-]{20,}", "<google-token>"),
    Rule("IA", r"\bA(?:KIA|SIA)[A-Z0-9]{16}\b", "<aws-key-id>"),
    Rule("ABSK", r"\bABSK[A-Za-z0-9+/]{60,}={0,2}", "<bedrock-key>"),
    Rule("hf_", r"\bhf_[A-Za-z0-9]{30,}", "<huggingface-token>"),
    Rule("gsk_", r"\bgsk_[A-Za-z0-9]{40,}", "<groq-key>"),
    Rule("xai-", r"\bxai-[A-Za-z0-9]{60,}", "<xai-key>"),
    Rule("pplx-", r"\bpplx-[A-Za-z0-9]{40,}", "<perplexity-key>"),
    *(Rule(f"gh{kind}_", rf"\bgh{kind}_[A-Za-z0-9]{{36,}}", "<github-token>") for kind in "pousr"),
    Rule("github_pat_", r"\bgithub_pat_\w{40,}", "<github-token>"),
    Rule("xox", r"\bxox[abeoprs]-[\w-]{10,}", "<slack-token>"),
    Rule("eyJ", r"\beyJ[\w-]{10,}\.eyJ[\w-]{10,}\.[\w-]{10,}", "<jwt>"),
    Rule(
        "://",
        r"(?<=[?&])((?:X-Amz|x-amz)-(?:Signature|Credential|Security-Token)|(?:X-Goog-)?[sS]ig(?:nature)?)"
        r"=[^&\s\"'<>]{8,}",
        r"\1=<signature>",
    ),
    Rule("://", r"(?<=://)[^\s/:@\"'<>]+:[^\s/@\"'<>]{3,}(?=@)", "<credentials>"),
    Rule("earer ", r"\b([Bb]earer) [A-Za-z0-9._~+/-]{20,}=*", r"\1 <token>"),
)

# In a prompt paths stand inside JSON as a rule, where a backslash is doubled.
_SLASH = r"(?:/|\\\\?)"
_NAME = r"[^/\\\s\"'<>|:*?]+"
# A user's name; the punctuation of the sentence around the path is no part of it.
_USER = r"[^/\\\s\"'<>|:*?,;&=!()\[\]{}]*[\w-]"
_WINDOWS = rf"\b[A-Za-z]:{_SLASH}Users{_SLASH}{_USER}"
PATHS: tuple[Rule, ...] = (
    Rule("pytest-of-", rf"{_SLASH}pytest-of-{_NAME}{_SLASH}pytest-(?:\d+|current)(?:{_SLASH}popen-\w+)?", "/pytest"),
    Rule("/var/folders/", rf"(?:/private)?/var/folders/{_NAME}/{_NAME}/T(?![\w-])", "<tmp>"),
    Rule("AppData", rf"{_WINDOWS}{_SLASH}AppData{_SLASH}Local{_SLASH}Temp", "<tmp>"),
    Rule("/tmp", r"(?<![\w./-])(?:/var)?/tmp(?![\w-])", "<tmp>"),
    # What `tempfile` makes: "tmp" and eight characters at random.
    Rule("<tmp>", r"(?<=<tmp>[/\\])tmp[a-z0-9_]{8}(?![\w-])", "<random>"),
    # The folder of a test: pytest counts those of one name, in the order in which they run.
    Rule("<tmp>/pytest", rf"(?<=<tmp>/pytest)({_SLASH}{_NAME}?)\d+(?![\w.-])", r"\1"),
    Rule("/home/", rf"(?<![\w.-])/home/{_USER}", "<home>"),
    Rule("Users", rf"(?<![\w.-])/Users/{_USER}|{_WINDOWS}", "<home>"),
    Rule("/root", r"(?<![\w./-])/root(?![\w-])", "<home>"),
)


def _rules(home: str, temporary: str) -> tuple[Rule, ...]:
    """All rules, this machine's own folders included: they may lie at unusual places."""
    folders = [(temporary, "<tmp>"), (home, "<home>")]
    own = tuple(
        Rule(path, rf"(?<![\w./-]){re.escape(path)}(?![\w-])", name)
        # One may lie in the other.
        for path, name in sorted(folders, key=lambda folder: -len(folder[0]))
        # At usual places they are found as on other machines.
        if len(path) > 3 and os.path.isabs(path) and _apply(PATHS, path) != name
    )
    return (_PRIVATE_KEY, *SECRETS, *own, *PATHS)


def _apply(rules: tuple[Rule, ...], text: str) -> str:
    for rule in rules:
        if rule.anchor in text:
            text = re.sub(rule.pattern, rule.replacement, text)
    return text


@lru_cache(maxsize=8)
def _replacing(home: str, temporary: str) -> Callable[[str], str]:
    rules = _rules(home, temporary)
    return lambda text: _apply(rules, text)


def paragraphs(text: str) -> list[str]:
    """The pieces of a text, to be joined by blank lines, in which placeholders can be put one by one."""
    # No rule reaches over a blank line but the one for private keys.
    return [text] if _PRIVATE_KEY.anchor in text else text.split("\n\n")


def replacing() -> Callable[[str], str]:
    """The function `placeholders`, for many texts: this machine's folders are looked up once."""
    return _replacing(os.path.expanduser("~"), tempfile.gettempdir())


def placeholders(text: str) -> str:
    """The text with secrets of a known shape and home and temporary folders as fixed placeholders."""
    return replacing()(text)


_CREDENTIAL = re.compile(r"KEY|TOKEN|SECRET|PASSW(?:OR)?D|CREDENTIAL|PRIVATE|AUTH(?!ORS?(?:_|$))", re.IGNORECASE)
_SHORTEST = 12
"""Shorter values of credential-named variables ("true", "1") stand in ordinary text as well."""


@lru_cache(maxsize=1024)
def _is_credential(name: str) -> bool:
    return _CREDENTIAL.search(name) is not None


def known_secrets() -> Iterator[tuple[str, str]]:
    """Name and value of every credential in the environment, in each form in which it could be written."""
    for name in filter(_is_credential, os.environ):
        value = os.environ.get(name, "")
        if len(value) >= _SHORTEST and not os.path.exists(value):
            encoded = base64.b64encode(value.encode("utf-8", "surrogateescape")).decode("ascii")
            # As in JSON, where a prompt and a cassette hold it.
            quoted = json.dumps(value)[1:-1], json.dumps(value, ensure_ascii=False)[1:-1]
            forms = dict.fromkeys((value, *quoted, quote(value, safe=""), encoded, encoded.rstrip("=")))
            yield from ((name, form) for form in forms)


def find_known(text: str) -> str | None:
    """The name of the environment variable whose value stands in the text, if one does."""
    return next((name for name, value in known_secrets() if value in text), None)


def scrub(text: str) -> str:
    """The text fit to be written, reported or raised."""
    for name, value in known_secrets():
        text = text.replace(value, f"<{name}>")
    return placeholders(text)


# What tells who somebody is; "/tmp" and "/root" are the same everywhere, and may be part of an answer.
_NAMING = tuple(rule for rule in PATHS if rule.replacement == "<home>" and rule.anchor != "/root")


def scrub_reply(text: str) -> str:
    """A reply fit to be written: as `scrub`, but with only those folders replaced that name a user."""
    for name, value in known_secrets():
        text = text.replace(value, f"<{name}>")
    return _apply((_PRIVATE_KEY, *SECRETS, *_NAMING), text)


class Opaque(str):
    """Binary content as text: no rule looks at it, for what looks like a credential stands in it by chance."""

    __slots__ = ()


def each_text(value: Any, change: Callable[[str], str]) -> Any:
    """A JSON value with `change` applied to every string in it, keys and what is opaque apart."""
    if isinstance(value, str):
        return value if type(value) is Opaque else change(value)
    if isinstance(value, dict):
        return {key: each_text(item, change) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [each_text(item, change) for item in value]
    return value
