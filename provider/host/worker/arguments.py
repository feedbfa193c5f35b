"""The arguments of a request, each read with the type that it must have."""

from typing import Any, Dict, List, Optional

from worker.errors import Failure
from worker.text import from_base64, to_bytes


class Arguments:
    """A request's arguments. Every wrong one is a `bad-request`, so a mistake of the client's never becomes a default."""

    def __init__(self, values: Dict[str, Any]) -> None:
        self.values = values

    def has(self, key: str) -> bool:
        return self.values.get(key) is not None

    def text(self, key: str) -> str:
        value = self.values.get(key)
        if not isinstance(value, str):
            raise wrong(key, "a text")
        return value

    def whole(self, key: str) -> int:
        value = self.values.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise wrong(key, "a whole number of at least 0")
        return value

    def seconds(self, key: str) -> float:
        value = self.values.get(key)
        if not isinstance(value, (int, float)) or isinstance(value, bool) or value < 0:
            raise wrong(key, "a number of seconds")
        return float(value)

    def flag(self, key: str) -> bool:
        value = self.values.get(key)
        if not isinstance(value, bool):
            raise wrong(key, "true or false")
        return value

    def choice(self, key: str, words: List[str]) -> str:
        value = self.text(key)
        if value not in words:
            raise wrong(key, "one of " + ", ".join(words))
        return value

    def content(self, key: str) -> bytes:
        try:
            return from_base64(self.text(key))
        except ValueError:
            raise wrong(key, "base64") from None

    def mapping(self, key: str) -> Dict[str, Any]:
        value = self.values.get(key)
        if not isinstance(value, dict):
            raise wrong(key, "an object")
        return value

    def optional_mapping(self, key: str) -> Optional[Dict[str, Any]]:
        return self.mapping(key) if self.has(key) else None

    def mappings(self, key: str) -> List[Dict[str, Any]]:
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(one, dict) for one in value):
            raise wrong(key, "a list of objects")
        return value

    def path(self, key: str) -> bytes:
        return absolute(key, self.text(key))

    def paths(self, key: str) -> List[bytes]:
        return [absolute(key, path) for path in self.texts(key)]

    def words(self, key: str, at_least: int = 1) -> List[bytes]:
        """Words of a command line, none with a NUL."""
        value = self.values.get(key)
        if not isinstance(value, list) or len(value) < at_least or not all(isinstance(word, str) for word in value):
            raise wrong(key, "a list of words")
        return [encoded(key, word) for word in value]

    def texts(self, key: str) -> List[str]:
        value = self.values.get(key)
        if not isinstance(value, list) or not all(isinstance(one, str) for one in value):
            raise wrong(key, "a list of texts")
        return value

    def numbers(self, key: str) -> List[int]:
        value = self.values.get(key) or []
        if not isinstance(value, list) or not all(isinstance(one, int) for one in value):
            raise wrong(key, "a list of numbers")
        return value


def encoded(key: str, text: str) -> bytes:
    """What a system call can take: no NUL, and only the surrogates that stand for bytes."""
    try:
        data = to_bytes(text)
    except UnicodeEncodeError:
        raise wrong(key, "text of whole characters") from None
    if b"\0" in data:
        raise wrong(key, "text without NUL")
    return data


def absolute(key: str, text: str) -> bytes:
    path = encoded(key, text)
    if not path.startswith(b"/"):
        raise wrong(key, "an absolute path")
    return path


def wrong(key: str, expected: str) -> Failure:
    return Failure("bad-request", "the argument %s must be %s" % (key, expected))
