import os
import socket
import threading
from typing import List

from support import Folder
from worker.errors import Details, Failure
from worker.monitor import Monitor


class Closed(Folder):
    def opened(self) -> Monitor:
        server = socket.socket(socket.AF_UNIX)
        self.addCleanup(server.close)
        server.bind(self.path(b"qmp"))
        server.listen(1)
        greeting = threading.Thread(target=self.greet, args=(server,))
        greeting.start()
        monitor = Monitor(self.path(b"qmp"), 5)
        greeting.join()
        return monitor

    def greet(self, server: socket.socket) -> None:
        stream, _ = server.accept()
        self.addCleanup(stream.close)
        stream.sendall(b'{"QMP": {}}\n')
        number = stream.recv(4096).split(b'"id": "')[1].split(b'"')[0]
        stream.sendall(b'{"return": {}, "id": "%s"}\n' % number)

    def test_it_is_lent_to_nobody_and_writes_into_no_file_that_has_its_descriptor_now(self) -> None:
        monitor = self.opened()
        told: List[Details] = []
        monitor.start(told.append)
        waker = monitor.waker
        monitor.close()
        file = os.open(self.write(b"image", b""), os.O_RDWR)
        os.dup2(file, waker)
        self.addCleanup(os.close, waker)
        os.close(file)
        with self.assertRaises(Failure) as caught:
            with monitor.lent(lambda: None):
                pass
        self.assertEqual((caught.exception.name, self.read(b"image")), ("monitor-closed", b""))

    def test_its_end_is_told_before_who_borrowed_it_goes_on(self) -> None:
        monitor = self.opened()
        has_gone_on = threading.Event()
        was_late: List[bool] = []
        monitor.start(lambda values: was_late.append(has_gone_on.wait(0.2)))
        with monitor.lent(lambda: None) as line:
            line.give_back(None)
        has_gone_on.set()
        monitor.close()
        self.assertEqual(was_late, [False])
