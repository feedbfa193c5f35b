"""Runs the tests beside this file and prints how each ended, as one line of JSON.

{"test_x.Class.test_y": null, or the words of its failure}
"""

import json
import os
import sys
import unittest
from typing import Dict, Optional


class Results(unittest.TestResult):
    def __init__(self) -> None:
        super().__init__()
        self.ends: Dict[str, Optional[str]] = {}

    def stopTest(self, test: unittest.TestCase) -> None:
        self.ends.setdefault(test.id(), None)
        super().stopTest(test)

    def addSkip(self, test: unittest.TestCase, reason: str) -> None:
        self.ends[test.id()] = "skipped: " + reason

    def finish(self) -> Dict[str, Optional[str]]:
        for test, words in self.failures + self.errors:
            self.ends[test.id()] = words
        return self.ends


def main() -> None:
    suite = unittest.defaultTestLoader.discover(os.path.dirname(os.path.abspath(__file__)))
    results = Results()
    suite.run(results)
    sys.stdout.write(json.dumps(results.finish()) + "\n")


main()
