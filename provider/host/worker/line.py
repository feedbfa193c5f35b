"""A monitor's connection in the hands of one alone, without threads: so that it can be another process's."""

import os
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from worker.connection import TICK_SECONDS, Connection
from worker.errors import Details, Failure
from worker.messages import Message
from worker.text import from_base64, to_base64


Command = Tuple[str, Details]


class Answer(NamedTuple):
    #: What QEMU returns.
    value: Any
    #: That it has refused.
    refused: Optional[Failure]


class Line:
    """What is no reply to its own commands, it drops: events, and replies to whoever had the connection before."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.begin()

    def begin(self) -> None:
        self.run = os.urandom(8).hex()
        self.sent = 0

    def take_over(self) -> None:
        """From one that died. Its successor has ids of its own: a late reply to the dead one is none of its.

        Nobody knows what that one has read. The rest of a message of which it had the beginning is no JSON, and ends the connection.
        """
        self.connection.messages.go_on(b"")
        self.begin()

    def left(self) -> Optional[str]:
        """For `give_back`, which may be called in another process. None: it is of no use any more."""
        return to_base64(self.connection.messages.left()) if self.is_open else None

    def give_back(self, left: Optional[str]) -> None:
        if left is None:
            self.connection.shut()
        else:
            self.connection.messages.go_on(from_base64(left))

    @property
    def is_open(self) -> bool:
        return not self.connection.is_closed and not self.connection.messages.over

    def execute(self, command: str, arguments: Details, check: Callable[[], None]) -> Any:
        """What QEMU returns. `check` is called while it waits, and ends the waiting by raising: in QEMU the command goes on."""
        [answer] = self.execute_all([(command, arguments)], check)
        if answer.refused is not None:
            raise answer.refused
        return answer.value

    def execute_all(self, commands: List[Command], check: Callable[[], None]) -> List[Answer]:
        """Sent at once, carried out by QEMU one after the other: so none waits for the way back and forth of the one before."""
        numbered: List[Message] = []
        for command, arguments in commands:
            self.sent += 1
            numbered.append({"execute": command, "arguments": arguments, "id": "livedisk-%s-%d" % (self.run, self.sent)})
        self.connection.send(numbered, check)
        replies = self._replies([message["id"] for message in numbered], check)
        return [self._answer(message, replies[message["id"]]) for message in numbered]

    def wait(self, seconds: float) -> None:
        """That long, or until something comes."""
        if self.is_open:
            self.connection.messages.read(seconds)

    def close(self) -> None:
        self.connection.stream.close()

    def _answer(self, message: Message, reply: Message) -> Answer:
        try:
            return Answer(self.connection.returned(message["execute"], reply), None)
        except Failure as refused:
            return Answer(None, refused)

    def _replies(self, numbers: List[str], check: Callable[[], None]) -> Dict[str, Message]:
        found: Dict[str, Message] = {}
        while self.is_open:
            check()
            for message in self.connection.messages.read(TICK_SECONDS):
                if message.get("id") in numbers:
                    found[message["id"]] = message
            if len(found) == len(numbers):
                return found
        raise self.connection.closed()
