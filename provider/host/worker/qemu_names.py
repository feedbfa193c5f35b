"""Names of files in the words of QEMU's command line."""

import json
from typing import Any, Iterator

from worker.text import to_bytes

#: A word of a command line has no NUL.
COMMA = b"\0"


def names_in(word: bytes) -> Iterator[bytes]:
    """Absolute paths that stand in an option's value, in its JSON, or by themselves.

    A doubled comma in an option's value is one (keyval_parse_one() in util/keyval.c).
    """
    if word.startswith(b"{"):
        yield from names_in_json(word)
        return
    for part in word.replace(b",,", COMMA).split(b","):
        text = part.replace(COMMA, b",")
        yield from names_in_text(text if text.startswith(b"/") else text.partition(b"=")[2] or text)


def names_in_text(text: bytes) -> Iterator[bytes]:
    """`file:` is the protocol of plain files, `json:` begins a whole node (block.c)."""
    if text.startswith(b"json:"):
        yield from names_in_json(text[len(b"json:"):])
    elif text.startswith(b"file:/"):
        yield text[len(b"file:"):]
    elif text.startswith(b"/"):
        yield text


def names_in_json(text: bytes) -> Iterator[bytes]:
    try:
        value = json.loads(text.decode("utf-8", "surrogateescape"))
    except ValueError:
        return
    for found in texts_in(value):
        yield from names_in_text(to_bytes(found))


def texts_in(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for one in value.values():
            yield from texts_in(one)
    elif isinstance(value, list):
        for one in value:
            yield from texts_in(one)
