"""Software security keys for trying out and for tests: they compute for real and protect nothing."""
