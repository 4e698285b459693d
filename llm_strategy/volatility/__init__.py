"""Values in prompts that differ from run to run: found while a call is recorded, before a replay misses it."""

from __future__ import annotations

HTTP_CALL = "an HTTP call"
"""What stands where the name of a decorated function would, for a request that a program sent itself."""
