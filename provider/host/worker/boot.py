"""The first thing that python runs on the host: takes the program's modules from its input and starts them. Nothing is written there."""

import os
import sys
from typing import Any


def take(count: int) -> bytes:
    data = b""
    while len(data) < count:
        piece = os.read(0, count - len(data))
        if not piece:
            os._exit(0)
        data += piece
    return data


def say(text: str) -> None:
    os.write(1, (text + "\n").encode("ascii"))


def boot() -> None:
    import json
    import zlib
    from importlib.machinery import ModuleSpec

    program = json.loads(zlib.decompress(take(int(take(8)))).decode("utf-8"))

    class Sent:
        """Finds the modules among those that were sent. They import each other as files would."""

        modules = program["modules"]

        def find_spec(self, name: str, path: Any = None, target: Any = None) -> Any:
            loader: Any = self  # it need not be a Loader by its class, whose module takes time to load
            if name == "worker":
                return ModuleSpec(name, loader, is_package=True)
            return ModuleSpec(name, loader) if name in self.modules else None

        def create_module(self, spec: Any) -> None:
            """The usual one."""

        def exec_module(self, module: Any) -> None:
            if module.__name__ in self.modules:
                text = self.modules[module.__name__]
                exec(compile(text, module.__name__.replace(".", "/") + ".py", "exec"), module.__dict__)

    finder: Any = Sent()
    sys.meta_path.insert(0, finder)
    import worker.main

    worker.main.main(program["silenceSeconds"])


if sys.version_info < (3, 6):
    say('{"missing":"python 3.6","found":"%d.%d"}' % tuple(sys.version_info[:2]))
else:
    try:
        boot()
    except ImportError as error:
        say('{"missing":"%s"}' % (error.name or "a module"))
