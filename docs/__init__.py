"""Documentation that is run: the examples, and what writes configuration.md."""
