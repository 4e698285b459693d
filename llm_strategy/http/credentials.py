"""The credentials that HTTP calls are sent with: nothing that is written, reported or raised may hold them."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from urllib.parse import parse_qsl, unquote_plus

from llm_strategy import known_secrets

_HEADERS = (
    "authorization",
    "proxy-authorization",
    "api-key",
    "x-api-key",
    "x-goog-api-key",
    "x-amz-security-token",
    "ocp-apim-subscription-key",
)
_SIGNED = "aws4-hmac-sha"
"""Begins an authorization that signs this one request, and is of use to nobody for another."""
_PARAMETERS = frozenset(
    "access_token api-key api_key apikey awsaccesskeyid code key sig signature token x-amz-credential "
    "x-amz-security-token x-amz-signature x-goog-credential x-goog-signature".split()
)


def is_secret_parameter(name: str) -> bool:
    """Whether a parameter of a query holds a credential or a signature."""
    return name.lower() in _PARAMETERS


def without_secret_parameters(address: str) -> str:
    """An address without the parameters that hold credentials or signatures."""
    place, mark, rest = address.partition("?")
    query, hash_sign, fragment = rest.partition("#")
    given = query.split("&")
    kept = [pair for pair in given if not is_secret_parameter(unquote_plus(pair.partition("=")[0]))]
    if len(kept) == len(given):
        return address
    return place + mark * bool(kept) + "&".join(kept) + hash_sign + fragment


def remember(headers: Mapping[str, str], query: str) -> None:
    """Know the credentials of a call from now on. `headers` have names in lower case."""
    for secret in sent(headers, query):
        known_secrets.remember(secret)


def sent(headers: Mapping[str, str], query: str) -> Iterator[str]:
    """The credentials of a call. `headers` have names in lower case."""
    for name in _HEADERS:
        value = headers.get(name, "").strip()
        if value and not value.lower().startswith(_SIGNED):
            scheme, _, credential = value.rpartition(" ")
            yield credential
            if scheme.lower() == "basic":
                yield _password(credential)
    if query:
        yield from (value for name, value in parse_qsl(query) if is_secret_parameter(name))


def _password(credential: str) -> str:
    """What a user has typed, of what stands for it in a header."""
    try:
        return base64.b64decode(credential).decode("utf-8").partition(":")[2]
    except ValueError:
        return ""
