"""Recordings of other tools, taken over into cassettes."""
