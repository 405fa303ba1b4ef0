"""Make passkeys on a virtual key: ``filling.py HOME NAME PIN SITES PASSKEYS``, spread evenly over the sites."""

from __future__ import annotations

import sys
from pathlib import Path

from keyctl.device.registration import Site, register
from keyctl.store.paths import virtual_keys_folder


def main(home: str, name: str, pin: str, sites: str, passkeys: str) -> None:
    for number in range(int(passkeys)):
        user = f"user{number}@example.com"
        site = Site(rp_id=f"site{number % int(sites)}.example", user_name=user, display_name=f"User {number}")
        register(virtual_keys_folder(Path(home)), name, site, pin)


if __name__ == "__main__":
    main(*sys.argv[1:])
