import os

from support import Folder
from worker.errors import Failure
from worker.handles import Descriptors


def close_all(files: Descriptors) -> None:
    for descriptor in files.take_all():
        os.close(descriptor)


class Numbers(Folder):
    def opened(self, name: bytes) -> int:
        return os.open(self.write(name, name), os.O_RDONLY)

    def test_a_number_is_never_given_twice(self) -> None:
        files = Descriptors("file")
        first = files.add(self.opened(b"one"))
        files.close(first)
        self.assertNotEqual(files.add(self.opened(b"two")), first)
        self.assertRaises(Failure, files.get, first)
        close_all(files)

    def test_what_is_used_stays_the_same_file_while_its_handle_is_closed(self) -> None:
        files = Descriptors("file")
        number = files.add(self.opened(b"one"))
        with files.using(number) as descriptor:
            files.close(number)
            files.add(self.opened(b"two"))  # gets the descriptor that has just become free
            self.assertEqual(os.read(descriptor, 10), b"one")
        close_all(files)
