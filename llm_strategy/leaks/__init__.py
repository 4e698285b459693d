"""Secrets in files that are written already: where they stand, and how they are taken out."""
