"""The tests' own modules can be imported; pytest's way of importing leaves the path alone."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
