"""A body that goes to its place as it arrives is bounded, and its end is noticed."""

import io
from typing import Any

import pytest

from tenantapp.api.problems import ApiError
from tenantapp.api.streamed import PIECE, pieces_of
from tenantapp.serving.request_body import IN_MEMORY, read_whole_body
from tenantapp.tenancy.request import TenantRequest
from tests.file_limits import files_no_larger_than

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


@pytest.mark.parametrize(("length", "streamed"), [(IN_MEMORY, False), (IN_MEMORY + 1, True), (None, True)])
def test_the_server_passes_on_long_bodies_unread(length: int | None, streamed: bool) -> None:
    source = io.BytesIO(b"x" * (length or 5))
    seen: list[int] = []

    def app(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        seen.append(source.tell())
        assert len(environ["wsgi.input"].read(10**7)) == len(source.getvalue())
        return []

    sent = {"CONTENT_LENGTH": str(length)} if length else {"HTTP_TRANSFER_ENCODING": "chunked"}
    read_whole_body(app, 10**7, lambda environ: True)({"wsgi.input": source, **sent}, None)
    assert (seen == [0]) == streamed


def test_a_body_for_which_the_disk_has_no_room_is_refused() -> None:
    length = IN_MEMORY + 1
    sent = {"wsgi.input": io.BytesIO(b"x" * length), "CONTENT_LENGTH": str(length)}
    answered: list[Any] = []
    with files_no_larger_than(IN_MEMORY // 2):
        read_whole_body(pytest.fail, 10**7)(sent, lambda *start: answered.append(start))  # type: ignore[arg-type]
    ((status, headers),) = answered
    assert (status, dict(headers)["Retry-After"]) == ("503 Service Unavailable", "5")
