"""A virtual key with a PIN on a desk, and the client side of the draft extension "recovery"."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fido2 import cbor
from fido2.ctap2 import AssertionResponse, AttestationResponse, ClientPin, Ctap2
from fido2.ctap2.pin import PinProtocolV2
from fido2.webauthn import AttestedCredentialData

if TYPE_CHECKING:
    from collections.abc import Mapping

PERMISSION = ClientPin.PERMISSION
RECOVERY = 0x80
COMMAND = 0x4B
GET_ALLOWED_ALGS, EXPORT, IMPORT, LIST, REMOVE = 1, 2, 3, 4, 5


@dataclass
class Desk:
    """The key on a bench of its own, which gets a PIN."""

    bench: Any

    def __post_init__(self) -> None:
        self.bench.set_pin()
        self.begin()

    def begin(self) -> None:
        """Ask the key again what it is, as its options changed with the PIN."""
        self.bench.ctap = Ctap2(self.bench.device)

    @property
    def ctap(self) -> Ctap2:
        return self.bench.ctap

    @property
    def stored(self):
        """What the key remembers."""
        return self.bench.device._files.state()

    def reset(self) -> None:
        """Reset the key and give it a PIN again."""
        self.bench.replug()
        self.ctap.reset()
        self.bench.set_pin()
        self.begin()

    # The command.

    def token(self, permissions: int = RECOVERY, protocol=None, rp_id: str | None = None) -> bytes:
        return ClientPin(self.ctap, protocol).get_pin_token(self.bench.PIN, PERMISSION(permissions), rp_id)

    def mac(self, subcommand: int, parameters: Mapping[int, Any], token: bytes, protocol=None) -> bytes:
        message = b"\xff" * 32 + bytes([COMMAND, subcommand]) + (cbor.encode(parameters) if parameters else b"")
        return (protocol or PinProtocolV2()).authenticate(token, message)

    def send(self, subcommand: int, parameters: Mapping[int, Any] | None = None, mac=None, version: int = 2):
        request = {1: subcommand, **(parameters or {})}
        if mac is not None:
            request |= {4: version, 5: mac}
        return self.ctap.send_cbor(COMMAND, request)

    def do(self, subcommand: int, parameters: Mapping[int, Any] | None = None, protocol=None):
        """With a fresh token."""
        protocol = protocol or PinProtocolV2()
        mac = self.mac(subcommand, parameters or {}, self.token(protocol=protocol), protocol)
        return self.send(subcommand, parameters, mac, protocol.VERSION)

    def export(self) -> dict[int, Any]:
        return self.do(EXPORT, {2: [0]})[3]

    def take(self, seed: Mapping[int, Any]) -> None:
        self.do(IMPORT, {3: seed})

    def listed(self) -> tuple[list[bytes], int]:
        """The public keys of the seeds that the key was given, and its counter."""
        answer = self.do(LIST)
        return [seed[0xFF] for seed in answer[7]], answer[8]

    # The extension.

    def make(
        self,
        recovery_input: Any,
        rp_id: str = "example.com",
        *,
        user_id: bytes = b"u1",
        client_data_hash: bytes | None = None,
        pin: bool = True,
        extensions: Mapping[str, Any] | None = None,
    ) -> AttestationResponse:
        hash_ = client_data_hash or self.bench.CLIENT_DATA_HASH
        return self.ctap.make_credential(
            hash_,
            {"id": rp_id},
            {"id": user_id, "name": "kim"},
            [{"type": "public-key", "alg": -7}],
            extensions={"recovery": recovery_input, **(extensions or {})},
            options={"rk": True} if pin else None,
            **self._proof(PERMISSION.MAKE_CREDENTIAL, rp_id, hash_, pin=pin),
        )

    def assertion(
        self,
        credential_id: bytes,
        recovery_input: Any,
        rp_id: str = "example.com",
        *,
        client_data_hash: bytes | None = None,
        pin: bool = True,
    ) -> AssertionResponse:
        hash_ = client_data_hash or self.bench.CLIENT_DATA_HASH
        return self.ctap.get_assertion(
            rp_id,
            hash_,
            [{"type": "public-key", "id": credential_id}],
            extensions={"recovery": recovery_input},
            **self._proof(PERMISSION.GET_ASSERTION, rp_id, hash_, pin=pin),
        )

    def _proof(self, permission: int, rp_id: str, hash_: bytes, *, pin: bool) -> dict[str, Any]:
        if not pin:
            return {}
        token = self.token(permission, rp_id=rp_id)
        return {"pin_uv_param": PinProtocolV2().authenticate(token, hash_), "pin_uv_protocol": 2}

    def state(self) -> int:
        """As a site sees it."""
        made = self.make({"action": "state"}, pin=False)
        return made.auth_data.extensions["recovery"]["state"]

    def generated(self, credential_id: bytes) -> list[AttestedCredentialData]:
        output = self.assertion(credential_id, {"action": "generate"}).auth_data.extensions["recovery"]
        assert (output["action"], output["state"]) == ("generate", self.listed()[1])
        return [AttestedCredentialData(content) for content in output["creds"]]

    def recover(self, *ids: bytes, rp_id: str = "example.com", **more: Any) -> AttestationResponse:
        return self.make(recover_input(*ids), rp_id, **more)


def recover_input(*ids: bytes) -> dict[str, Any]:
    descriptors = [{"type": "public-key", "id": id_} for id_ in ids]
    return {"action": "recover", "allowCredentials": descriptors}
