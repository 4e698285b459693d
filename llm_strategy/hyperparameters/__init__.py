"""Hyperparameters of functions: what a call may leave to whoever tunes the program.

`kinds` has the typed model that each function gets, `collection` the values that hold in a block, `tracking` the
calls that look for them there, and `definitions` the ones that a body names as it runs.
"""
