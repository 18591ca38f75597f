"""CSV files in the tests: sent to an import, and got from an export."""

import csv
import io
from collections.abc import Iterable
from typing import Any

from tenantapp.testing.client import documented
from tests.installation import Client

PATH = "/products/import"


def send(
    client: Client, lines: Iterable[str] | bytes, path: str = PATH, media_type: str = "text/csv", **headers: str
) -> Any:
    body = lines if isinstance(lines, bytes) else "\r\n".join(lines).encode()
    sent = {"X-CSRF-Token": client.csrf_token, "Content-Type": media_type}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    answer = client.http.post(f"/api/v1{path}", params=body, headers=sent, expect_errors=True)
    documented(client.http.app).check("POST", f"/api/v1{path}", answer)
    return answer


def export(client: Client, query: str = "", path: str = "/products/export") -> Any:
    address = f"/api/v1{path}{query}"
    answer = client.http.get(address, expect_errors=True)
    documented(client.http.app).check("GET", address, answer)
    return answer


def lines_of(answer: Any) -> list[list[str]]:
    """The cells of an export, as a strict reader has them."""
    assert answer.status_int == 200, answer.text
    return list(csv.reader(io.StringIO(answer.text, newline=""), strict=True))
