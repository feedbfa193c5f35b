"""A monitor's stream, cut into messages."""

import json
import socket
from typing import Any, Dict, List, Optional

from worker.waiting import ready

#: A reply lists every block node of a guest.
REPLY_BYTES_AT_MOST = 64 * 1024 * 1024

#: What a line that is kept takes besides its bytes.
KEPT_LINE_BYTES = 64

Message = Dict[str, Any]


class Messages:
    """Whole messages of a stream. Its end says nothing about the process behind it."""

    def __init__(self, stream: socket.socket) -> None:
        self.stream = stream
        self.partial = bytearray()
        #: Lines of a message that is spread over several.
        self.spread: List[bytes] = []
        self.spread_bytes = 0
        #: Why nothing more is read: `ended`, `too-large`, `not-json`.
        self.over: Optional[str] = None
        #: The beginning of what is no JSON.
        self.said = b""

    def read(self, wait_seconds: float) -> List[Message]:
        """What has come within that time."""
        if not ready(wait_seconds, [self.stream.fileno()]):
            return []
        try:
            piece = self.stream.recv(1 << 20)
        except BlockingIOError:
            return []
        except OSError:
            piece = b""
        self.partial += piece
        if not piece:
            self.over = "ended"
        elif len(self.partial) + self.spread_bytes > REPLY_BYTES_AT_MOST:
            self.over = "too-large"
        elif b"\n" in piece:
            *whole, rest = bytes(self.partial).split(b"\n")
            self.partial = bytearray(rest)
            return self._messages(whole)
        return []

    def left(self) -> bytes:
        """What has come of a message that is not whole."""
        return b"".join(line + b"\n" for line in self.spread) + bytes(self.partial)

    def go_on(self, left: bytes) -> None:
        """Where another process has read meanwhile, and left this."""
        self.partial = bytearray(left)
        self.spread = []
        self.spread_bytes = 0

    def _messages(self, lines: List[bytes]) -> List[Message]:
        messages: List[Message] = []
        for line in lines:
            text = self._whole(line.rstrip(b"\r"))
            if not text.strip():
                continue
            message = parsed(text)
            if message is None:
                self.over = "not-json"
                self.said = text[:60]
                break
            messages.append(message)
        return messages

    def _whole(self, line: bytes) -> bytes:
        """With `pretty=on` a message's braces stand alone in the first column (qobject_to_json_pretty(), QEMU 7.2). Empty: not yet."""
        if not self.spread and line != b"{":
            return line
        self.spread.append(line)
        self.spread_bytes += len(line) + KEPT_LINE_BYTES
        if line != b"}":
            return b""
        text = b"\n".join(self.spread)
        self.spread = []
        self.spread_bytes = 0
        return text


def parsed(text: bytes) -> Optional[Message]:
    """None for what is no object of JSON, or nests deeper than any reply."""
    try:
        message = json.loads(text.decode("utf-8", "replace"))
    except (ValueError, RecursionError):
        return None
    return message if isinstance(message, dict) else None
