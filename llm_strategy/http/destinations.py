"""Where connections lead to: to a provider, to another public host, or to what is near.

A name is resolved by one call, and connected to by another that knows the address only. So what the names of
providers and of allowed hosts stand for is looked up here as well, when the program looks it up.
"""

from __future__ import annotations

import ipaddress
import socket
from contextlib import suppress
from functools import lru_cache
from typing import Literal

from llm_strategy.http import settings
from llm_strategy.http.hosts import is_below, is_provider

Kind = Literal["provider", "public"]
_Address = ipaddress.IPv4Address | ipaddress.IPv6Address
_Network = ipaddress.IPv4Network | ipaddress.IPv6Network

_LOCAL = frozenset(("localhost", "", "<broadcast>"))
_names: dict[_Address, set[str]] = {}
"""The names that addresses have been resolved from, as far as they are of interest."""
_learnt: set[str] = set()
"""The names that are known for the sake of errors: what they stand for may have changed since."""


def of_name(name: str) -> Kind | None:
    """Where a name leads to that is about to be resolved; None where only its address will tell."""
    if _address(name) is not None or _is_among(name, _LOCAL) or _is_allowed(name):
        return None
    return "provider" if is_provider(name) or _is_among(name, settings.hosts()) else None


def of_address(text: str) -> Kind | None:
    """Where an address leads to; None for what is near or allowed.

    What is near passes whatever its name was: a database may be on the machine of a model.
    """
    address = _address(text)
    if address is None:
        # A name: what connects resolves it.
        return of_name(text) or _of_unresolved(text)
    if not address.is_global or address.is_multicast:
        return None
    if any(of_name(name) for name in _names.get(address, ())):
        return "provider"
    return None if _is_allowed_address(address) else "public"


def _of_unresolved(name: str) -> Kind | None:
    if _is_among(name, _LOCAL) or _is_allowed(name):
        return None
    return "public" if "public" in map(of_address, resolve(name)) else None


def resolve(name: str) -> list[str]:
    """Look up what a name stands for, and remember it."""
    found: list[str] = []
    with suppress(OSError, UnicodeError):
        found = [str(place[0]) for *_, place in socket.getaddrinfo(name, None)]
    for text in found:
        address = _address(text)
        if address is not None:
            _names.setdefault(address, set()).add(name)
    return found


def learn(name: str, *, for_errors: bool) -> None:
    """Look up a name that is being resolved, if its address will not be enough to judge it, or to speak of it."""
    if _address(name) is not None or _is_among(name, _LOCAL):
        return
    if _is_allowed(name) or of_name(name) is not None:
        resolve(name)
    elif for_errors and name not in _learnt:
        _learnt.add(name)
        resolve(name)


def shown(text: str) -> str:
    """An address by the name that it was resolved from, if that is known."""
    address = _address(text)
    names = _names.get(address) if address is not None else None
    return min(names) if names else text


# What the user allows


def _is_allowed(name: str) -> bool:
    return _is_among(name, _allowed(settings.allowed_hosts())[0])


def _is_allowed_address(address: _Address) -> bool:
    names, networks = _allowed(settings.allowed_hosts())
    if any(address in network for network in networks):
        return True
    if not any(map(_is_allowed, _names.get(address, ()))):
        # A name may stand for other addresses by now.
        for name in names:
            resolve(name)
    return any(map(_is_allowed, _names.get(address, ())))


@lru_cache(maxsize=8)
def _allowed(hosts: frozenset[str]) -> tuple[frozenset[str], tuple[_Network, ...]]:
    """The names, and the addresses and networks, among what the user has written."""
    networks = {host: network for host in hosts if (network := _network(host)) is not None}
    return hosts - networks.keys(), tuple(networks.values())


def _is_among(name: str, hosts: frozenset[str]) -> bool:
    return is_below(name.lower().rstrip("."), hosts)


def _network(text: str) -> _Network | None:
    try:
        return ipaddress.ip_network(text.strip("[]"), strict=False)
    except ValueError:
        return None


@lru_cache(maxsize=1024)
def _address(text: str) -> _Address | None:
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return (isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped) or address
