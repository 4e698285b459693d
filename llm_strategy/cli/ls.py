"""List cassettes: how many calls each holds, what answered them, which test recorded them."""

from __future__ import annotations

import argparse

from llm_strategy.cassette.recordings import Cassette
from llm_strategy.cli.outcome import GOOD, complain
from llm_strategy.cli.places import add_paths, files
from llm_strategy.errors import CassetteError

add = add_paths


def run(arguments: argparse.Namespace) -> int:
    code = GOOD
    for path in files(arguments.paths):
        try:
            cassette = Cassette(path)
            answered = cassette.header.get("answered_by", "")
            names = answered if isinstance(answered, str) else ", ".join(answered)
            print(f"{path}: {len(cassette)} call{'s' * (len(cassette) != 1)}, answered by {names or 'nobody yet'}")
        except (CassetteError, OSError) as error:
            code = max(code, complain(path, error))
    return code
