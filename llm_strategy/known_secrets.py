"""The credentials of this machine, in every form in which they could be written: values of environment variables, and
what HTTP calls were sent with.

They act on what is written, reported or raised, never on a key: another machine has other values.
"""

from __future__ import annotations

import base64
import json
import os
import re
from collections.abc import Iterator
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote, quote_plus

_CREDENTIAL = re.compile(
    r"KEY|TOKEN|SECRET|PASSW(?:OR)?D|PASSPHRASE|(?:^|_)(?:PASS|SAS|PWD)(?:_|$)(?<!^PWD)(?<!^OLD_PWD)|CREDENTIAL|PRIVATE"
    r"|AUTH(?!ORS?(?:_|$))|COOKIE|BEARER|CONNECTION_?STRING|WEBHOOK",
    re.IGNORECASE,
)
_SHORTEST = 12
"""Shorter values of credential-named variables ("true", "1") stand in ordinary text as well."""
_DEEPEST = 3
"""Texts within texts: an error shows, as Python writes it, a JSON body that holds a reply, which is JSON."""
_SEAM = re.compile(r"""(['"])\n[ \t]*b?\1""")
"""Between the lines of a long literal."""
_LEAST_CUT, _LONGEST_CUT = 6, 300
"""Characters of a shortened value that are taken for it; pytest leaves no more than 240."""

SENT = "credential"
"""Stands for the name of a variable where a credential was seen in an HTTP call, in no variable."""
_MOST_SENT = 64
_sent: dict[str, None] = {}
"""Credentials that were sent, the last ones; some services are sent a new one every hour."""


@lru_cache(maxsize=1024)
def _is_credential(name: str) -> bool:
    return _CREDENTIAL.search(name) is not None


class Known(NamedTuple):
    """The credentials that are known at one moment: `forms` pairs each text with the name of its variable, or SENT."""

    forms: tuple[tuple[str, str], ...]

    def __repr__(self) -> str:
        # pytest shows locals.
        return f"<{len(self.forms)} forms of credentials>"

    def find(self, text: str) -> str | None:
        """The name of the environment variable whose value stands in the text, if one does."""
        return next((name for form, name in self.forms if form in text), None)

    def find_in(self, data: bytes) -> str | None:
        """The same for what may be no text: it is looked at as it is, since decoding large content takes long."""
        return next((name for form, name in self.forms if _encoded(form) in data), None)

    def scrub(self, text: str) -> str:
        """The text with the variable's name in place of each value."""
        for form, name in self.forms:
            if form in text:
                text = text.replace(form, f"<{name}>")
        return text

    def scrub_report(self, text: str) -> str:
        """As `scrub`; values that pytest has put on two lines are found too, and by what is left those it has cut."""
        joined = _SEAM.sub("", text)
        text = self.scrub(joined if self.find(joined) else text)
        if self.forms and "..." in text:
            for form, name in self.forms:
                text = _without_cut(text, form, f"<{name}>")
        return text


def _encoded(form: str) -> bytes:
    try:
        # As the environment has what is not UTF-8.
        return form.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return form.encode("utf-8", "surrogatepass")


def _without_cut(text: str, form: str, placeholder: str) -> str:
    pieces = text.split("...")
    lengths = range(_LEAST_CUT, min(len(form), _LONGEST_CUT))
    for at in range(len(pieces) - 1):
        head, tail = pieces[at], pieces[at + 1]
        left = max((n for n in lengths if head.endswith(form[:n])), default=0)
        right = max((n for n in lengths if tail.startswith(form[-n:])), default=0)
        pieces[at] = head[:-left] + placeholder if left else head
        pieces[at + 1] = placeholder + tail[right:] if right else tail
    return "...".join(pieces)


def known() -> Known:
    """What is in the environment now, and what was sent. To be asked once for all texts that are written together."""
    values = ((name, os.environ.get(name, "")) for name in filter(_is_credential, os.environ))
    sent = ((SENT, value) for value in tuple(_sent))
    return _known((*((name, value) for name, value in values if _is_secret(value)), *sent))


def remember(value: str) -> None:
    """Know a credential that a call is sent with, for as long as this process runs."""
    if value not in _sent and _is_secret(value):
        if len(_sent) >= _MOST_SENT:
            _sent.pop(next(iter(_sent)), None)
        _sent[value] = None


def described(name: str) -> str:
    """What `Known.find` has found, in words."""
    if name == SENT:
        return "a credential that an HTTP call was sent with"
    return f"the value of the environment variable {name}"


def _is_secret(value: str) -> bool:
    if len(value) < _SHORTEST or value in os.environ or (value.startswith("<") and value.endswith(">")):
        return False
    return not os.path.exists(value)


@lru_cache(maxsize=16)
def _known(variables: tuple[tuple[str, str], ...]) -> Known:
    found: dict[str, str] = {}
    for name, value in variables:
        for form in _forms(value):
            found.setdefault(form, name)
    # One may be part of another.
    return Known(tuple(sorted(found.items(), key=lambda item: -len(item[0]))))


def _forms(value: str) -> Iterator[str]:
    yield value
    for text in (value, value.strip()):
        yield from _escaped(text)
        data = text.encode("utf-8", "surrogatepass")
        yield from (data.hex(), data.hex().upper())
        yield from _in_base64(data)


def _escaped(value: str) -> Iterator[str]:
    """As in JSON and Python, each within the other, as in XML and in addresses."""
    import html

    yield value
    texts = {value}
    for _ in range(_DEEPEST):
        texts = {form for text in texts for form in _quoted(text)}
        yield from texts
    yield from (html.escape(value), html.escape(value, quote=False))
    for encoded in (
        quote(value, safe="", errors="replace"),
        quote(value, errors="replace"),
        quote_plus(value, errors="replace"),
        # What stands in an address already, and is made fit for it: delimiters stay.
        quote(value, safe="!$%&'*+,/:;=?@()[]", errors="replace"),
    ):
        yield encoded
        yield re.sub("%[0-9A-F]{2}", lambda found: found[0].lower(), encoded)


_OF_GO, _OF_NET = re.compile("[&<>]"), re.compile(r"""[&<>'+`]|\\"|\\u[0-9a-f]{4}""")
"""What JSON of servers written in Go or for .NET escapes without need."""


def _escape_of_go(found: re.Match[str]) -> str:
    return f"\\u{ord(found[0]):04x}"


def _escape_of_net(found: re.Match[str]) -> str:
    code = found[0][2:].upper() if found[0].startswith("\\u") else f"{ord(found[0][-1]):04X}"
    return f"\\u{code}"


def _quoted(text: str) -> Iterator[str]:
    for ascii_only in (True, False):
        inside = json.dumps(text, ensure_ascii=ascii_only)[1:-1]
        yield from (inside, inside.replace("/", "\\/"))
        yield _OF_NET.sub(_escape_of_net, inside) if ascii_only else _OF_GO.sub(_escape_of_go, inside)
    # Python leaves the other kind of quote alone.
    yield from (repr(text)[1:-1], ascii(text)[1:-1], text.replace("\\", "\\\\"))
    yield repr(text.encode("utf-8", "surrogatepass"))[2:-1]


def _in_base64(data: bytes) -> Iterator[str]:
    """Encoded alone, or within longer text such as `user:password`: each byte may come first of three."""
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        whole = encode(data).decode("ascii")
        yield from (whole, whole.rstrip("="))
        for before in range(3):
            text = encode(b"\0" * before + data).decode("ascii")
            # The first characters depend on what stands before, the last one on what comes behind.
            yield text[(before * 8 + 5) // 6 : (before + len(data)) * 8 // 6]
