"""Reads a websocket client's byte stream as a proxy sees it, without touching it."""

from __future__ import annotations

_BINARY = 2
_MASK_BYTES = 4


class Tap:
    """Feeds on the bytes that a websocket client sends: the HTTP request, then masked frames (RFC 6455, 5.2).

    Attributes:
        binary: number of binary frames so far; above 0 the handshake is over.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._upgraded = False
        self.binary = 0

    @property
    def at_boundary(self) -> bool:
        """Whether the next byte begins a frame."""
        return self._upgraded and not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """Payloads of the binary frames that ``data`` completes."""
        self._buffer += data
        if not self._upgraded:
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return []
            del self._buffer[: end + 4]
            self._upgraded = True
        found = []
        while (frame := self._next()) is not None:
            opcode, payload = frame
            if opcode == _BINARY:
                self.binary += 1
                found.append(payload)
        return found

    def _next(self) -> tuple[int, bytes] | None:
        buffer = self._buffer
        if len(buffer) < 2:
            return None
        length, at = buffer[1] & 0x7F, 2
        if length >= 126:
            width = 2 if length == 126 else 8
            if len(buffer) < at + width:
                return None
            length, at = int.from_bytes(buffer[at : at + width], "big"), at + width
        masked = _MASK_BYTES if buffer[1] & 0x80 else 0
        end = at + masked + length
        if len(buffer) < end:
            return None
        mask = bytes(buffer[at : at + masked])
        payload = unmasked(bytes(buffer[at + masked : end]), mask)
        opcode = buffer[0] & 0x0F
        del buffer[:end]
        return opcode, payload


def unmasked(payload: bytes, mask: bytes) -> bytes:
    """``payload`` with ``mask`` applied (or taken off: it is its own inverse)."""
    if not mask:
        return payload
    size = len(payload)
    pattern = (mask * (size // _MASK_BYTES + 1))[:size]
    return (int.from_bytes(payload, "big") ^ int.from_bytes(pattern, "big")).to_bytes(size, "big")


def binary_frame(payload: bytes, mask: bytes = b"\x11\x22\x33\x44") -> bytes:
    """A binary frame as a client sends it."""
    size = len(payload)
    if size < 126:
        head = bytes([0x80 | _BINARY, 0x80 | size])
    elif size < 1 << 16:
        head = bytes([0x80 | _BINARY, 0x80 | 126]) + size.to_bytes(2, "big")
    else:
        head = bytes([0x80 | _BINARY, 0x80 | 127]) + size.to_bytes(8, "big")
    return head + mask + unmasked(payload, mask)
