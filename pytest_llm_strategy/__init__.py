"""Record and replay the model calls of tests: `pytest --llm-record` records, `pytest` replays."""
