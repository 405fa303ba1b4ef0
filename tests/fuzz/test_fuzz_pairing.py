"""As test_fuzz, for what pairings read: answers of keys with seeds and large blobs, records, files, agents' clients."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from keyctl.core import authorized_keys, binding, key_record, ssh_agent_messages, ssh_agent_rules
from keyctl.core.arkg import ArkgError
from keyctl.core.contexts import Kind
from keyctl.core.ssh_wire import WireError
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.errors import KeyctlError
from keyctl.model import Transport
from keyctl.operations import key_copies, pair_leftovers
from keyctl.store import pairing_records, seed_files
from keyctl.virtual import keys
from tests.fuzz.test_fuzz import Babbling, corpus, mutated, rounds

if TYPE_CHECKING:
    from collections.abc import Callable

VECTORS = Path(__file__).parent.parent / "vectors"
NONCE = bytes(range(32))


def survived(seed: int, call: Callable[[], Any], *ours: type[Exception]) -> None:
    """Run *call*; nothing but errors of ours may come out."""
    try:
        call()
    except (KeyctlError, *ours):
        return
    except BaseException as error:
        raise AssertionError(f"seed {seed}") from error


def pairing_steps(session: Session) -> tuple[Callable[[], Any], ...]:
    """What a pairing asks of a key, each by itself."""
    return (
        session.own_credentials.list,
        lambda: session.own_credentials.make((), record_hash=bytes(32)),
        lambda: session.own_credentials.read(bytes(64)),
        lambda: session.blobs.find(bytes(32)),
        lambda: session.blobs.write(bytes(32), b"record"),
        lambda: session.blobs.remove(bytes(32)),
        lambda: session.seeds.make(NONCE, ()),
        lambda: session.seeds.sign(bytes(64), bytes(64), b"\xa0", bytes(32), bytes(32)),
        lambda: session.seeds.policy(bytes(64), bytes(64), b"\xa0"),
        lambda: session.secrets.two(bytes(64), bytes(32), b"\x01" * 32),
        lambda: key_copies.find_all(session, []),
        lambda: pair_leftovers.own_on(session),
    )


@pytest.fixture
def answers(tmp_path: Path) -> list[bytes]:
    """What a key with seeds really said."""
    said: list[tuple[bytes, bytes]] = []
    keys.new(tmp_path, "blue", "arkg")
    with corpus._session(tmp_path, said) as session:
        session.set_pin("123456")
    with corpus._session(tmp_path, said) as session:
        session.use_pin("123456")
        made = session.seeds.make(NONCE, ())
        wanted = binding.exercise(made.offer, made.made, NONCE)
        handle = made.offer.signing_handle
        session.seeds.sign(made.credential_id, handle, wanted.arguments, wanted.tbs, wanted.client_data_hash)
        assert made.large_blob_key is not None
        session.blobs.write(made.large_blob_key, b"record")
        session.own_credentials.list()
        session.own_credentials.read(session.own_credentials.make((), record_hash=bytes(32)).credential_id)
        session.secrets.two(session.secrets.make(()).credential_id, bytes(32), b"\x01" * 32)
    return sorted({answer for _, answer in said})


def test_any_answers_to_a_pairing_give_a_result_or_an_error_of_ours(answers):
    info = next(answer for answer in answers if b"previewSign" in answer and b"FIDO_2_0" in answer)
    for seed, chance in rounds():
        device = Babbling(chance, answers, info)
        guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
        with Session(Found(transport=Transport.USB, path="x"), guard) as session:
            for step in pairing_steps(session):
                session.use_pin("123456")
                survived(seed, step)


def test_any_record_on_a_key_is_read_or_refused():
    examples = [bytes.fromhex(json.loads((VECTORS / "key_record.json").read_text())["record"])]
    for seed, chance in rounds():
        content = mutated(chance, examples[0], examples)
        survived(seed, lambda content=content: key_record.decode(content), ValueError)


def test_any_pairing_file_is_read_or_refused():
    """Those of the inventory, and seeds that another computer exported."""
    paths = sorted((VECTORS / "store").glob("pairing-*.json"))
    examples = [path.read_bytes() for path in paths]
    full = json.loads((VECTORS / "store" / "pairing-1-full.json").read_text())
    key = json.loads((VECTORS / "store" / "key-1-minimal.json").read_text())
    seed_file = {
        "schema": "keyctl-seed/1",
        "method": "arkg",
        "created_at": full["created_at"],
        "fingerprint": "HLU2K-BEAEC-LJXQS-L7BJH",
        "key": key,
        "seed": full["seed"],
    }
    files = [json.dumps(seed_file, indent=1).encode()]
    for seed, chance in rounds():
        content = mutated(chance, chance.choice(files), [*files, *examples])
        survived(seed, lambda content=content: seed_files.seed_file_from(content, "seed.json"))
        text = mutated(chance, chance.choice(examples), examples)
        try:
            value = json.loads(text)
        except (ValueError, RecursionError):
            continue
        if isinstance(value, dict):
            survived(seed, lambda value=value: pairing_records.pairing_from(value, "pairing.json"))


def test_any_evidence_is_proved_or_refused():
    content = json.loads((VECTORS / "store" / "pairing-1-full.json").read_text())["seed"]["evidence"]
    made, asserted = bytes.fromhex(content["made"]), bytes.fromhex(content["asserted"])
    for seed, chance in rounds():
        evidence = binding.Evidence(
            made=mutated(chance, made, [asserted]),
            asserted=mutated(chance, asserted, [made]),
            nonce=bytes.fromhex(content["nonce"]),
        )
        survived(seed, lambda evidence=evidence: binding.verify(evidence), ArkgError)


def test_any_client_of_an_agent_is_answered_or_refused():
    recorded = json.loads((VECTORS / "ssh" / "recorded.json").read_text())
    messages = [bytes.fromhex(message) for several in recorded["requests"].values() for message in several]
    for seed, chance in rounds():
        connection = ssh_agent_rules.Connection(forwarding_allowed=chance.random() < 0.5)
        for _ in range(3):
            content = mutated(chance, chance.choice(messages), messages)
            survived(seed, lambda content=content, to=connection: _served(to, content), WireError, ValueError)
        lines = mutated(chance, recorded["sshsig_file"].encode(), messages)
        survived(seed, lambda lines=lines: list(authorized_keys.lines(lines)), ValueError)


def _served(connection: ssh_agent_rules.Connection, message: bytes) -> None:
    request = ssh_agent_messages.read(message)
    if isinstance(request, ssh_agent_messages.BindRequest):
        connection.bind(request)
    elif isinstance(request, ssh_agent_messages.SignRequest):
        connection.purpose(Kind.SSH, request)
