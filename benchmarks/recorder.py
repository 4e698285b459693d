"""A program that calls a provider and is recorded, by vcrpy or by this library: what `faults.py` breaks.

    python recorder.py WHICH TASK CASSETTE URL

Both record the same client's calls over HTTP. vcrpy is told to compare bodies, without which it could not tell the
calls apart; the task `changed` alone leaves it as it comes.
"""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Literal

Which = Literal["vcrpy", "ours"]
WITH_BODY = ("method", "scheme", "host", "port", "path", "query", "body")


def cassette(which: Which, path: Path, *, record: bool, as_it_comes: bool = False) -> AbstractContextManager[Any]:
    if which == "ours":
        from llm_strategy import use_cassette

        return use_cassette(path, "new" if record else "replay", http=True)
    import vcr  # type: ignore[import-untyped]  # vcrpy has no types

    settings: dict[str, Any] = {} if as_it_comes else {"match_on": WITH_BODY}
    recorder = vcr.VCR(record_mode="new_episodes" if record else "none", **settings)
    opened: AbstractContextManager[Any] = recorder.use_cassette(str(path))
    return opened


def client(url: str) -> Any:
    from openai import OpenAI

    return OpenAI(base_url=url, api_key="unused", max_retries=0)


def ask(provider: Any, number: int | str) -> str:
    """The provider answers with the prompt itself."""
    messages: Any = [{"role": "user", "content": f"Tell me about number {number}."}]
    answer: str = provider.chat.completions.create(model="m", messages=messages).choices[0].message.content
    return answer


def stored(which: Which, path: Path) -> int:
    """How many calls there are in a cassette, as its own reader finds them; none in one that it cannot read."""
    try:
        return _stored(which, path)
    except Exception:  # noqa: BLE001  # each has its own words for it
        return 0


def _stored(which: Which, path: Path) -> int:
    if not path.exists():
        return 0
    if which == "ours":
        from llm_strategy import Cassette

        return len(Cassette(path))
    from vcr.cassette import Cassette as Vcr  # type: ignore[import-untyped]  # vcrpy has no types

    return len(Vcr.load(path=str(path)))


def answers(which: Which, path: Path, url: str, numbers: Iterable[str], *, as_it_comes: bool = False) -> list[str]:
    """What the cassette answers to these calls, empty for a miss; nothing of it is asked."""
    provider, found = client(url), []
    for number in numbers:
        answer = ""
        # A miss of ours is no Exception; what is damaged answers nothing.
        with suppress(BaseException), cassette(which, path, record=False, as_it_comes=as_it_comes):
            answer = ask(provider, number)
        found.append(answer)
    return found


def forever(which: Which, path: Path, url: str) -> None:
    """Record until killed; writes a dot for every call that is complete."""
    provider, number = client(url), 0
    with cassette(which, path, record=True):
        while True:
            ask(provider, number)
            os.write(1, b".")
            number += 1


def full(which: Which, path: Path, url: str) -> None:
    """Record one call more, where the disk has no room for it."""
    provider = client(url)
    size = path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    with suppress(Exception), cassette(which, path, record=True):
        ask(provider, "new")


def threads(which: Which, path: Path, url: str) -> None:
    """50 calls from 8 threads, in blocks of their own on one cassette; says how many of them failed."""
    provider = client(url)

    def failed(number: int) -> bool:
        try:
            with cassette(which, path, record=True):
                ask(provider, number)
        except Exception:  # noqa: BLE001  # whatever it is, the call was not recorded
            return True
        return False

    with ThreadPoolExecutor(8) as pool:
        print(sum(pool.map(failed, range(50))))


def threads_inside(which: Which, path: Path, url: str) -> None:
    """50 calls from 8 threads that one block has around it."""
    provider = client(url)
    with cassette(which, path, record=True), ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: ask(provider, number), range(50)))


def some(which: Which, path: Path, url: str) -> None:
    """Five calls, one after the other."""
    provider = client(url)
    with cassette(which, path, record=True):
        for number in range(5):
            ask(provider, number)


def answered(which: Which, path: Path, url: str) -> None:
    """Says how many of the five are replayed."""
    numbers = [str(number) for number in range(5)]
    found = zip(numbers, answers(which, path, url, numbers), strict=True)
    print(sum(f"number {number}." in answer for number, answer in found))


def changed(which: Which, path: Path, url: str) -> None:
    """Says how many of five prompts with one more digit get what was answered to another one."""
    numbers = [f"{number}0" for number in range(5)]
    found = zip(numbers, answers(which, path, url, numbers, as_it_comes=True), strict=True)
    print(sum(bool(answer) and f"number {number}." not in answer for number, answer in found))


def main() -> None:
    which, task, path, url = sys.argv[1:]
    assert which in ("vcrpy", "ours")
    match task:
        case "stored":
            print(stored(which, Path(path)))
        case _:
            tasks = {task.__name__: task for task in (forever, full, threads, threads_inside, some, answered, changed)}
            tasks[task](which, Path(path), url)


if __name__ == "__main__":
    main()
