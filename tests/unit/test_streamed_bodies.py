"""A body that goes to its place as it arrives is bounded, and its end is noticed."""

import io
from typing import Any

import pytest

from tenantapp.api.problems import ApiError
from tenantapp.api.streamed import PIECE, pieces_of
from tenantapp.serving.asking import AWAIT_BODY, Awaited
from tenantapp.tenancy.request import TenantRequest

LIMIT = 3 * PIECE


def asked(source: Any, **environ: Any) -> TenantRequest:
    request: TenantRequest = TenantRequest.blank("/", {"REQUEST_METHOD": "POST", "wsgi.input": source, **environ})
    return request


class Endless:
    """A body of unknown length that does not end."""

    taken = 0

    def read(self, size: int = -1) -> bytes:
        assert 0 < size <= PIECE
        self.taken += size
        return b"x" * size


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_body_of_the_greatest_length_comes_in_pieces(announced: bool) -> None:
    length = {"CONTENT_LENGTH": str(LIMIT)} if announced else {"wsgi.input_terminated": True}
    pieces = list(pieces_of(asked(io.BytesIO(b"x" * LIMIT), **length), LIMIT))
    assert [len(piece) for piece in pieces] == [PIECE] * 3


def test_a_body_without_an_end_is_refused_at_its_bound() -> None:
    source = Endless()
    with pytest.raises(ApiError) as refused:
        list(pieces_of(asked(source, **{"wsgi.input_terminated": True}), LIMIT))
    assert (refused.value.status, source.taken) == (413, LIMIT + PIECE)


def test_a_body_that_is_not_ours_to_read_is_left() -> None:
    """Without a length and without an end there is none."""
    assert list(pieces_of(asked(Endless()), LIMIT)) == []


def test_a_body_of_which_a_part_is_missing_is_refused() -> None:
    with pytest.raises(ApiError, match="ended before"):
        list(pieces_of(asked(io.BytesIO(b"x" * 9), CONTENT_LENGTH="10"), LIMIT))


def test_a_second_attempt_gets_the_whole_body_again() -> None:
    request = asked(io.BytesIO(b"x" * 10), CONTENT_LENGTH="10")
    request.make_body_seekable()
    assert [b"".join(pieces_of(request, LIMIT)) for _ in range(2)] == [b"x" * 10] * 2


def test_a_body_that_the_server_has_not_received_is_asked_for_with_its_bound() -> None:
    awaited = Awaited()
    with pytest.raises(BlockingIOError):
        list(pieces_of(asked(awaited, **{AWAIT_BODY: awaited}), LIMIT))
    assert (awaited.is_wanted, awaited.limit) == (True, LIMIT)
