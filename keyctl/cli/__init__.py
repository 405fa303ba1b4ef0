"""The command line: thin commands, the terminal, text and JSON. The only layer that prints."""
