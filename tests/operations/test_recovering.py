"""Signing with the backup key as a key that was derived while it was away."""

from __future__ import annotations

import base64
import hashlib
import io
import shutil
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from keyctl.core import contexts, p256, sshsig, times
from keyctl.core.pairings import Method
from keyctl.core.ssh_wire import Reader
from keyctl.errors import Exit
from keyctl.operations import pair_restoring, recovering
from tests.failing import failing
from tests.operations.pairs import with_keys

MESSAGE = b"what is to be signed\n"


def sign(pairs, target="sign:release", content=MESSAGE, *, person=None, which=None, **more):
    return recovering.sign(
        pairs.circumstances(person or pairs.person(1)),
        which,
        contexts.parse(target),
        content if hasattr(content, "read") else io.BytesIO(content),
        source="message",
        **more,
    )


def test_a_raw_signature_verifies_under_the_derived_key(pairs):
    pairing = pairs.paired()
    pairs.desk.put(with_keys(pairing, "sign:release"))
    signed = sign(pairs)
    assert p256.verifies(signed.public_key, hashlib.sha256(MESSAGE).digest(), signed.signature)
    assert signed.public_key == with_keys(pairing, "sign:release").derived[0].public_key
    assert (signed.pairing, signed.method, signed.target) == ("blue/green", Method.ARKG, "sign:release")
    assert (signed.recorded, signed.sshsig, signed.file) == (True, None, None)
    assert pairs.touches() == 1


@pytest.mark.parametrize("target", ["sign:release", "ssh:server.example.com"])
def test_a_signature_for_ssh_keygen_verifies_over_what_that_format_signs(pairs, target):
    pairs.paired()
    signed = sign(pairs, target, namespace="file")
    digest = hashlib.sha512(MESSAGE).digest()
    data = sshsig.Message(namespace="file", hash="sha512", digest=digest).signed_data
    assert p256.verifies(signed.public_key, hashlib.sha256(data).digest(), signed.signature)
    fields = Reader(base64.b64decode("".join(signed.sshsig.splitlines()[1:-1])))
    assert (fields.take(6), fields.uint32()) == (b"SSHSIG", 1)
    assert fields.string().endswith(signed.public_key)


def test_a_key_that_is_not_recorded_is_the_same_as_if_it_were(pairs):
    pairing = pairs.paired()
    signed = sign(pairs)
    assert not signed.recorded
    assert signed.public_key == with_keys(pairing, "sign:release").derived[0].public_key
    assert not pairs.desk.inventory.pairings[0].derived


def test_after_a_restore_from_the_backup_key_it_signs_with_the_same_key(pairs):
    before = with_keys(pairs.paired(), "sign:release").derived[0].public_key
    for name in ("keys", "services", "pairings", "state"):
        shutil.rmtree(pairs.desk.home / name, ignore_errors=True)
    pair_restoring.restore(pairs.circumstances(pairs.person(), "virtual:green"), dry_run=False)
    assert sign(pairs).public_key == before


def test_a_retired_pairing_signs_for_that_is_what_it_is_kept_for(pairs):
    pairs.desk.put(replace(pairs.paired(), retired_at=times.now()))
    assert sign(pairs).signature


def test_a_software_seed_signs_too(pairs):
    pairs.paired(Method.SOFTWARE)
    signed = sign(pairs)
    assert signed.method is Method.SOFTWARE
    assert p256.verifies(signed.public_key, hashlib.sha256(MESSAGE).digest(), signed.signature)


def test_a_file_is_written_once_and_never_over_another(pairs, tmp_path):
    pairs.paired()
    target = tmp_path / "signature"
    signed = sign(pairs, output=target)
    assert (target.read_bytes(), signed.file) == (signed.signature, str(target))
    assert stat.S_ISREG(target.stat().st_mode)
    person = pairs.person(1)
    error = failing(sign, pairs, output=target, person=person)
    assert (error.code, error.details.file, person.requests) == ("usage", str(target), [])
    error = failing(sign, pairs, output=tmp_path / "none" / "signature", person=person)
    assert (error.code, error.exit_status, person.requests) == ("store_unwritable", Exit.STORE, [])
    armored = tmp_path / "armored"
    assert sign(pairs, namespace="git", output=armored).sshsig == armored.read_text()


@pytest.mark.parametrize(
    ("target", "namespace", "code", "part"),
    [
        ("ssh:server.example.com", None, "usage", "could log in with that"),
        ("rp:example.com", None, "unsupported", "no web site accepts"),
        ("rp:example.com", "file", "unsupported", "no web site accepts"),
        ("sign:release", "", "usage", "the namespace is empty"),
        ("sign:release", "x" * 300, "usage", "longer than 256 bytes"),
        ("sign:release", "a\nb", "usage", "no visible text"),
    ],
)
def test_what_a_key_must_not_sign_is_refused_before_anybody_is_asked(pairs, target, namespace, code, part):
    pairs.paired()
    person = pairs.person(1)
    error = failing(sign, pairs, target, namespace=namespace, person=person)
    assert (error.code, person.requests, pairs.touches()) == (code, [], 0)
    assert part in error.message


def test_a_recorded_key_that_does_not_follow_from_the_seed_stops_it(pairs):
    pairs.desk.put(with_keys(pairs.paired(), "sign:x", target="sign:release"))
    person = pairs.person(1)
    error = failing(sign, pairs, person=person)
    assert (error.code, person.requests) == ("pairing_changed", [])


def test_a_long_message_is_read_piece_by_piece(pairs):
    pairs.paired()
    message = Zeros(100 * 1024 * 1024)
    signed = sign(pairs, content=message)
    expected = hashlib.sha256(bytes(100 * 1024 * 1024)).digest()
    assert p256.verifies(signed.public_key, expected, signed.signature)
    assert message.largest <= 1024 * 1024


def test_an_endless_message_is_refused_before_anybody_is_asked(pairs):
    pairs.paired()
    person = pairs.person(1)
    error = failing(sign, pairs, content=Zeros(1 << 60), person=person)
    assert (error.code, error.exit_status, person.requests) == ("message_unreadable", Exit.USAGE, [])


def test_a_message_that_cannot_be_read_is_told(pairs, tmp_path):
    pairs.paired()
    with (tmp_path / "file").open("xb") as unreadable:
        error = failing(sign, pairs, content=unreadable)
    assert error.code == "message_unreadable"


class Zeros(io.RawIOBase):
    """So many bytes, without holding them."""

    def __init__(self, count: int) -> None:
        self.left = count
        self.largest = 0

    def read(self, size: int = -1) -> bytes:
        size = min(size, self.left)
        self.left -= size
        self.largest = max(self.largest, size)
        return bytes(size)


def test_without_a_pairing_or_a_seed_nothing_is_signed(pairs):
    assert failing(sign, pairs).code == "pairing_not_found"
    pairs.paired(Method.REGISTRATION)
    assert failing(sign, pairs).code == "unsupported"


def test_without_the_backup_key_nothing_is_signed(pairs):
    from keyctl.virtual import keys

    pairs.paired()
    keys.unplug(pairs.desk.folder, "green")
    error = failing(sign, pairs)
    assert (error.code, error.exit_status) == ("no_key", Exit.NO_KEY)


def test_a_wrong_pin_costs_one_try(pairs):
    pairs.paired()
    error = failing(sign, pairs, person=pairs.person_class(pins=["000000"]))
    assert (error.code, error.details.tries_left) == ("pin_wrong", 7)


def test_one_word_is_a_pairing_or_a_file(pairs, tmp_path, monkeypatch):
    pairs.paired()
    monkeypatch.chdir(tmp_path)
    Path("message").write_bytes(MESSAGE)
    here = pairs.circumstances(pairs.person())
    assert recovering.told_apart(here, ["message"]) == recovering.Words(None, "message")
    assert recovering.told_apart(here, ["green"]) == recovering.Words("green", None)
    assert recovering.told_apart(here, ["blue/green"]) == recovering.Words("blue/green", None)
    assert recovering.told_apart(here, ["green", "-"]) == recovering.Words("green", "-")
    assert recovering.told_apart(here, ["-"]) == recovering.Words(None, "-")
    assert recovering.told_apart(here, []) == recovering.Words(None, None)
    assert failing(recovering.told_apart, here, ["mesage"]).code == "message_unreadable"
    assert failing(recovering.told_apart, here, ["a", "b", "c"]).code == "usage"
    Path("green").write_bytes(MESSAGE)
    assert failing(recovering.told_apart, here, ["green"]).code == "usage"
    assert recovering.told_apart(here, ["./green"]) == recovering.Words(None, "./green")
