"""Which recording is most like a request that none answers: the one that shares its rare lines.

Documents are compared as bytes, line by line, and never parsed: a cassette may hold ten thousand.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice, pairwise
from math import log
from typing import Any, NamedTuple

from llm_strategy.values import Request


class Candidate(NamedTuple):
    """A recording: the function that made it, the bytes of its document, whether this scope has replayed it.

    `within` are the bytes that the document is a piece of, and where it begins in them, for who reads many documents.
    """

    function: str | None
    raw: bytes | memoryview
    used: bool
    within: tuple[bytes, int] | None = None


_SAMPLE = 128
"""So many documents tell which lines are rare."""
_FEW = 1000
"""So many documents are looked through whole without asking where the rarest lines stand."""
_PROBES = 3
"""So many lines are looked up in all documents, and so many words to decide between equals."""
_READ = 500
"""So many equals are told apart by all their words."""
_ANY_WORD = re.compile(rb"[\w\x80-\xff]+")
_RARE = log(50)
"""The weight of a line that at most one document in fifty has."""
_ALIKE = 0.5
"""The share of a request's lines that the recording of another function must have to be called its origin."""
_USED = 0.3
"""What it counts against a recording that it has answered another call already."""


def find_nearest(request: Request, function: str | None, candidates: Sequence[Candidate]) -> int | None:
    """The index of the recording that is most like a request, or None where none is like it.

    Recordings of the same function come first. Where there is none, the function may have been
    renamed: then the recordings that are still unused and have most lines in common count.
    """
    texts = list(dict.fromkeys(_texts(request)))
    same = [at for at, candidate in enumerate(candidates) if candidate.function == function]
    if same:
        return _Search(request, texts, candidates, same).nearest()
    unused = [at for at, candidate in enumerate(candidates) if not candidate.used]
    if not unused:
        return None
    search = _Search(request, texts, candidates, unused)
    at = search.nearest()
    return at if search.share(at) >= _ALIKE else None


def _texts(request: Request) -> Iterator[bytes]:
    """The lines of a request's messages, in order."""
    for message in request.stored["messages"]:
        for text in _strings([{**part, "type": None} for part in message["parts"]]):
            for line in text.split("\n"):
                if line.strip():
                    yield line.encode("utf-8", "replace")


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping | list | tuple):
        for item in value.values() if isinstance(value, Mapping) else value:
            yield from _strings(item)


class _Search:
    """One search in the documents at the indices `pool`."""

    def __init__(
        self, request: Request, texts: Sequence[bytes], candidates: Sequence[Candidate], pool: Sequence[int]
    ) -> None:
        self._request = request
        self._candidates = candidates
        self._pool = pool
        self._sample = pool[:: -(-len(pool) // _SAMPLE)]
        sample = [set(self._lines(at)) for at in self._sample]
        # A line that only one document has is found in none of a few.
        lead, tail = _margins(texts, sample[::8]) or _margins(texts, sample) or (b"", b"")
        self._texts = {lead + text + tail: text for text in texts}
        self._absent = log(2 * len(sample))
        self._weights = {line: self._weight(line, sample) for line in self._texts}

    def _weight(self, line: bytes, sample: Sequence[set[bytes]]) -> float:
        """How much a line tells: nothing where all documents have it, most where none of the sample has."""
        count = sum(line in document for document in sample)
        return log(len(sample) / count) if count else self._absent

    def _raw(self, at: int) -> bytes:
        return bytes(self._candidates[at].raw)

    def _lines(self, at: int) -> list[bytes]:
        return self._raw(at).split(b"\n")

    def share(self, at: int) -> float:
        """The share of the request's lines that a document has."""
        return len(self._texts.keys() & self._lines(at)) / max(len(self._texts), 1)

    def nearest(self) -> int:
        """The best of the pool; among equals the one that stands first."""
        telling = {line for line, weight in self._weights.items() if weight}
        pool = self._pool
        if len(pool) > _FEW:
            # Arguments come last in a prompt and differ most.
            latest_first = list(self._texts)[::-1]
            rarest = sorted(latest_first, key=lambda line: -self._weights[line])
            probes = [line for line in rarest[:_PROBES] if self._weights[line] >= _RARE]
            found = self._with_any([b"\n" + line + b"\n" for line in probes])
            pool = found or pool
            telling.difference_update(() if found else probes)
        return self._decide(self._best(pool, telling))

    def _with_any(self, lines: Sequence[bytes]) -> list[int]:
        return sorted({at for line in lines for at in self._holders(line, self._pool)})

    def _holders(self, text: bytes, pool: Sequence[int]) -> Iterator[int]:
        """Those of the documents that hold a text.

        What they are pieces of is looked through once: to copy them, or to look into each, takes longer.
        """
        source, found = b"", -1
        for at in pool:
            raw, within = self._candidates[at].raw, self._candidates[at].within
            whole, start = within or (bytes(raw), 0)
            if whole is not source or -1 < found < start:
                source, found = whole, whole.find(text, start)
            if found >= 0 and found + len(text) <= start + len(raw):
                yield at

    def _best(self, pool: Sequence[int], telling: set[bytes]) -> list[int]:
        """The documents that share most, weighed by rarity."""
        if not telling:
            scores = dict.fromkeys(pool, 0.0)
        else:
            weight = self._weights.__getitem__
            scores = {at: sum(map(weight, telling.intersection(self._lines(at)))) for at in pool}
        most = max(scores.values()) or 1.0
        ranks = {at: round(score / most - _USED * self._candidates[at].used, 6) for at, score in scores.items()}
        best = max(ranks.values())
        return [at for at, rank in ranks.items() if rank == best]

    def _decide(self, equals: Sequence[int]) -> int:
        """Among documents with the same lines, the one with most words of the lines that it lacks."""
        if len(equals) == 1:
            return equals[0]
        present = self._texts.keys() & self._lines(equals[0])
        missing = [text for line, text in self._texts.items() if line not in present]
        common = {word for line in present for word in _words(line)}
        words = dict.fromkeys(word for text in reversed(missing) for word in _words(text) if word not in common)
        sample = [self._raw(at) for at in self._sample]
        # A word that all documents have, in a digest or a field's name, tells nothing.
        telling = (word for word in sorted(words, key=len, reverse=True) if not all(word in raw for raw in sample))
        wanted = [*islice(telling, _PROBES), *self._telling_fields(sample)]

        hits = Counter(at for word in wanted for at in self._holders(word, equals))
        most = max(map(hits.__getitem__, equals))
        return self._read([at for at in equals if hits[at] == most], missing)

    def _read(self, equals: Sequence[int], missing: Iterable[bytes]) -> int:
        """Among these the one whose own lines share most, word by word, with those that it lacks."""
        if not 1 < len(equals) <= _READ:
            return equals[0]
        lines = {at: set(self._lines(at)) for at in equals}
        common = set.intersection(*lines.values())
        wanted = set(_in_pairs(missing))
        shared = {at: len(wanted.intersection(_in_pairs(own - common))) for at, own in lines.items()}
        # The first of the best: recordings stand in the order of the calls.
        return max(equals, key=shared.__getitem__)

    def _telling_fields(self, sample: Sequence[bytes]) -> list[bytes]:
        """Model and settings as a document shows them, where some documents have them and some have not."""
        fields = {"model": self._request.model, **self._request.settings}
        simple = {name: value for name, value in fields.items() if isinstance(value, str | int | float)}
        lines = [f"{name}: {json.dumps(value)}\n".encode() for name, value in simple.items()]
        return [line for line in lines if 0 < sum(line in raw for raw in sample) < len(sample)]


def _margins(texts: Iterable[bytes], sample: Iterable[set[bytes]]) -> tuple[bytes, bytes] | None:
    """What stands before and after a text's line in the documents: indentation, and a carriage return.

    None where no document has any of the lines.
    """
    known = {text.strip(): text for text in texts}
    margins: Counter[tuple[bytes, bytes]] = Counter()
    for lines in sample:
        for line in lines:
            text = known.get(line.strip())
            if text is not None and not line.partition(text)[0].strip():
                before, _, after = line.partition(text)
                margins[before, after] += 1
    return max(margins, key=lambda margin: margins[margin], default=None)


def _in_pairs(texts: Iterable[bytes]) -> Iterator[bytes | tuple[bytes, bytes]]:
    """All words, and each with the one that follows it."""
    for text in texts:
        words = _ANY_WORD.findall(text)
        yield from words
        yield from pairwise(words)


def _words(text: bytes) -> Iterator[bytes]:
    """Words of three bytes or more; shorter ones stand in the digests of any document."""
    return (word for word in re.findall(rb"[\w\x80-\xff]{3,}", text))
