"""Real traffic to start from: recorded once from virtual keys, checked in, mutated by the fuzz target.

``python tests/fuzz/corpus.py`` records it anew into ``tests/vectors/fuzz_corpus.json``.
"""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from keyctl.device import registration
from keyctl.device.discover import Found
from keyctl.device.guard import GuardedDevice
from keyctl.device.session import Session
from keyctl.model import OWN_RP_ID, Transport
from keyctl.virtual import keys
from keyctl.virtual.device import VirtualDevice

FILE = Path(__file__).parent.parent / "vectors" / "fuzz_corpus.json"
PIN = "123456"
SELECT = bytes.fromhex("00a4040008a0000006472f000100")


class Recorder(VirtualDevice):
    """A virtual key that notes what is said."""

    def __init__(self, folder: Path, name: str, said: list[tuple[bytes, bytes]]) -> None:
        super().__init__(folder, name)
        self.said = said

    def call(self, cmd: int, data: bytes = b"", *more: Any) -> bytes:
        answer = super().call(cmd, data, *more)
        self.said.append((data, answer))
        return answer


def conversation(folder: Path) -> list[tuple[bytes, bytes]]:
    """What sessions that use everything say and hear: requests and answers, of U2F too."""
    said: list[tuple[bytes, bytes]] = []
    keys.new(folder, "blue", "full")
    with _session(folder, said) as session:
        session.set_pin(PIN)
    for rp_id, user in (("a.example", "kim"), ("a.example", "lee"), ("b.example", "kim")):
        registration.register(folder, "blue", registration.Site(rp_id=rp_id, user_name=user, display_name=user), PIN)
    with _session(folder, said) as session:
        session.pin_retries()
        session.use_pin(PIN)
        listing = session.list_passkeys()
        enrolment = session.enrol([])
        session.answering(OWN_RP_ID, [enrolment.credential_id])
        session.all_answering(OWN_RP_ID, [enrolment.credential_id, bytes(64)], verified=True)
        session.rename_passkey(listing.passkeys[0], user_name="kimberley", display_name=None)
        session.delete_passkey(listing.passkeys[1].credential_id)
        session.reset()
    keys.new(folder, "old", "u2f")
    with _session(folder, said, "old") as session:
        enrolment = session.enrol([])
        session.claimed(OWN_RP_ID, [enrolment.credential_id])
        session.touched(OWN_RP_ID, enrolment.credential_id)
    return said


def _session(folder: Path, said: list[tuple[bytes, bytes]], name: str = "blue") -> Session:
    device = Recorder(folder, name, said)
    guard = GuardedDevice(device, "blue", touch_s=0, lock_s=0, on_touch=lambda *_: None)
    return Session(Found(transport=Transport.USB, path="x"), guard)


def record() -> dict[str, list[str]]:
    """The corpus: answers of a key, and commands to a card."""
    with tempfile.TemporaryDirectory() as name:
        said = conversation(Path(name))
    # A request in one extended APDU; the chained form is what mutation makes of it.
    header = bytes.fromhex("8010800000")
    apdus = [SELECT, *(header + len(request).to_bytes(2, "big") + request + b"\0\0" for request, _ in said)]
    return {
        "requests": sorted({request.hex() for request, _ in said}),
        "answers": sorted({answer.hex() for _, answer in said}),
        "apdus": sorted({apdu.hex() for apdu in apdus}),
    }


def load() -> dict[str, list[bytes]]:
    """The checked-in corpus."""
    content = json.loads(FILE.read_text())
    return {name: [bytes.fromhex(entry) for entry in content[name]] for name in ("requests", "answers", "apdus")}


if __name__ == "__main__":
    about = "recorded from keyctl's virtual key by tests/fuzz/corpus.py; where the fuzz target starts from"
    FILE.write_text(json.dumps({"source": about} | record(), indent=1) + "\n")
