"""Comparing revisions of git, for `llm-strategy diff`."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from llm_strategy.cli.outcome import CORRUPT, DIFFER, GOOD, MISSING, USAGE
from llm_strategy.redaction import each_text, scrub_reply
from llm_strategy.revisions import html_page, markdown, text
from llm_strategy.revisions.comparison import Comparison, clean, compared
from llm_strategy.revisions.git import NoRepositoryError, Repository, UnknownRevisionError, is_range
from llm_strategy.revisions.recordings import differing

_WRITERS: Mapping[str, Callable[[Comparison, int], str]] = {
    "text": lambda comparison, _limit: "\n".join(text.lines(comparison)) + "\n",
    "markdown": markdown.page,
    "html": lambda comparison, _limit: html_page.page(comparison),
}

__all__ = ["WrongUseError", "add", "is_range", "refuse_formats", "run"]


class WrongUseError(ValueError):
    """Options that do not belong together."""


def add(command: argparse.ArgumentParser) -> None:
    command.add_argument(
        "--format", choices=sorted(_WRITERS), help="of revisions: text (default), markdown (for a pull request) or html"
    )
    command.add_argument("--output", type=Path, metavar="FILE", help="of revisions: write it to a file")
    command.add_argument(
        "--max-bytes",
        type=int,
        metavar="N",
        help=f"of revisions as markdown: leave out, and count, what goes beyond (default: {markdown.LIMIT:,}, which is "
        "what a comment on GitHub holds)",
    )


def refuse_formats(arguments: argparse.Namespace) -> None:
    """Raise WrongUseError where an option is for revisions only."""
    given = [f"--{name}" for name in ("format", "output", "max-bytes") if getattr(arguments, name.replace("-", "_"))]
    if given:
        raise WrongUseError(f"{', '.join(given)} only for revisions of git, as in: llm-strategy diff main..HEAD")


def run(arguments: argparse.Namespace) -> int:
    problems: list[str] = []
    try:
        _check(arguments)
        repository = Repository(Path.cwd())
        name, paths = _named(repository, str(arguments.old), arguments.rest)
        revisions = repository.revisions(name)
        found = compared(revisions.name, differing(repository, revisions, paths, problems), problems)
        _write(found, arguments)
    except (NoRepositoryError, WrongUseError) as error:
        missing = isinstance(error, NoRepositoryError) and not is_range(str(arguments.old))
        print(f"there is no file or folder {arguments.old}, and " * missing + str(error), file=sys.stderr)
        return USAGE
    except (UnknownRevisionError, OSError) as error:
        print(error, file=sys.stderr)
        return MISSING
    for problem in problems:
        print(clean(problem), file=sys.stderr)
    return CORRUPT if problems else DIFFER if found.groups else GOOD


def _named(repository: Repository, name: str, rest: Sequence[Path]) -> tuple[str, Sequence[Path]]:
    """The revisions and the paths of a command; as with git, `A B` stands for `A..B` where B is a revision."""
    if rest and not is_range(name) and not os.path.lexists(rest[0]) and repository.knows(str(rest[0])):
        return f"{name}..{rest[0]}", rest[1:]
    return name, rest


def _check(arguments: argparse.Namespace) -> None:
    if arguments.json and arguments.format:
        raise WrongUseError("--json and --format exclude each other")
    if arguments.max_bytes is not None and arguments.max_bytes < markdown.LEAST:
        raise WrongUseError(f"--max-bytes has to be {markdown.LEAST:,} or more: less holds no heading")


def _write(found: Comparison, arguments: argparse.Namespace) -> None:
    if arguments.json:
        said = [json.dumps(each_text(group.to_json(), scrub_reply)) for group in found.groups]
        written = "".join(f"{line}\n" for line in said)
    else:
        written = _WRITERS[arguments.format or "text"](found, arguments.max_bytes or markdown.LIMIT)
    if arguments.output is None:
        print(written, end="")
    else:
        # What was no UTF-8 in the name of a file is none here either.
        arguments.output.write_bytes(written.encode("utf-8", "backslashreplace"))
