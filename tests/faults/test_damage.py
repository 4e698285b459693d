"""A file that is damaged anywhere gives the right answer or a clear error, never a wrong answer."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from llm_strategy import CassetteError, CassetteMiss
from llm_strategy.cassette.store import CassetteFile
from llm_strategy.cassette.verification import examine
from tests.faults import sample
from tests.faults.conftest import Faults


class Recorded:
    """The cassette of the sample program, and what its steps and its recordings gave."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "sample.yaml"
        self.answers = sample.record(self.path)
        self.whole = self.path.read_bytes()
        file = CassetteFile(self.path)
        file.refresh()
        self.calls = [(entry.key, entry.occurrence, entry.response) for entry in file.entries]
        self.parsed = [file.header, *(entry.parsed for entry in file.entries)]
        starts = [0, *(entry.start for entry in file.entries)]
        self.documents = [self.whole[a:b] for a, b in zip(starts, [*starts[1:], len(self.whole)], strict=True)]

    def find_all(self, data: bytes) -> Counter[str]:
        """How the recordings answer from these bytes; fails for a wrong answer and for an error without the file's name."""
        self.path.write_bytes(data)
        file = CassetteFile(self.path)
        outcomes: Counter[str] = Counter()
        try:
            file.refresh()
            for key, occurrence, response in self.calls:
                entry = file.find(key, occurrence)
                outcomes["missing" if entry is None else self._given(entry, response)] += 1
        except CassetteError as error:
            self._check_name(error)
            outcomes["file refused"] += 1
        return outcomes

    def _given(self, entry: Any, response: Any) -> str:
        try:
            given = entry.response
        except CassetteError as error:
            self._check_name(error)
            return "reply refused"
        assert given == response
        return "right"

    def run(self, data: bytes) -> bool:
        """Whether the whole program runs through; each of its answers is right until an error ends it."""
        self.path.write_bytes(data)
        try:
            with sample.replaying(self.path):
                for step, answer in zip(sample.STEPS, self.answers, strict=True):
                    assert step() == answer
        except (CassetteError, CassetteMiss) as error:
            self._check_name(error)
            return False
        return True

    def _check_name(self, error: BaseException) -> None:
        assert str(self.path) in str(error)

    def is_told(self, data: bytes) -> bool:
        """Whether `verify` finds something wrong, or remarks on it."""
        self.path.write_bytes(data)
        with suppress(CassetteError):
            return any(examine(self.path))
        return True


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    return Recorded(tmp_path_factory.mktemp("damage"))


def flipped(whole: bytes, faults: Faults, *, short: int, bits: int) -> Iterator[tuple[int, bytes]]:
    """The file with one bit changed: every `short`-th byte once, in a long run every byte in `bits` of its bits."""
    for at in range(0, len(whole), 1 if faults.long else short):
        for bit in random.Random(at).sample(range(8), bits if faults.long else 1):
            yield at, whole[:at] + bytes([whole[at] ^ (1 << bit)]) + whole[at + 1 :]


def test_a_changed_byte_never_gives_a_wrong_answer(recorded: Recorded, faults: Faults) -> None:
    """Whichever bit of the file flips: each recording answers right, or is refused, or is missing."""
    outcomes: Counter[str] = Counter()
    trials = 0
    for _, data in flipped(recorded.whole, faults, short=2, bits=8):
        trials += 1
        outcomes.update(recorded.find_all(data).keys())
    assert all(outcomes[outcome] for outcome in ("right", "reply refused", "file refused", "missing"))
    faults.figures("a changed byte is replayed as a wrong answer", trials=trials, wrong=0)


def test_a_program_that_replays_a_damaged_file_gets_right_answers_or_an_error(
    recorded: Recorded, faults: Faults
) -> None:
    """Through the engine and over HTTP; the error names the file."""
    outcomes = Counter(recorded.run(data) for _, data in flipped(recorded.whole, faults, short=149, bits=1))

    assert all(outcomes[went_well] for went_well in (True, False))


def test_verify_finds_every_changed_byte(recorded: Recorded, faults: Faults) -> None:
    """In requests too. What no digest covers is for people only: the header's words, and the names of functions."""
    trials = unnoticed = 0
    for at, data in flipped(recorded.whole, faults, short=7, bits=2):
        trials += 1
        if not recorded.is_told(data):
            line = recorded.whole[recorded.whole.rfind(b"\n", 0, at) + 1 :].splitlines()[0]
            assert line.startswith((b"function: ", b"answered_by:", b"written_by: ")) or at < len(recorded.documents[0])
            unnoticed += 1
    faults.figures("a changed byte is not found by verify", trials=trials, in_words_for_people=unnoticed, elsewhere=0)


def test_a_file_that_is_cut_off_anywhere_answers_what_is_left(recorded: Recorded, faults: Faults) -> None:
    """Every document that is still whole replays; none is lost but the one that is cut."""
    ends = [sum(map(len, recorded.documents[: n + 1])) - 1 for n in range(len(recorded.documents))]
    trials = 0
    for size in range(0, len(recorded.whole), 1 if faults.long else 3):
        trials += 1
        outcomes = recorded.find_all(recorded.whole[:size])
        assert outcomes["right"] == sum(end <= size for end in ends[1:])
        assert not outcomes["reply refused"]
    faults.figures("a file cut off at any byte loses what stands before the cut", trials=trials, lost=0)


def test_zeros_behind_the_last_document_lose_nothing(recorded: Recorded) -> None:
    """A file system may have reserved the place of a document that a power cut has kept from being written."""
    for garbage in (b"\0" * 500, b"-", b"--", b"---", b"---\n", b"---\nkey", b"\n"):
        assert recorded.find_all(recorded.whole + garbage)["right"] == len(recorded.calls)


def test_every_line_that_is_lost_is_noticed(recorded: Recorded) -> None:
    """A line taken out or doubled changes no answer."""
    lines = recorded.whole.splitlines(keepends=True)
    for number in range(len(lines)):
        for damaged in (lines[:number] + lines[number + 1 :], lines[: number + 1] + lines[number:]):
            outcomes = recorded.find_all(b"".join(damaged))
            assert outcomes.keys() == {"file refused"} or outcomes.total() == len(recorded.calls)


def test_documents_in_another_order_answer_the_same(recorded: Recorded) -> None:
    """Neighbours swapped: only the order of equal requests counts, which is the order in which they were answered."""
    documents = recorded.documents
    for at in range(2, len(documents)):
        swapped = [*documents[: at - 1], documents[at], documents[at - 1], *documents[at + 1 :]]
        assert recorded.find_all(b"".join(swapped)) == {"right": len(recorded.calls)}


def test_a_lost_document_is_missing(recorded: Recorded) -> None:
    """One without equals takes nothing along; of equal ones the last is missing, and the program ends in a miss."""
    for at in range(1, len(recorded.documents)):
        data = b"".join(recorded.documents[:at] + recorded.documents[at + 1 :])
        key, _, _ = recorded.calls[at - 1]
        if sum(key == other for other, _, _ in recorded.calls) == 1:
            assert recorded.find_all(data) == {"right": len(recorded.calls) - 1, "missing": 1}
            assert not recorded.run(data)


@pytest.mark.parametrize("at", [0, 31, 32, 63])
def test_a_changed_digit_of_a_key_does_not_let_a_later_answer_take_its_place(recorded: Recorded, at: int) -> None:
    """The first of equal requests would be answered by the second recording; the file is refused, with the line."""
    first = recorded.documents[1]
    place = first.index(b'key: "') + 6 + at
    digit = b"1" if first[place : place + 1] == b"0" else b"0"
    recorded.path.write_bytes(
        recorded.documents[0] + first[:place] + digit + first[place + 1 :] + b"".join(recorded.documents[2:])
    )
    line = recorded.documents[0].count(b"\n") + 1

    with pytest.raises(CassetteError, match=rf"sample\.yaml:{line}: the key of this document does not agree"):
        CassetteFile(recorded.path).refresh()


@pytest.mark.parametrize("number", range(1, 9))
@pytest.mark.parametrize("mark", [b"-x-\n", b"--\n", b"--- x\n", b"\n", b"#--\n", b"---\r", b"", b"--:\n"])
def test_a_changed_line_between_two_documents_does_not_hide_the_second(
    recorded: Recorded, number: int, mark: bytes
) -> None:
    """Its equal further down would answer in its place."""
    damaged = mark + recorded.documents[number].removeprefix(b"---\n")
    data = b"".join([*recorded.documents[:number], damaged, *recorded.documents[number + 1 :]])

    assert recorded.find_all(data) == {"file refused": 1}
