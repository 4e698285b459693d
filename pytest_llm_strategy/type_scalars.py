"""hypothesis strategies for types without parts, under the constraints that stand around them.

What is drawn is what pydantic would be given: a text for a URL, a number for a size in bytes. The value
is what pydantic makes of it.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import operator
import pathlib
import re
import uuid
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from functools import cache
from typing import Annotated, Any

import pydantic
from annotated_types import GroupedMetadata
from hypothesis import strategies as st
from hypothesis.strategies._internal import types as known_types
from pydantic import AnyUrl, MongoDsn, TypeAdapter, ValidationError
from pydantic.fields import FieldInfo


class Constraints:
    """What annotations around a type say of its values, as attributes of any of them."""

    def __init__(self, metadata: Iterable[Any]) -> None:
        self.items = list(_flattened(metadata))

    def __getattr__(self, name: str) -> Any:
        found = [value for item in self.items if (value := getattr(item, name, None)) is not None]
        return found[0] if found else None

    def sizes(self, widest: int | None = None) -> dict[str, int | None]:
        """`min_size` and `max_size`, of a text or a collection."""
        smallest = self.min_length or 0
        largest = self.max_length if self.max_length is not None else widest
        return {"min_size": smallest, "max_size": None if largest is None else max(largest, smallest)}


def _flattened(metadata: Iterable[Any]) -> Iterator[Any]:
    for item in metadata:
        if isinstance(item, FieldInfo):
            yield from _flattened(item.metadata)
        elif isinstance(item, GroupedMetadata):
            yield item
            yield from _flattened(item)
        else:
            yield item


Maker = Callable[[Constraints], st.SearchStrategy[Any]]


def scalar(kind: Any, constraints: Constraints) -> st.SearchStrategy[Any] | None:
    """Values of a type that is built here; None for another, and for one that a user has registered a strategy for."""
    if kind is uuid.UUID and constraints.uuid_version is not None:
        return _uuids(constraints.uuid_version)
    if _is_registered(kind):
        return None
    if isinstance(kind, type) and issubclass(kind, _URLS):
        return _urls(kind)
    make = _MAKERS.get(kind)
    return None if make is None else make(constraints)


def _is_registered(kind: Any) -> bool:
    """There is no public way to ask hypothesis: its own strategies are told by what they are called."""
    own = _OWN.get(kind)
    if own is not None:
        return repr(st.from_type(kind)) != repr(own)
    return kind in known_types._global_type_lookup and kind not in _MAKERS


_OWN: Mapping[Any, st.SearchStrategy[Any]] = {
    int: st.integers(),
    float: st.floats(),
    str: st.text(),
    bytes: st.binary(),
    Decimal: st.decimals(),
    dt.datetime: st.datetimes(),
}


# Numbers


def _integers(constraints: Constraints) -> st.SearchStrategy[int]:
    step = constraints.multiple_of or 1
    lowest = [_up(constraints.ge, step), None if constraints.gt is None else _down(constraints.gt, step) + 1]
    highest = [_down(constraints.le, step), None if constraints.lt is None else _up(constraints.lt, step) - 1]
    drawn = st.integers(_largest(lowest), _smallest(highest))
    return drawn if step == 1 else drawn.map(lambda number: number * step)


def _up(bound: Any, step: Any) -> Any:
    return None if bound is None else math.ceil(Fraction(bound) / Fraction(step))


def _down(bound: Any, step: Any) -> Any:
    return None if bound is None else math.floor(Fraction(bound) / Fraction(step))


def _largest(bounds: Iterable[Any]) -> Any:
    return max((bound for bound in bounds if bound is not None), default=None)


def _smallest(bounds: Iterable[Any]) -> Any:
    return min((bound for bound in bounds if bound is not None), default=None)


def _floats(constraints: Constraints) -> st.SearchStrategy[float]:
    if constraints.multiple_of:
        step = constraints.multiple_of
        return _integers(constraints).map(lambda number: round(number / step) * step).map(float)
    lowest, highest = _largest([constraints.ge, constraints.gt]), _smallest([constraints.le, constraints.lt])
    bounded = lowest is not None or highest is not None
    finite = constraints.allow_inf_nan is False
    return st.floats(
        None if lowest is None else float(lowest),
        None if highest is None else float(highest),
        exclude_min=lowest is not None and lowest == constraints.gt,
        exclude_max=highest is not None and highest == constraints.lt,
        allow_nan=not (bounded or finite),
        allow_infinity=False if finite else None,
    )


def _decimals(constraints: Constraints) -> st.SearchStrategy[Decimal]:
    """Decimals within bounds and digits. What is nearest to a bound that is itself excluded is left out."""
    if constraints.multiple_of:
        step = Decimal(str(constraints.multiple_of))
        return _integers(Constraints(item for item in constraints.items if hasattr(item, "multiple_of"))).flatmap(
            lambda _: _multiples(constraints, step)
        )
    places, digits = constraints.decimal_places, constraints.max_digits
    if digits is not None:
        places = places or 0
    step = Decimal(10) ** -(6 if places is None else places)
    largest = None if digits is None else Decimal(10) ** (digits - places) - step
    above, below = constraints.gt, constraints.lt
    return st.decimals(
        _largest([constraints.ge, None if above is None else Decimal(above) + step, largest and -largest]),
        _smallest([constraints.le, None if below is None else Decimal(below) - step, largest]),
        allow_nan=False,
        allow_infinity=False,
        places=places,
    )


def _multiples(constraints: Constraints, step: Decimal) -> st.SearchStrategy[Decimal]:
    lowest = _largest([_up(constraints.ge, step), _up(constraints.gt, step), -1000])
    highest = _smallest([_down(constraints.le, step), _down(constraints.lt, step), max(lowest, 0) + 1000])
    return st.integers(lowest, highest).map(lambda number: number * step)


# Texts


def _texts(constraints: Constraints) -> st.SearchStrategy[str]:
    pattern = constraints.pattern
    if pattern is None:
        return st.text(**constraints.sizes())  # type: ignore[arg-type]  # sizes are what it takes
    shortest, longest = constraints.min_length or 0, constraints.max_length

    def fits(text: str) -> bool:
        return shortest <= len(text) and (longest is None or len(text) <= longest)

    return (st.from_regex(pattern) | st.from_regex(pattern, fullmatch=True)).filter(fits)


def _bytes(constraints: Constraints) -> st.SearchStrategy[bytes]:
    return st.binary(**constraints.sizes())  # type: ignore[arg-type]  # sizes are what it takes


_EMAIL = r"[a-z][a-z0-9.]{0,5}[a-z0-9]@[a-z]{2,8}\.(com|org|net)"


def _patterns(_: Constraints) -> st.SearchStrategy[re.Pattern[str]]:
    return st.one_of(st.sampled_from([r"^\d+$", r"(?i)a|b", "[^x-z]*", ""]), st.text(max_size=5).map(re.escape)).map(
        re.compile
    )


def _paths(_: Constraints) -> st.SearchStrategy[str]:
    part = st.text(st.characters(exclude_characters="/\\\0", exclude_categories=["Cs"]), max_size=4)
    return st.builds(operator.add, st.sampled_from(["", "/"]), st.lists(part, max_size=3).map("/".join))


# URLs

_SCHEMES = (
    "http https ftp file ws wss postgresql mysql mariadb mongodb redis amqp kafka nats clickhouse+native snowflake "
    "cockroachdb"
).split()


_URLS = (*AnyUrl.__bases__, *MongoDsn.__bases__)
"""The ancestors of those with one host, and of those that may have several."""


@cache
def _schemes(kind: type) -> tuple[str, ...]:
    """Those that the type takes; it does not say which in public."""
    adapter: TypeAdapter[Any] = TypeAdapter(kind)

    def takes(scheme: str) -> bool:
        try:
            adapter.validate_python(f"{scheme}://example.com/path")
        except ValidationError:
            return False
        return True

    return tuple(filter(takes, _SCHEMES))


def _urls(kind: type) -> st.SearchStrategy[str]:
    word = st.from_regex(r"[a-z0-9]{1,8}", fullmatch=True)
    host = st.builds("{}.{}".format, word, st.sampled_from(["com", "example", "xn--p1ai"]))
    port = st.just("") | st.integers(1, 65535).map(":{}".format)
    path = st.lists(word | st.text(max_size=3), max_size=3).map(lambda parts: "/" + "/".join(parts))
    query = st.just("") | st.builds("?{}={}".format, word, word)
    return st.builds("{}://{}{}{}{}".format, st.sampled_from(_schemes(kind)), host, port, path, query)


# Times

_FIXED_ZONES = st.integers(-1439, 1439).map(lambda minutes: dt.timezone(dt.timedelta(minutes=minutes)))
"""What ISO 8601 can say: other offsets have seconds."""
_PAST, _FUTURE = dt.datetime(2020, 1, 1), dt.datetime(2200, 1, 1)  # noqa: DTZ001  # bounds for naive values


def _datetimes(constraints: Constraints) -> st.SearchStrategy[dt.datetime]:
    bounds = [_largest([constraints.ge, constraints.gt]), _smallest([constraints.le, constraints.lt])]
    zones = {bound.tzinfo for bound in bounds if bound is not None}
    lowest, highest = (None if bound is None else bound.replace(tzinfo=None) for bound in bounds)
    limits = {name: bound for name, bound in (("min_value", lowest), ("max_value", highest)) if bound is not None}
    return st.datetimes(
        **limits,
        timezones=st.none() | _FIXED_ZONES if not zones else st.sampled_from(list(zones)),
    )


def _uuids(version: int) -> st.SearchStrategy[uuid.UUID]:
    mask = (0xF << 76) | (0x3 << 62)
    return st.integers(0, 2**128 - 1).map(lambda bits: uuid.UUID(int=bits & ~mask | version << 76 | 0x2 << 62))


_SCALARS = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
_ANYTHING: st.SearchStrategy[Any] = st.recursive(
    _SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)
"""What JSON holds."""


def _fixed(strategy: st.SearchStrategy[Any]) -> Maker:
    return lambda _: strategy


_ADDRESSES = st.ip_addresses()
_NETWORKS = st.from_type(ipaddress.IPv4Network) | st.from_type(ipaddress.IPv6Network)
_INTERFACES = st.from_type(ipaddress.IPv4Interface) | st.from_type(ipaddress.IPv6Interface)

_MAKERS: Mapping[Any, Maker] = {
    int: _integers,
    float: _floats,
    Decimal: _decimals,
    str: _texts,
    bytes: _bytes,
    re.Pattern: _patterns,
    dt.datetime: _datetimes,
    pathlib.Path: _paths,
    pathlib.PurePath: _paths,
    pathlib.PosixPath: _paths,
    pathlib.PurePosixPath: _paths,
    None: _fixed(st.none()),
    type(None): _fixed(st.none()),
    Any: _fixed(_ANYTHING),
    object: _fixed(_ANYTHING),
    Hashable: _fixed(_SCALARS),
    pydantic.AwareDatetime: _fixed(st.datetimes(timezones=_FIXED_ZONES)),
    pydantic.NaiveDatetime: _fixed(st.datetimes()),
    pydantic.PastDatetime: _fixed(st.datetimes(max_value=_PAST)),
    pydantic.FutureDatetime: _fixed(st.datetimes(min_value=_FUTURE)),
    pydantic.PastDate: _fixed(st.dates(max_value=_PAST.date())),
    pydantic.FutureDate: _fixed(st.dates(min_value=_FUTURE.date())),
    pydantic.ByteSize: _fixed(st.integers(0, 2**63 - 1)),
    pydantic.SecretStr: _fixed(st.text()),
    pydantic.SecretBytes: _fixed(st.binary()),
    pydantic.IPvAnyAddress: _fixed(_ADDRESSES),
    pydantic.IPvAnyNetwork: _fixed(_NETWORKS),
    pydantic.IPvAnyInterface: _fixed(_INTERFACES),
    pydantic.EmailStr: _fixed(st.from_regex(_EMAIL, fullmatch=True)),
    pydantic.NameEmail: _fixed(st.from_regex(rf"[A-Z][a-z]{{1,5}} <{_EMAIL}>", fullmatch=True)),
}


def understood(constraints: Constraints, kind: Any) -> Any:
    """The type with the constraints that hypothesis knows, for one that is not built here."""
    known = [item for item in constraints.items if isinstance(item, st.SearchStrategy) or _is_known(item)]
    return Annotated[kind, *known] if known else kind


def _is_known(item: Any) -> bool:
    return type(item).__module__.partition(".")[0] == "annotated_types" and not isinstance(item, GroupedMetadata)
