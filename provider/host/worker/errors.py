"""What an operation can fail with: a name that the client acts on, and words for people. Nobody parses the words."""

import os
import traceback
from typing import Any, Callable, Dict, Optional

from worker.text import to_text

#: Values that go into an error besides its words.
Details = Dict[str, Any]


class Failure(Exception):
    """An operation's end without a result.

    `name` is one of the client's `failureNames`; `code` is the system's errno where it has one.
    """

    def __init__(
        self,
        name: str,
        message: str,
        path: Optional[bytes] = None,
        code: Optional[int] = None,
        details: Optional[Details] = None,
    ) -> None:
        super().__init__(message)
        self.name = name
        self.message = message
        self.path = path
        self.code = code
        self.details = details or {}

    def to_json(self) -> Details:
        return {
            "name": self.name,
            "errno": self.code,
            "path": None if self.path is None else to_text(self.path),
            "message": self.message,
            "details": self.details,
        }


def system_failure(error: OSError, path: Optional[bytes] = None) -> Failure:
    """A refusal of the system's, as it is: errno decides, never the words."""
    name = error.filename if path is None else path
    if isinstance(name, str):
        name = os.fsencode(name)
    words = os.strerror(error.errno) if error.errno else str(error)
    return Failure("system", words, name if isinstance(name, bytes) else None, error.errno)


def words_of(reason: Exception) -> str:
    """For people, in the middle of a sentence: never python's own form of an error."""
    failure = system_failure(reason) if isinstance(reason, OSError) else reason
    if not isinstance(failure, Failure):
        return str(failure)
    return failure.message if failure.path is None else "%s (%s)" % (failure.message, os.fsdecode(failure.path))


def both(one: Optional[str], other: str) -> str:
    """What has failed before, and what failed now."""
    return other if one is None else "%s; %s" % (one, other)


def outcome_of(work: Callable[[], Details]) -> Details:
    """What it returned, or its failure, as the client is told it."""
    try:
        return {"result": work()}
    except Failure as failure:
        return {"error": failure.to_json()}
    except OSError as error:
        return {"error": system_failure(error).to_json()}
    except Exception:
        return {"error": Failure("bug", traceback.format_exc(limit=-8)).to_json()}
