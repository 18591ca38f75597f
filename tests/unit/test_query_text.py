"""What a query string, as WSGI passes it, says."""

import pytest

from tenantapp.api.problems import ApiError
from tenantapp.api.query import PageQuery, read_text


class Found(PageQuery):
    a: str | None = None
    b: str | None = None


@pytest.mark.parametrize(
    ("sent", "read"),
    [
        (b"a=1&b=2", ("1", "2")),
        (b"&a=1&&", ("1", None)),
        (b"a=x+y&b=x%2By", ("x y", "x+y")),
        (b"a=1;b=2", ("1;b=2", None)),
        (b"a=b=c&b", ("b=c", "")),
        (b"a=%&b=%zz", ("%", "%zz")),
        (b"a=\xc3\xa9&b=%C3%A9", ("\xe9", "\xe9")),
        (b"a=\xc3%A9", ("\xe9", None)),
    ],
)
def test_the_spellings_that_clients_use_are_read(sent: bytes, read: tuple[str, str | None]) -> None:
    query = read_text(Found, sent.decode("latin-1"))
    assert isinstance(query, Found)
    assert (query.a, query.b) == read


@pytest.mark.parametrize("sent", ["a=1&a=1", "a=1&%61=2", "A=1", "a=%00", "c"])
def test_what_is_unknown_or_said_twice_is_refused(sent: str) -> None:
    with pytest.raises(ApiError):
        read_text(Found, sent)
