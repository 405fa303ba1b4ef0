"""What to do about keys and readers that are not there, in words that several places say."""

from __future__ import annotations

NO_KEY = "plug one in; if one is, `keyctl doctor` says why it is not seen; to try keyctl without one: `keyctl demo`"
INSTALL_SUPPORT = (
    "install pyscard where keyctl is installed: `pipx inject fido-keyctl pyscard`, or `pip install pyscard` in its "
    "environment; Linux wants swig, a C compiler and libpcsclite-dev for that"
)
REINSTALL_SUPPORT = "reinstall it with `pip install --force-reinstall pyscard`, where keyctl is installed"


def start_service(platform: str) -> str:
    """How to have a smart card service run that is installed.

    Args:
        platform: As ``sys.platform``.
    """
    match platform:
        case "win32":
            return "start the service `Smart Card` (`sc start SCardSvr` as administrator)"
        case "darwin":
            return "it starts with the reader: unplug the reader and plug it in again"
        case _:
            return "as root: `systemctl start pcscd`; for good: `systemctl enable --now pcscd.socket`"
