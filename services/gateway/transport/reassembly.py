"""Puts frames together to messages: text only, in UTF-8, in a bounded number of pieces. Pure."""

from websockets.frames import CloseCode, Frame, Opcode
from websockets.typing import BytesLike

PIECES = 1024  # of one message


class Unreadable(Exception):  # noqa: N818 - what the client sent, not a failure of ours
    """The client sent a frame that cannot be part of a message. The connection closes with this code.

    `error` is its name in the metrics.
    """

    def __init__(self, error: str, code: CloseCode, why: str) -> None:
        super().__init__(why)
        self.error = error
        self.code = code
        self.why = why


class Assembly:
    """The unfinished message of one connection. `websockets` already checks that a continuation follows a beginning."""

    __slots__ = ("_pieces",)

    def __init__(self) -> None:
        self._pieces: list[bytes] = []

    def take(self, frame: Frame) -> str | None:
        """The message that is complete with this frame (TEXT, BINARY or CONT). Raises Unreadable."""
        if frame.opcode is Opcode.BINARY:
            raise Unreadable("BinaryMessage", CloseCode.UNSUPPORTED_DATA, "a message is a text frame, not a binary one")
        if frame.opcode is Opcode.TEXT:
            if frame.fin:
                return _text(frame.data)
            self._pieces.clear()
        self._pieces.append(bytes(frame.data))
        if frame.fin:
            whole = b"".join(self._pieces)
            self._pieces.clear()
            return _text(whole)
        if len(self._pieces) > PIECES:
            self._pieces.clear()
            raise Unreadable("TooManyFragments", CloseCode.MESSAGE_TOO_BIG, "a message has too many fragments")
        return None


def _text(message: BytesLike) -> str:
    try:
        return str(message, "utf-8")
    except UnicodeDecodeError:
        raise Unreadable("UnicodeDecodeError", CloseCode.INVALID_DATA, "a message is UTF-8") from None
