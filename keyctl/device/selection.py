"""Asking one key for a touch that does nothing but say which key is meant.

A touch chooses a device and identifies none: any device may answer as if it had been touched, and some keys do.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING

from fido2.ctap import CtapError

from keyctl.device import errors, u2f
from keyctl.device.commands import CAPABILITY_CBOR, Ctap, Hid, U2fStep

if TYPE_CHECKING:
    from threading import Event

    from keyctl.device.exchange import Exchange
    from keyctl.model import KeyInfo

#: Seconds before a key is asked again. U2F keys are polled; others give up by themselves, some after 10 s.
_PAUSE_S = 0.2
_VERSION = re.compile(r"FIDO_([0-9]{1,3})_([0-9]{1,3})")
#: The first with authenticatorSelection.
_CTAP_2_1 = (2, 1)

_ERR = CtapError.ERR
_UNTOUCHED = frozenset({_ERR.USER_ACTION_TIMEOUT, _ERR.ACTION_TIMEOUT, _ERR.KEEPALIVE_CANCEL})
#: The first two are in the specification; the third is what several models say when they have a PIN.
_TOUCHED = frozenset({_ERR.PIN_NOT_SET, _ERR.PIN_INVALID, _ERR.PIN_AUTH_INVALID})

_HASH_BYTES = 32
#: ``.invalid`` (RFC 2606): no site has this name. Keys with a display show it.
_RP = {"id": "touch.keyctl.invalid", "name": "keyctl"}
_ES256 = -7


def wait_for_touch(exchange: Exchange, info: KeyInfo, cancel: Event) -> bool:
    """Ask the key for a touch until it comes; nothing is made on it and nothing changed.

    Args:
        exchange: The key.
        info: What its getInfo said.
        cancel: Set when the touch is not wanted any more; the key is told to stop.

    Returns:
        Whether it was touched; False: *cancel* was set before.

    Raises:
        KeyctlError: The key is gone, silent or busy, refuses, or answers nonsense.
    """
    while not cancel.is_set():
        with errors.reported(exchange.label):
            if _touched(exchange, info, cancel):
                return True
        cancel.wait(_PAUSE_S)
    return False


def _touched(exchange: Exchange, info: KeyInfo, cancel: Event) -> bool:
    if not exchange.device.capabilities & CAPABILITY_CBOR:
        return _registered_nowhere(exchange, cancel)
    if _has_selection(info):
        try:
            return _selected(exchange, cancel)
        except CtapError as error:
            if error.code != _ERR.INVALID_COMMAND:
                raise
    return _made_nothing(exchange, info, cancel)


def _has_selection(info: KeyInfo) -> bool:
    versions = (_VERSION.fullmatch(version) for version in info.versions)
    return any((int(match[1]), int(match[2])) >= _CTAP_2_1 for match in versions if match)


def _selected(exchange: Exchange, cancel: Event) -> bool:
    """AuthenticatorSelection (CTAP 2.2, section 6.9)."""
    try:
        exchange.send(Ctap.SELECTION, cancel=cancel)
    except CtapError as error:
        if error.code in _UNTOUCHED:
            return False
        raise
    return True


def _made_nothing(exchange: Exchange, info: KeyInfo, cancel: Event) -> bool:
    """MakeCredential with a zero-length pinUvAuthParam: an error after the touch (CTAP 2.2, section 6.1.2, step 1)."""
    parameters: dict[int, object] = {
        1: os.urandom(_HASH_BYTES),
        2: _RP,
        3: {"id": b"\0", "name": "touch"},
        4: [{"type": "public-key", "alg": _ES256}],
    }
    if info.pin_supported:
        # Without the protocol's number some keys report a missing parameter at once. One without a PIN function would
        # take offence at both; it makes a credential that is stored nowhere.
        parameters |= {8: b"", 9: 1}
    try:
        exchange.send(Ctap.MAKE_CREDENTIAL, parameters, cancel=cancel)
    except CtapError as error:
        # "Denied" is what CTAP 2.1 wants to hear of a touch that did not come in the key's own time.
        if error.code in _UNTOUCHED or error.code == _ERR.OPERATION_DENIED:
            return False
        if error.code not in _TOUCHED:
            raise
    return True


def _registered_nowhere(exchange: Exchange, cancel: Event) -> bool:
    """Registration of U2F for an application that is not there: the key handle is thrown away."""
    message = u2f.message(U2fStep.REGISTER, 0, os.urandom(2 * _HASH_BYTES))
    answer = exchange.device.call(Hid.MSG, message, cancel)
    if u2f.status(answer) not in {u2f.DONE, u2f.UNTOUCHED}:
        raise u2f.refused(exchange.label, answer, "choose it with -k instead")
    return u2f.status(answer) == u2f.DONE
