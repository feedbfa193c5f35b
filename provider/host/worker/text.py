"""Text and bytes. Paths are bytes on the host and UTF-8 on the wire, whatever the locale: Python 3.6 takes ASCII under LC_ALL=C."""

import base64


def to_bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def to_text(data: bytes) -> str:
    """Bytes that are no UTF-8 become lone surrogates, which JSON carries and `to_bytes` turns back."""
    return data.decode("utf-8", "surrogateescape")


def to_base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def from_base64(text: str) -> bytes:
    return base64.b64decode(text.encode("ascii"), validate=True)
