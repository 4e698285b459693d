"""The bodies of requests as values, such that the same request has the same value whenever it is made."""

from __future__ import annotations

import base64
import gzip
import re
import zlib
from collections.abc import Iterator
from email import message_from_string
from email.message import Message
from email.utils import collapse_rfc2231_value
from urllib.parse import parse_qsl

from llm_strategy.redaction import Opaque
from llm_strategy.values import JSON
from llm_strategy.wire.bodies import parse_body

_BOUNDARY = re.compile(r";\s*boundary=(\"[^\"]*\"|[^;]*)", re.IGNORECASE)
_FORM = "application/x-www-form-urlencoded"


def parse_sent(body: bytes, content_type: str = "", encoding: str = "") -> JSON:
    """A request's body as an envelope holds it; the arguments are the headers content-type and content-encoding.

    A form is `{"form": {name: value}}`, what is sent in parts `{"multipart": [part]}`; what cannot be read as what its
    headers say is taken as it is.
    """
    body = decompressed(body, encoding)
    kind = content_type.partition(";")[0].strip().lower()
    if kind == _FORM:
        return _form(body)
    boundary = _header(content_type).get_boundary() if kind == "multipart/form-data" else None
    if boundary:
        try:
            return {"multipart": list(_parts(body, boundary.encode()))}
        except ValueError:
            pass
    return parse_body(body)


def without_boundary(content_type: str) -> str:
    """A content type without what clients choose at random to put between parts."""
    return _BOUNDARY.sub("", content_type)


def decompressed(body: bytes, encoding: str) -> bytes:
    """A request's body without the compression that its header names; as it is, where it has none."""
    encoding = encoding.strip().lower()
    try:
        if encoding in ("gzip", "x-gzip"):
            return gzip.decompress(body)
        return zlib.decompress(body) if encoding == "deflate" else body
    except (OSError, EOFError, zlib.error):
        return body


def _form(body: bytes) -> JSON:
    """The fields of a form, each with its value, or with a list of several."""
    try:
        pairs = parse_qsl(body.decode("utf-8"), keep_blank_values=True, strict_parsing=True, errors="strict")
    except ValueError:
        return parse_body(body)
    fields: dict[str, JSON] = {}
    for name, value in pairs:
        earlier = fields.get(name)
        fields[name] = value if earlier is None else [*(earlier if isinstance(earlier, list) else [earlier]), value]
    return {"form": fields}


def _header(content_type: str) -> Message:
    header = Message()
    header["content-type"] = content_type
    return header


def _parts(body: bytes, boundary: bytes) -> Iterator[dict[str, JSON]]:
    """The parts between boundaries, in their order. Raises ValueError where there are none."""
    before, *pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if before or not pieces or not pieces[-1].startswith(b"--"):
        raise ValueError("the body does not consist of parts")
    for piece in pieces[:-1]:
        head, _, content = piece.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        yield _part(message_from_string(head.decode("utf-8")), content)


def _part(head: Message, content: bytes) -> dict[str, JSON]:
    disposition = {"name": head.get_param("name", header="content-disposition"), "filename": head.get_filename()}
    part: dict[str, JSON] = {
        field: collapse_rfc2231_value(value) for field, value in disposition.items() if value is not None
    }
    if "content-type" in head:
        part["content_type"] = head["content-type"]
    try:
        return {**part, "content": content.decode("utf-8")}
    except UnicodeDecodeError:
        return {**part, "data": Opaque(base64.b64encode(content).decode("ascii"))}
