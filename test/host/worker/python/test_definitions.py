import os
from unittest import mock

from support import Folder
from worker import definitions


class Synced(Folder):
    def synced(self, *folders: bytes) -> "mock.Mock":
        whole = mock.Mock()
        paths = [os.fsdecode(self.path(folder)) for folder in folders]
        with mock.patch.object(definitions, "DEFINITIONS", paths), mock.patch.object(definitions, "sync_file_system", whole):
            definitions.sync_definitions()
        return whole

    def test_a_directory_of_definitions_that_is_not_there_is_none(self) -> None:
        self.synced(b"nowhere").assert_not_called()

    def test_where_the_account_may_not_read_it_its_file_system_is_synced_as_a_whole(self) -> None:
        os.mkdir(self.path(b"qemu"))
        self.synced(b"qemu").assert_not_called()
        real = os.open

        def refused(path: str, *rest: int) -> int:
            if path == os.fsdecode(self.path(b"qemu")):
                raise PermissionError(13, "Permission denied")
            return real(path, *rest)

        with mock.patch.object(os, "open", side_effect=refused):
            self.assertEqual(self.synced(b"qemu").call_count, 1)
