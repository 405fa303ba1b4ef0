"""Why a key is not seen or cannot be reached; changes nothing and asks nothing."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING

from keyctl.core import diagnosis
from keyctl.device import choose, discover, surroundings
from keyctl.errors import KeyctlError
from keyctl.operations import keeping_facts

if TYPE_CHECKING:
    from keyctl.core.diagnosis_facts import Diagnosis
    from keyctl.operations.asking import Circumstances


def examine(circumstances: Circumstances) -> Diagnosis:
    """Look at everything, or at what concerns the key that ``--key`` names.

    Never fails: what cannot be found out is a check that was skipped, and says why.
    """
    facts = surroundings.gather(circumstances.home, _selector(circumstances), os.environ)
    if facts.wanted is None:
        facts = replace(facts, keeping=keeping_facts.gather(circumstances))
    return diagnosis.diagnose(facts)


def _selector(circumstances: Circumstances) -> str | None:
    """The selector of the key that was named by its serial number, if there is one; else the text as it is."""
    wanted = circumstances.wanted
    if wanted is None or discover.is_selector(wanted):
        return wanted
    try:
        return choose.choose(discover.discover(circumstances.home, wanted), wanted).selector
    except (KeyctlError, ImportError):
        # A broken installation is among what is looked for here.
        return wanted
