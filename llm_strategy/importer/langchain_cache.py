"""LangChain's SQLite cache (`full_llm_cache`): answers to the calls that its models would make."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

from llm_strategy.http.traffic import http_request, http_response
from llm_strategy.importer.calls import Found
from llm_strategy.importer.outcomes import malformed, unsupported
from llm_strategy.values import JSON

_TABLE = "full_llm_cache"
_JSON: Mapping[str, str] = {"content-type": "application/json"}


def cached_calls(path: Path) -> list[Found]:
    """The calls of a cache, in the order in which they were cached. Raises NotImported for another database."""
    try:
        with closing(sqlite3.connect(f"file:{quote(str(path.absolute()))}?mode=ro", uri=True)) as database:
            known = database.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name = ?", (_TABLE,))
            if known.fetchone() is None:
                raise unsupported(f"it is a database without LangChain's table {_TABLE}")
            return [_found(prompt, llm, answers) for prompt, llm, answers in _rows(database)]
    except (sqlite3.Error, UnicodeDecodeError) as error:
        raise malformed(f"SQLite cannot read it: {error}") from None


def _rows(database: sqlite3.Connection) -> Iterator[tuple[str, str, list[str]]]:
    """Prompt, model and answers of each call: an answer with several choices has a row for each."""
    calls: dict[tuple[str, str], list[str]] = {}
    for prompt, llm, answer in database.execute(f"SELECT prompt, llm, response FROM {_TABLE} ORDER BY rowid, idx"):
        calls.setdefault((str(prompt), str(llm)), []).append(str(answer))
    yield from ((prompt, llm, answers) for (prompt, llm), answers in calls.items())


def _found(prompt: str, llm: str, answers: list[str]) -> Found:
    from llm_strategy.models.langchain.cached import cached_answer, cached_request

    try:
        address, body = cached_request(prompt, llm)
        answer = cached_answer(answers)
    except (ValueError, ImportError) as error:
        return Found(problem=unsupported(str(error)))
    request = http_request("POST", address, "", _JSON, _body(body))
    return Found(request, http_response(200, _JSON.items(), _body(answer)))


def _body(value: JSON) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")
