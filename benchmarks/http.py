"""What replaying a direct call of the `openai` client costs: here, with vcrpy, cassetter and pytest-recording.

    python benchmarks/http.py [--quick] [--write] [--json FILE]

One table, made in one run. `http_costs.py` is the command; this file has its name.
"""

from __future__ import annotations

import os
import sys
from importlib.machinery import PathFinder
from importlib.util import module_from_spec

if __name__ == "__main__":
    from http_costs import main

    main()
else:
    # A script looks for the standard library's package of this name in its own folder first.
    here = os.path.dirname(os.path.realpath(__file__))
    found = PathFinder.find_spec("http", [entry for entry in sys.path if os.path.realpath(entry) != here])
    assert found is not None
    assert found.loader is not None
    package = sys.modules[__name__] = module_from_spec(found)
    found.loader.exec_module(package)
