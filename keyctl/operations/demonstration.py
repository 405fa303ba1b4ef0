"""What the demonstration does beside running commands: being the sites at which somebody registers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from keyctl.device import registration
from keyctl.store import paths

if TYPE_CHECKING:
    from pathlib import Path

#: What the imagined person has: three accounts on the key of every day, of which one is missing on the spare key.
PRIMARY_SITES = (
    registration.Site(rp_id="mail.example", user_name="kim", display_name="Kim's mail"),
    registration.Site(rp_id="bank.example", user_name="kim.lee", display_name="Kim Lee"),
    registration.Site(rp_id="code.example", user_name="kimlee", display_name="Kim (code)"),
)
BACKUP_SITES = PRIMARY_SITES[:2]


def sign_up(home: Path, name: str, pin: str, sites: tuple[registration.Site, ...]) -> list[str]:
    """Register the virtual key *name* at *sites*, as a browser would.

    Returns:
        The credential ids in hex, in the order of the sites.
    """
    folder = paths.virtual_keys_folder(home)
    return [registration.register(folder, name, site, pin).hex() for site in sites]
