"""What the tests of the worker's modules share: a folder, and requests without a client."""

import fcntl
import os
import shutil
import tempfile
import unittest
from typing import Any, Dict, List

from worker.arguments import Arguments
from worker.errors import Details
from worker.fork_client import ForkServer
from worker.paths import DIRECTORY_FLAGS
from worker.places import Place
from worker.requests import Request
from worker.state import State
from worker.wire import Outlet


def is_locked(path: bytes) -> bool:
    descriptor = os.open(path, os.O_RDWR)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)


class Folder(unittest.TestCase):
    """Each test has a folder of its own."""

    def setUp(self) -> None:
        self.folder = os.fsencode(tempfile.mkdtemp(prefix="livedisk-worker-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.directory = os.open(self.folder, DIRECTORY_FLAGS)
        self.addCleanup(os.close, self.directory)

    def path(self, name: bytes) -> bytes:
        return os.path.join(self.folder, name)

    def place(self, name: bytes) -> Place:
        return Place(self.directory, name, self.path(name))

    def write(self, name: bytes, content: bytes) -> bytes:
        with open(self.path(name), "wb") as file:
            file.write(content)
        return self.path(name)

    def read(self, name: bytes) -> bytes:
        with open(self.path(name), "rb") as file:
            return file.read()

    def names(self) -> List[bytes]:
        return sorted(os.listdir(self.folder))


class Said(Outlet):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.messages: List[Details] = []

    def send(self, message: Dict[str, Any]) -> None:
        self.messages.append(message)

    def send_now(self, message: Dict[str, Any]) -> None:
        self.messages.append(message)


def request_of(arguments: Details) -> Request:
    return Request(1, Arguments(arguments), State(Said(), ForkServer()))
