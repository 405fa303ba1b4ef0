"""``python -m keyctl``."""

from keyctl.cli.main import run

if __name__ == "__main__":
    run()
