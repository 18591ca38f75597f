"""The ``Link`` header, which names the next page of a list."""

from functools import lru_cache
from typing import Final
from urllib.parse import quote

from tenantapp.tenancy.request import TenantRequest

ADDRESS: Final = "%:/?#[]@!$&'()*+,;=-._~"  # RFC 3986, section 2
PATH: Final = "/~!$&'()*+,;=:@"  # section 3.3


def add_link(request: TenantRequest, cursor: str) -> None:
    """Name the next page in a ``Link`` header too (RFC 8288)."""
    environ = request.environ
    path, query = environ.get("SCRIPT_NAME", "") + environ["PATH_INFO"], environ["QUERY_STRING"]
    target = f"{_address(request.host_url, path, without_cursor(query))}cursor={cursor}"
    request.response.headerlist.append(("Link", f'<{target}>; rel="next"'))


def without_cursor(query: str) -> str:
    """Return a query string without its cursor. One that is not empty ends in ``&``."""
    return "".join(f"{part}&" for part in query.split("&") if part and not part.startswith("cursor="))


@lru_cache(512)
def _address(host: str, path: str, query: str) -> str:
    """Return the address of a list up to its cursor: quoted, as WSGI passes paths as bytes and queries as they came."""
    quoted_path, quoted_query = quote(path.encode("latin-1"), PATH), quote(query.encode("latin-1"), ADDRESS)
    return f"{quote(host, ADDRESS)}{quoted_path}?{quoted_query}"
