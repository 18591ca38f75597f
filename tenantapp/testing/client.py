"""A browser page, in tests."""

from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode

from webtest import TestApp

from tenantapp.testing.documented import Documented
from tenantapp.testing.installation import PASSWORD


class UnexpectedStatus(AssertionError):
    """An answer has another status than the test expects. The message has the answer."""


def documented(app: Any) -> Documented:
    """Return the answers that the application's document has."""
    if not hasattr(app.registry, "documented"):
        app.registry.documented = Documented(app)
    found: Documented = app.registry.documented
    return found


class Client:
    """A browser page: keeps its cookie, sends the CSRF token.

    Paths begin after ``/api/v1``. An answer is WebTest's: ``answer.json``, ``answer.status_int``, ``answer.headers``.
    Any status is an answer, unless ``status`` says which one is expected: then ``UnexpectedStatus`` is raised for
    another. Keywords are headers: ``If_Match="..."`` becomes ``If-Match``. Raises ``NotDocumented`` for an answer that
    the application's document does not have.
    """

    def __init__(self, app: Any) -> None:
        self.http = TestApp(app)
        self.csrf_token = ""
        self.api_token: str | None = None

    def request(self, method: str, path: str, json: Any = None, *, status: int | None = None, **headers: str) -> Any:
        """Send a request and return the answer."""
        answer = self.send(method, path, json, {name.replace("_", "-"): value for name, value in headers.items()})
        if status is not None and answer.status_int != status:
            raise UnexpectedStatus(f"{method} {path} is answered {answer.status_int}, not {status}: {answer.text}")
        return answer

    def upload(self, name: str, content: bytes, media_type: str = "application/octet-stream", **headers: str) -> Any:
        """Upload a file of this name, type and content, and return the answer."""
        sent = self._headers() | {"Content-Type": media_type}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        path = f"/api/v1/files?{urlencode({'name': name})}"
        answer = self.http.post(path, params=content, headers=sent, expect_errors=True)
        documented(self.http.app).check("POST", path, answer)
        return answer

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, /) -> Any:
        """Send a request and return the answer, as the checks of a declared resource want it."""
        sent = {**self._headers(), **(headers or {})}
        call = getattr(self.http, f"{method.lower()}_json" if body is not None else method.lower())
        arguments = {} if body is None else {"params": body}
        answer = call(f"/api/v1{path}", headers=sent, expect_errors=True, **arguments)
        documented(self.http.app).check(method, f"/api/v1{path}", answer)
        return answer

    def _headers(self) -> dict[str, str]:
        sent = {"X-CSRF-Token": self.csrf_token} if self.csrf_token else {}
        if self.api_token is not None:
            sent["Authorization"] = f"Bearer {self.api_token}"
        return sent

    def get(self, path: str, *, status: int | None = None, **headers: str) -> Any:
        """Send GET and return the answer."""
        return self.request("GET", path, status=status, **headers)

    def post(self, path: str, json: Any = None, *, status: int | None = None, **headers: str) -> Any:
        """Send POST with this body as JSON, and return the answer."""
        return self.request("POST", path, json, status=status, **headers)

    def put(self, path: str, json: Any = None, *, status: int | None = None, **headers: str) -> Any:
        """Send PUT with this body as JSON, and return the answer."""
        return self.request("PUT", path, json, status=status, **headers)

    def patch(self, path: str, json: Any = None, *, status: int | None = None, **headers: str) -> Any:
        """Send PATCH with this body as JSON, and return the answer."""
        return self.request("PATCH", path, json, status=status, **headers)

    def delete(self, path: str, *, status: int | None = None, **headers: str) -> Any:
        """Send DELETE and return the answer."""
        return self.request("DELETE", path, status=status, **headers)

    def sign_in(self, login: str, tenant: str | None = None) -> "Client":
        """Sign in a person that the installation has made, selecting a tenant if one is named. Return the client."""
        chosen = {} if tenant is None else {"tenant": tenant}
        answer = self.post("/session", {"login": login, "password": PASSWORD, **chosen}, status=201)
        self.csrf_token = answer.json["csrf_token"]
        return self

    def with_token(self, api_token: str) -> "Client":
        """Make every request with this API token. Return the client."""
        self.api_token = api_token
        return self

    def copy(self) -> "Client":
        """Return another page of the same browser."""
        other = Client(self.http.app)
        other.csrf_token = self.csrf_token
        for cookie in self.http.cookiejar:
            other.http.cookiejar.set_cookie(cookie)
        return other

    def switch(self, tenant: str) -> Any:
        """Select another tenant, and return the answer."""
        answer = self.patch("/session", {"tenant": tenant})
        if answer.status_int == 200:
            self.csrf_token = answer.json["csrf_token"]
        return answer
