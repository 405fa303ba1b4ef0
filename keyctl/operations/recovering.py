"""Signing with the backup key, as a key that was derived while it lay in its safe."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO

from keyctl.core import derivations, fingerprints, key_formats, ssh_wire, sshsig, times
from keyctl.core.contexts import Kind
from keyctl.core.text import reason_of, visible
from keyctl.errors import Details, NotFoundError, StoreError, UnsupportedError, UsageError
from keyctl.operations import backup_signing, naming, pair_choice, seed_trust
from keyctl.store import inventory as store
from keyctl.store import new_files

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from keyctl.core.contexts import Target
    from keyctl.core.inventory import Inventory
    from keyctl.core.pairings import DerivedKey, Method, Pairing
    from keyctl.operations.asking import Circumstances

#: 1 GiB; what is longer takes the key no longer to sign, but a person waits for the hash without knowing why.
MAX_MESSAGE_BYTES = 1024 * 1024 * 1024
_CHUNK_BYTES = 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class RecoverySignature:
    """A signature by a derived key."""

    #: PRIMARY/BACKUP.
    pairing: str
    method: Method
    #: Of the seed.
    fingerprint: str
    target: str
    #: Of the derived key: uncompressed point, 65 bytes.
    public_key: bytes
    #: Whether the derived key is in the inventory; it is the same one if not, as it follows from the pairing.
    recorded: bool
    #: ECDSA in DER: over the SHA-256 of the message; with *sshsig*, over what that format signs in its place.
    signature: bytes
    #: The file that ``ssh-keygen -Y verify`` takes; None: not asked for.
    sshsig: str | None
    #: Where it was written to; None: nowhere.
    file: str | None


@dataclass(frozen=True)
class Words:
    """Which of the words of a command line is what."""

    #: The pairing; None: the only one there is.
    which: str | None
    #: The file; None: stdin.
    file: str | None


def told_apart(circumstances: Circumstances, words: Sequence[str]) -> Words:
    """Which of *words* is a pairing, and which a file: one alone may be either.

    Raises:
        UsageError: They are more than two; or the one is both, or neither.
        StoreError: The inventory cannot be read.
    """
    if len(words) > 2:
        raise UsageError("usage", f"got more than a pairing and a file: {visible(' '.join(words))}", None)
    if len(words) == 2:
        return Words(*words)
    if not words or words[0] == "-":
        return Words(None, words[0] if words else None)
    [word] = words
    is_file = os.path.lexists(word)
    try:
        pair_choice.find(store.read(circumstances.home), word)
    except NotFoundError as error:
        if error.code == "pairing_ambiguous" and not is_file:
            raise
        is_pairing = error.code == "pairing_ambiguous"
    else:
        is_pairing = True
    if is_file and is_pairing:
        raise UsageError(
            "usage",
            f"{visible(word)} is a pairing, and a file as well",
            f"give both, as in `{visible(word)} FILE`, or - for stdin; a file alone can be written ./FILE",
        )
    if not is_file and not is_pairing:
        raise message_unreadable(word, "there is no such file, and no such pairing")
    return Words(word, None) if is_pairing else Words(None, word)


def sign(
    circumstances: Circumstances,
    which: str | None,
    target: Target,
    message: BinaryIO,
    *,
    source: str,
    namespace: str | None = None,
    output: Path | None = None,
) -> RecoverySignature:
    """Sign a message as the derived key for *target*, with the backup key, its PIN and a touch.

    Args:
        circumstances: What the command line says.
        which: The pairing, as :func:`keyctl.operations.pair_choice.find` takes it.
        target: Of a kind that signs messages.
        message: Read to its end, once.
        source: What errors call it.
        namespace: Sign in the format of ``ssh-keygen -Y`` for this namespace; None: the message itself, which only
            keys for ``sign:`` do.
        output: A new file for the signature.

    Raises:
        NotFoundError: There is no such pairing, several fit, or the backup key is not known here.
        UsageError: A key for *target* makes no such signature, the namespace is none, the message is too long or cannot
            be read (``message_unreadable``), or the file exists.
        UnsupportedError: No site takes signatures by derived keys, or the pairing has none.
        StoreError: The seed is not the one trusted here, a recorded key does not follow from it (``pairing_changed``),
            or the file cannot be written.
        KeyChoiceError: The backup key is not connected.
        PinError: No PIN, a wrong one, or none that may be tried now.
        TouchError: Nobody touched it in time.
        UnreachableError: It is gone or silent, or signed something else.
    """
    naming.require_no_key_option(circumstances)
    _require_signs(target, namespace)
    inventory = store.read(circumstances.home)
    pairing = pair_choice.find(inventory, which)
    points = seed_trust.require(circumstances, inventory, pairing)
    derived, recorded = derived_for(inventory, pairing, target)
    if output is not None:
        new_files.check(output)
    wrapped = None
    if namespace is None:
        data_digest = _digest(message, source, "sha256")
    else:
        digest = _digest(message, source, sshsig.HASH)
        wrapped = sshsig.Message(namespace=namespace, hash=sshsig.HASH, digest=digest)
        data_digest = hashlib.sha256(wrapped.signed_data).digest()
    with backup_signing.signing(circumstances, inventory, pairing) as signer:
        signature = signer.sign(derived, data_digest)
    armored = None
    if wrapped is not None:
        blob = key_formats.openssh_blob(derived.public_key)
        armored = sshsig.armored(wrapped, blob, sshsig.ecdsa_signature(signature))
    if output is not None:
        new_files.write(output, signature if armored is None else armored.encode("ascii"), new_files.PUBLIC)
    return RecoverySignature(
        pairing=pair_choice.label(inventory, pairing),
        method=pairing.method,
        fingerprint=fingerprints.of_seed(points),
        target=target.text,
        public_key=derived.public_key,
        recorded=recorded,
        signature=signature,
        sshsig=armored,
        file=None if output is None else str(output),
    )


def derived_for(inventory: Inventory, pairing: Pairing, target: Target) -> tuple[DerivedKey, bool]:
    """The derived key for *target*, and whether it is recorded; it follows from the pairing either way.

    Raises:
        StoreError: The recorded one is another one (``pairing_changed``).
    """
    assert pairing.seed is not None
    recorded = next((key for key in pairing.derived if key.target == target.text), None)
    if recorded is None:
        return derivations.derive(pairing.seed, target, now=times.now()), False
    if not derivations.recomputes(pairing.seed, recorded):
        raise StoreError(
            "pairing_changed",
            f"the key recorded for {target.text} does not follow from the seed of "
            f"{pair_choice.label(inventory, pairing)}",
            "somebody changed the inventory: restore it from a backup, or run `keyctl pair restore`",
        )
    return recorded, True


def message_unreadable(source: str, reason: str) -> UsageError:
    """What is to be signed cannot be read, or is too long."""
    return UsageError(
        "message_unreadable",
        f"cannot sign {visible(source)}: {reason}",
        "give the name of a file, or - for stdin",
        details=Details(file=source),
    )


def _require_signs(target: Target, namespace: str | None) -> None:
    """Refuse what a key of this kind must not sign.

    Raises:
        UsageError: It could be a login, or the namespace is none.
        UnsupportedError: It would be for a site.
    """
    if target.kind is Kind.RP:
        raise UnsupportedError(
            "unsupported",
            f"nothing is signed for {target.text}: no web site accepts a derived key today",
            "use an account's own recovery; `keyctl coverage --without NAME` shows what there is",
        )
    if target.kind is Kind.SSH and namespace is None:
        raise UsageError(
            "usage",
            f"a key for {target.text} signs logins: whoever chooses what else it signs could log in with that",
            "give --sshsig NAMESPACE, which no login can be, or use a key for sign:LABEL",
        )
    if namespace is None:
        return
    try:
        sshsig.check_namespace(namespace)
    except ssh_wire.WireError as error:
        raise UsageError("usage", f"the namespace {error}", "usual ones are file and git") from error


def _digest(message: BinaryIO, source: str, name: str) -> bytes:
    """The hash of all that there is to read, without keeping it.

    Raises:
        UsageError: It is too long, or cannot be read.
    """
    digest, length = hashlib.new(name), 0
    try:
        while chunk := message.read(_CHUNK_BYTES):
            length += len(chunk)
            if length > MAX_MESSAGE_BYTES:
                raise message_unreadable(source, f"it is longer than {MAX_MESSAGE_BYTES} bytes")
            digest.update(chunk)
    except OSError as error:
        raise message_unreadable(source, reason_of(error)) from error
    return digest.digest()
