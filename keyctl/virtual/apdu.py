"""Command APDUs, as a card reads them (ISO 7816-4, section 5)."""

from __future__ import annotations

from dataclasses import dataclass

#: Data in one answer: with the status word it has to fit into a reader's frame of 16-bit length.
MAX_ANSWER_BYTES = 0xFFFF - 2

_CHAINED = 0x10


@dataclass(frozen=True)
class Command:
    """One command, taken apart."""

    #: The class byte without the chaining bit.
    cla: int
    ins: int
    p1: int
    p2: int
    data: bytes
    #: Whether more of the same command follows.
    chained: bool
    #: The most data bytes that the answer may have.
    room: int

    @classmethod
    def parse(cls, apdu: bytes) -> Command | None:
        """The command in *apdu*, or None when its lengths do not add up (section 5.2).

        Where a client leaves Le out it gets as much as fits that form: many do so and still expect data.
        """
        if len(apdu) < 4:
            return None
        body = apdu[4:]
        if len(body) > 2 and body[0] == 0:
            most, size, field = MAX_ANSWER_BYTES, 2, body[1:]
        else:
            most, size, field = 256, 1, body
        if len(field) <= size:
            data, le = b"", field
        else:
            end = size + int.from_bytes(field[:size], "big")
            data, le = field[size:end], field[end:]
            if not data or len(field) < end:
                return None
        if len(le) not in (0, size):
            return None
        return cls(
            cla=apdu[0] & ~_CHAINED,
            ins=apdu[1],
            p1=apdu[2],
            p2=apdu[3],
            data=data,
            chained=bool(apdu[0] & _CHAINED),
            room=min(int.from_bytes(le, "big") or most, most),
        )

    def continues(self, earlier: Command | None) -> bool:
        """Whether it is the next link of *earlier*'s chain (section 5.3.3)."""
        return earlier is not None and earlier.chained and earlier.head == self.head

    @property
    def head(self) -> tuple[int, int, int, int]:
        """The four bytes that all links of a chain have in common."""
        return self.cla, self.ins, self.p1, self.p2

    def extended_form(self) -> bytes:
        """The same command with lengths of two bytes, unchained, and room for the longest answer."""
        header = bytes([self.cla, self.ins, self.p1, self.p2, 0])
        return header + len(self.data).to_bytes(2, "big") + self.data + bytes(2)
