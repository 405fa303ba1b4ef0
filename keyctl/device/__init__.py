"""Reaching security keys: finding them, opening one, and speaking CTAP to it."""
