import errno
import unittest
from typing import Any, List
from unittest import mock

from support import request_of
from worker.errors import Failure
from worker.requests import OPERATIONS, Operation, Requests, perform


class Answers(unittest.TestCase):
    def test_the_first_answer_counts(self) -> None:
        request = request_of({})
        request.answer({"error": "too late"})
        request.answer({"result": {}})
        said: Any = request.state.outlet
        self.assertEqual(said.messages, [{"id": 1, "error": "too late"}])

    def test_a_result_that_comes_too_late_is_undone(self) -> None:
        for is_answered, expected in ((False, []), (True, ["undone"])):
            request = request_of({})
            done: List[str] = []
            request.is_answered = is_answered
            request.unless_answered(lambda: done.append("undone"))
            request.answer({"result": {}})
            self.assertEqual(done, expected)

    def test_an_exception_is_told_with_its_place_in_the_program(self) -> None:
        def broken(_: Any) -> Any:
            raise KeyError("x")

        error = perform(request_of({}), Operation(broken, False))["error"]
        self.assertEqual(error["name"], "bug")
        self.assertIn("in broken", error["message"])

    def test_a_system_error_keeps_its_number_and_path(self) -> None:
        def refused(_: Any) -> Any:
            open("/no/such/file")

        error = perform(request_of({}), Operation(refused, False))["error"]
        self.assertEqual((error["name"], error["errno"], error["path"]), ("system", 2, "/no/such/file"))

    def test_nothing_runs_under_a_lock_that_is_not_held(self) -> None:
        def never(_: Any) -> Any:
            raise AssertionError("it ran")

        error = perform(request_of({"locks": [7]}), Operation(never, True))["error"]
        self.assertEqual(error["name"], "unknown-handle")

    def test_one_for_which_no_thread_is_to_be_had_fails_and_the_others_go_on(self) -> None:
        state = request_of({}).state
        requests = Requests(state)
        with mock.patch.dict(OPERATIONS, {"nothing": Operation(lambda _: {}, True)}):
            with mock.patch("threading.Thread.start", side_effect=RuntimeError("can't start new thread")):
                requests.begin({"id": 6, "op": "nothing"})
        said: Any = state.outlet
        self.assertEqual([(one["id"], one["error"]["errno"]) for one in said.messages], [(6, errno.EAGAIN)])
        requests.end()

    def test_a_cancelled_request_runs_nothing(self) -> None:
        request = request_of({})
        request.cancelled.set()
        error = perform(request, Operation(lambda _: {}, True))["error"]
        self.assertEqual(error["name"], "cancelled")
        self.assertRaises(Failure, request.check)
