"""Pure rules and facts: no device, no file of the user, no output."""
