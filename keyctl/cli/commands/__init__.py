"""One module per command, each with its ``COMMAND``: parse, call one operation, return an outcome."""
