"""keyctl: a command-line manager for FIDO2 security keys of any vendor."""

# A literal, because importlib.metadata would double the start-up time.
__version__ = "0.1.0"
