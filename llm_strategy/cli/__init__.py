"""The command `llm-strategy`: look at cassettes, check them and keep them in order.

Each command is a module: its docstring is the help, `add` declares its arguments, `run` does the work and returns
the exit code.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Sequence
from contextlib import redirect_stderr, redirect_stdout

from llm_strategy import __version__
from llm_strategy.cli import diff, import_, ls, merge, prune, review, scan, show, trace, verify, why
from llm_strategy.cli.outcome import GOOD
from llm_strategy.cli.output import Concealing

COMMANDS = {
    "diff": diff,
    "import": import_,
    "ls": ls,
    "merge": merge,
    "prune": prune,
    "review": review,
    "scan": scan,
    "show": show,
    "trace": trace,
    "verify": verify,
    "why": why,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code. Without a command, say which there are."""
    parser = _parser()
    parsed = parser.parse_args(arguments)
    if isinstance(sys.stdout, io.TextIOWrapper):
        # A prompt may hold what the terminal cannot show, or what is no Unicode.
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        if parsed.run is None:
            parser.print_help()
            return GOOD
        with redirect_stdout(Concealing(sys.stdout)), redirect_stderr(Concealing(sys.stderr)):
            return int(parsed.run(parsed))
    except BrokenPipeError:
        # The reader of a pipe, such as `head`, has seen enough; what is still to be flushed goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return GOOD


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser("llm-strategy", description="Look at recorded model calls, and check them.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    parser.set_defaults(run=None)
    commands = parser.add_subparsers(metavar="COMMAND")
    for name, module in COMMANDS.items():
        help_text = (module.__doc__ or "").strip().splitlines()[0]
        command = commands.add_parser(
            name,
            help=help_text[:1].lower() + help_text[1:].partition(":")[0].rstrip("."),
            description=help_text,
        )
        module.add(command)
        command.set_defaults(run=module.run)
    return parser
