"""Work on its way to another process, with the descriptors that it needs (SCM_RIGHTS, unix(7)).

worker → fork server: one end of a new pair of sockets. Then, over that pair:
child → worker: its process id. Nothing of ours is in its hands before.
worker → child: how much comes (HEAD), the numbers, each descriptor with one byte, the pickled work.
child → worker: READY. worker → child: GO. Without it the child ends, and has done nothing.
child → worker: lines of JSON, events and at last the outcome.
"""

import os
import pickle
import socket
import struct
import time
from typing import Callable, List, Optional

from worker.errors import Details

#: How it goes on, for who waits. It never fails, and nobody waits for a reader.
Tell = Callable[[Details], None]

#: Functions of modules, `functools.partial` of these, and values that can be pickled. Descriptors are numbers in it.
Work = Callable[[Tell], Details]

#: How many descriptors the work has, and how many bytes.
HEAD = struct.Struct("=II")
NUMBER = struct.Struct("=i")


def packed(work: Work) -> bytes:
    return pickle.dumps(work, protocol=4)


def send_descriptor(stream: socket.socket, descriptor: int, flags: int = 0) -> None:
    """With one byte, since a descriptor does not come alone (unix(7))."""
    stream.sendmsg([b"d"], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, NUMBER.pack(descriptor))], flags)


def receive_descriptor(stream: socket.socket) -> Optional[int]:
    """By the lowest number that is free. None: nobody sends any more. @raise EOFError if it has come without"""
    byte, ancillary, _, _ = stream.recvmsg(1, socket.CMSG_SPACE(NUMBER.size), socket.MSG_CMSG_CLOEXEC)
    if not byte:
        return None
    for _, _, data in ancillary:
        (descriptor,) = NUMBER.unpack(data)
        return int(descriptor)
    raise EOFError


def send_work(stream: socket.socket, work: bytes, keep: List[int], deadline: float) -> None:
    stream.sendall(HEAD.pack(len(keep), len(work)) + b"".join(NUMBER.pack(number) for number in keep))
    for number in keep:
        limit(stream, deadline)
        send_descriptor(stream, number)
    stream.sendall(work)


def receive_work(stream: socket.socket) -> Work:
    count, length = HEAD.unpack(receive(stream, HEAD.size))
    numbers = [number for (number,) in NUMBER.iter_unpack(receive(stream, count * NUMBER.size))]
    for number in numbers:
        fill_below(number)
        if receive_descriptor(stream) != number:
            raise EOFError
    work: Work = pickle.loads(receive(stream, length))
    return work


def receive(stream: socket.socket, count: int, deadline: float = float("inf")) -> bytes:
    data = bytearray()
    while len(data) < count:
        limit(stream, deadline)
        piece = stream.recv(count - len(data))
        if not piece:
            raise EOFError
        data += piece
    return bytes(data)


def limit(stream: socket.socket, deadline: float) -> None:
    """For the next call. @raise socket.timeout"""
    if deadline == float("inf"):
        return
    left = deadline - time.monotonic()
    if left <= 0:
        raise socket.timeout()
    stream.settimeout(left)


def fill_below(number: int) -> None:
    """So that the next descriptor gets this number: to move it there would leave a second one, and no close is free.

    What fills can be neither read nor written.
    """
    filler = os.open("/", os.O_PATH | os.O_CLOEXEC)
    while filler < number:
        filler = os.dup(filler)
    os.close(filler)
