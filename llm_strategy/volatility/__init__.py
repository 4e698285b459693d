"""Values in prompts that differ from run to run: found while a call is recorded, before a replay misses it."""

from __future__ import annotations
