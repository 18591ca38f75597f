"""Every operation answers as the document says, whatever it is asked. ``make fuzz`` asks more."""

import os
from typing import Any

import pytest

BOUNDED = "FUZZ_EXAMPLES" not in os.environ
EXAMPLES = 2  # requests of each kind to each operation


# Of werkzeug's client, in which schemathesis calls the application.
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_every_operation_answers_as_documented(make_installation: Any) -> None:
    from tests.functional.fuzzing import Fuzzer  # takes half a second, in each process

    examples = int(os.environ.get("FUZZ_EXAMPLES", EXAMPLES))
    with make_installation(**{"identity.registration": "open"}) as installation:
        fuzzer = Fuzzer(installation, examples, derandomize=BOUNDED)
        fuzzer.run()
        assert fuzzer.faults == []
        assert installation.checkedout() == 0
    answered = fuzzer.answers
    print(sum(answered.values()), "requests:", dict(sorted(answered.items())))  # shown by ``make fuzz``
    assert sum(answered.values()) > 80 * examples
    assert {200, 202, 204, 400, 401, 409, 422} <= set(answered)
