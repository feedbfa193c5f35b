"""Another account of a host, which may write in both directories of a move and in the one above: puts other things under its names.

It reads a line each: `go everything`, `go new-files`, `stop`. `new-files` are small files and images that a run is just making: they are
swapped for links to files, all the time. At `stop` it puts everything back that it can, and says in a line what it has done.
"""

import ctypes
import errno
import fcntl
import json
import os
import random
import select
import stat
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
AT_FDCWD = -100
RENAME_NOREPLACE, RENAME_EXCHANGE = 1, 2

KINDS = ["file", "private", "nothing", "directory-link", "fifo", "directory", "forged", "locked", "old"]

#: What is left in place at most; most of the time it is much less.
LONGEST_SECONDS = 0.003


def rename(old, new, flags):
    if LIBC.renameat2(AT_FDCWD, old.encode(), AT_FDCWD, new.encode(), ctypes.c_uint(flags)) == 0:
        return True
    if ctypes.get_errno() in (errno.ENOENT, errno.EEXIST, errno.ENOTDIR, errno.EPERM, errno.EACCES):
        return False
    raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()), old)


def inode(path):
    try:
        status = os.lstat(path)
    except OSError:
        return None
    return (status.st_dev, status.st_ino)


class Attack:
    def __init__(self, above, directories, outside):
        self.above = above
        self.directories = directories
        self.outside = outside
        self.attic = os.path.join(above, "attic")
        self.lost = 0
        self.swaps = 0
        #: Each file that is put under a lock's name is held locked.
        self.held = []
        os.mkdir(self.attic, 0o777)
        os.chmod(self.attic, 0o2777)

    def decoy(self, directory, name):
        """Something that is none of the move's; at a path in the attic."""
        path = os.path.join(self.attic, "decoy-%d" % random.getrandbits(60))
        kinds = ["file", "private"] if self.spares_all_but_new else KINDS
        kind = random.choice(kinds)
        if kind in ("file", "private", "nothing"):
            os.symlink(os.path.join(self.outside, kind), path)
        elif kind == "directory-link":
            os.symlink(os.path.join(self.outside, "directory"), path)
        elif kind == "fifo":
            os.mkfifo(path, 0o666)
        elif kind == "directory":
            os.mkdir(path, 0o777)
        else:
            self.file(path, kind, os.path.join(directory, name))
        return path

    def file(self, path, kind, original):
        """A manifest that leads outside, a lock that somebody holds, or what was there before."""
        text = ""
        if kind in ("forged", "old"):
            try:
                descriptor = os.open(original, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
                with os.fdopen(descriptor) as file:
                    text = file.read(65536)
            except (OSError, ValueError):
                pass
        if kind == "forged":
            for directory in self.directories:
                text = text.replace(directory, os.path.join(self.outside, "directory"))
        with open(path, "w") as file:
            file.write(text)
        os.chmod(path, 0o666)
        if kind == "locked":
            self.held.append(os.open(path, os.O_RDWR))
            fcntl.flock(self.held[-1], fcntl.LOCK_EX)

    def go(self, aim):
        """A run stops where its lock is gone: left alone, now and then, it comes to its later steps."""
        self.spares_all_but_new = aim == "new-files"
        self.spares_locks = self.spares_all_but_new or random.random() < 0.7
        self.pause = 0 if self.spares_all_but_new else random.choice([0, 0, 0.005, 0.02])

    def swap(self):
        time.sleep(self.pause)
        directory = random.choice(self.directories)
        if random.random() < 0.02 and not self.spares_locks:
            return self.swap_directory(directory)
        try:
            names = [name for name in os.listdir(directory) if not self.is_mine(os.path.join(directory, name))]
        except OSError:
            return None
        if self.spares_locks:
            names = [name for name in names if not name.endswith((".lock", ".lm-layer"))]
        ours = [name for name in names if "lm-" in name or name.startswith(".livedisk-") or name.endswith(".new")]
        if self.spares_all_but_new:
            names = ours = [name for name in names if name.startswith(".livedisk-") or name.endswith((".new", ".probe"))]
        # a guest's images are swapped less often: else nothing else would be refused
        chosen = ours if random.random() < 0.97 else names
        if chosen:
            name = random.choice(chosen)
            self.exchange(os.path.join(directory, name), self.decoy(directory, name))
        return None

    def is_mine(self, path):
        try:
            return os.lstat(path).st_uid == os.geteuid()
        except OSError:
            return True

    def swap_directory(self, directory):
        """The whole directory, for a link or for another one."""
        decoy = os.path.join(self.attic, "decoy-%d" % random.getrandbits(60))
        if random.random() < 0.5:
            os.symlink(os.path.join(self.outside, "directory"), decoy)
        else:
            os.mkdir(decoy, 0o777)
            os.chmod(decoy, 0o2777)
        self.exchange(directory, decoy)

    def exchange(self, path, decoy):
        put = inode(decoy)
        if not rename(decoy, path, RENAME_EXCHANGE):
            self.drop(decoy)
            return
        self.swaps += 1
        time.sleep(random.random() ** 3 * LONGEST_SECONDS)
        if inode(path) == put and rename(path, decoy, RENAME_EXCHANGE):
            self.drop(decoy)
        elif not rename(decoy, path, RENAME_NOREPLACE):
            self.lost += 1
            rename(decoy, os.path.join(self.attic, "lost-%d" % random.getrandbits(60)), RENAME_NOREPLACE)

    def drop(self, path):
        try:
            if stat.S_ISDIR(os.lstat(path).st_mode):
                os.rmdir(path)
            elif os.lstat(path).st_uid == os.geteuid():
                os.unlink(path)
        except OSError:
            self.keep(path)

    def keep(self, path):
        rename(path, os.path.join(self.attic, "kept-%d" % random.getrandbits(60)), RENAME_NOREPLACE)

    def stop(self):
        for descriptor in self.held:
            os.close(descriptor)
        self.held = []
        for directory in self.directories:
            for name in os.listdir(directory):
                path = os.path.join(directory, name)
                if self.is_mine(path):
                    self.drop(path)
        told = {"swaps": self.swaps, "lost": self.lost}
        self.swaps = self.lost = 0
        return told


def main():
    above, outside = sys.argv[1:3]
    attack = Attack(above, [os.path.join(above, name) for name in sys.argv[3:]], outside)
    print("{}", flush=True)
    is_going = False
    while True:
        if select.select([sys.stdin], [], [], 0 if is_going else None)[0]:
            word = sys.stdin.readline().strip()
            if word == "":
                return
            is_going = word != "stop"
            if is_going:
                attack.go(word.split()[1])
            else:
                print(json.dumps(attack.stop()), flush=True)
        if is_going:
            attack.swap()


main()
