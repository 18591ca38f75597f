"""Replay every route of an application as another tenant, with the ids of the first one.

Rows are made in the first tenant. All ids in what it is answered, and all longer texts that were written, are its
secrets. Then somebody with every role in the second tenant calls every route: with these ids in the path, in the
filters and in the bodies, and naming the first tenant. No answer may have a secret that the request did not send, no
request with such an id in its path may succeed, and the first tenant must be as it was.
"""

import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final

from sqlalchemy import inspect, select

from tenantapp.api import PREFIX
from tenantapp.databases.histories.histories import tenant_metadata
from tenantapp.identity.grants import list_grants
from tenantapp.identity.roles import known_permissions, list_roles
from tenantapp.sql.ids import UUID_TEXT
from tenantapp.testing.client import Client
from tenantapp.testing.installation import Installation
from tenantapp.testing.routes import Route, routes_of
from tenantapp.testing.samples import Samples

UUIDS: Final = re.compile(rf"(?<![0-9a-f-]){UUID_TEXT}(?![0-9a-f-])")
SHORTEST: Final = 8  # characters of a text that counts as a secret; shorter ones may be anybody's
MOST_IDS: Final = 12  # ids that are tried where it is not known which rows a route is about
SHOWN: Final = 20  # faults
NOT_REPLAYED: Final = {"batch"}  # routes; the parts of a batch are requests to the others


class LeakFound(AssertionError):
    """Another tenant was answered something of the first one, or has changed it. The message has the requests."""


class NotFilled(AssertionError):
    """A route that makes rows could not be tried, because no body for it is known."""


class Page(Client):
    """A client that keeps what it has sent, and all that it was answered."""

    def __init__(self, app: Any) -> None:
        super().__init__(app)
        self.made: dict[str, list[Any]] = defaultdict(list)
        """The bodies that made rows, by path."""
        self.answers: list[Any] = []

    def send(self, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None, /) -> Any:
        answer = super().send(method, path, body, headers)
        self.answers.append(answer)
        if method == "POST" and answer.status_int < 300:
            self.made[PREFIX + path.partition("?")[0]].append(body)
        return answer


class LeakCheck:
    """The check of one installation. Call it once."""

    def __init__(self, installation: Installation) -> None:
        self._installation = installation
        self._first, self._second = installation.tenants[:2]
        self._routes = list(routes_of(installation.registry))
        self._document: dict[str, Any] = installation.registry.openapi.content
        described = [tag.get("x-resource", {}) for tag in self._document["tags"]]
        self._references = {name: other for each in described for name, other in each.get("references", {}).items()}
        self._files = {name for each in described for name in each.get("files", ())}
        self.owner = self._sign_in("leak-owner", self._first)
        self.intruder = self._sign_in("leak-intruder", self._second)
        # Of the first tenant's rows, by the path of their list. Whole numbers may be those of the second's rows too.
        self._ids: dict[str, list[str | int]] = defaultdict(list)
        self._secrets: set[str] = set()
        self._faults: list[str] = []
        self.requests = 0
        """How many requests were replayed."""

    def __call__(self, fill: Callable[[Client], None] | None = None) -> None:
        """Make rows, replay all, and compare. ``fill`` makes rows of the first tenant, as a client of it.

        Rows that ``fill`` does not make are made of the examples in the document. Raises ``LeakFound``, and
        ``NotFilled`` for a route that makes rows and that the document has no good example for.
        """
        if fill is not None:
            fill(self.owner)
        self._fill()
        self._find_secrets()
        before = self._stable()
        self._replay_reads()
        self._replay_writes()
        for path, content in before.items():
            if self._get(self.owner, path).body != content:
                self._faults.append(f"GET {path} of {self._first} is answered otherwise than before")
        if self._faults:
            more = f"\n... and {len(self._faults) - SHOWN} more" if len(self._faults) > SHOWN else ""
            raise LeakFound("\n".join(self._faults[:SHOWN]) + more)

    def _sign_in(self, login: str, tenant: str) -> Page:
        """Return a page of somebody who has every role in a tenant."""
        with self._installation.registry.user_db.begin(read_only=True) as session:
            roles = [role.name for role in list_roles(session)]
        for role in roles:
            self._installation.person(role, tenant, login=login)
        page = Page(self._installation.app)
        page.sign_in(login, tenant)
        return page

    def _fill(self) -> None:
        """Make the rows that are not made yet. Rows may refer to others, so what is refused is tried once more."""
        self.owner.post("/tokens", {"name": "leak check", "permissions": ["content.read"]})
        self.owner.post("/service-accounts", {"login": "leak-robot", "roles": ["reader"]})
        self._file_id: str | None = self.owner.upload("leak check.txt", b"leak check", "text/plain").json.get("id")
        samples = Samples(self._document, self._reference)
        waiting = [route for route in self._routes if route.makes_rows and not self.owner.made.get(route.path)]
        while waiting:
            refused = {route: answer for route in waiting if (answer := self._make(samples, route)) is not None}
            if len(refused) == len(waiting):
                route, answer = next(iter(refused.items()))
                raise NotFilled(
                    f"POST {route.path} refuses the example of the document ({answer.status_int}: {answer.text}): make "
                    "such a row in the function that you give to check_leaks"
                )
            waiting = list(refused)

    def _make(self, samples: Samples, route: Route) -> Any:
        """Make a row. Return None, or the answer that refuses it."""
        for marked in (True, False):
            body = samples.body("POST", route.path, marked=marked)
            answer = self.owner.send("POST", route.path.removeprefix(PREFIX), {} if body is None else body)
            if answer.status_int < 300:
                return None
        return answer

    def _reference(self, name: str) -> str | int | None:
        """Return the id of a row that a member with this name may refer to: ``book_id`` is that of one of the books."""
        if name in self._files:
            return self._file_id
        noun = self._references.get(name, name.removesuffix("_id"))
        made = {path: answer.json["id"] for path, answer in self._made() if "id" in answer.json}
        last = {path.rpartition("/")[2]: row_id for path, row_id in made.items()}
        return next((row_id for many, row_id in last.items() if many.startswith(noun[:-1])), None)

    def _made(self) -> Iterator[tuple[str, Any]]:
        """Yield the path and the answer of each request that made a row."""
        for answer in self.owner.answers:
            if answer.request.method == "POST" and answer.status_int == 201 and answer.content_type[-4:] == "json":
                yield answer.request.path, answer

    def _lists(self) -> list[Route]:
        return [route for route in self._routes if route.method == "GET" and not route.variables]

    def _find_secrets(self) -> None:
        """Read all as the first tenant, also to fill whatever the application keeps in memory."""
        for route in self._lists():
            answer = self._get(self.owner, route.path)
            if answer.status_int == 200 and answer.content_type == "application/json":
                items = answer.json.get("items", []) if isinstance(answer.json, dict) else []
                self._ids[route.path] += [row["id"] for row in items if isinstance(row, dict) and "id" in row]
        for path, answer in self._made():
            if answer.json.get("id") not in (None, *self._ids[path]):
                self._ids[path].append(answer.json["id"])
        for route in self._routes:
            for path, _ in self._addresses(route) if route.method == "GET" and route.variables else ():
                self._get(self.owner, path)
        known = known_to(self._installation, self._second)
        shown = "\n".join(_text(answer) for answer in self.owner.answers)
        written = {text for bodies in self.owner.made.values() for body in bodies for text in _texts(body)}
        texts = {text for text in written if len(text) >= SHORTEST and text in shown}
        self._secrets = {text for text in {*UUIDS.findall(shown), *texts} if text not in known}
        for path, found in self._ids.items():
            self._ids[path] = [each for each in found if isinstance(each, int) or each in self._secrets]

    def _stable(self) -> dict[str, bytes]:
        """Return what the first tenant is answered, of that which is the same twice."""
        first, second = ({route.path: self._get(self.owner, route.path).body for route in self._lists()} for _ in "ab")
        return {path: content for path, content in second.items() if first[path] == content}

    def _replay_reads(self) -> None:
        for route in self._routes:
            if route.method != "GET":
                continue
            for path, sent in self._addresses(route):
                self._replay(route, path, sent)
            if not route.variables:
                self._replay_lists(route)

    def _replay_lists(self, route: Route) -> None:
        """Ask for a list: naming the first tenant, and by its ids and words."""
        if route.of_tenant and route.path.startswith(PREFIX):
            for path, headers in ((route.path, {"X-Tenant": self._first}), (self._named(route.path), {})):
                self._replay(route, path, set(), headers=headers, refused=True)
        for name in self._filters(route):
            for row_id in self._some_ids():
                self._replay(route, f"{route.path}?{name}={row_id}", {row_id})
        if route.operation is not None and "q" in route.operation.query.model_fields:
            for text in sorted(text for text in self._secrets if not UUIDS.fullmatch(text))[:MOST_IDS]:
                self._replay(route, f"{route.path}?q={text}", {text})

    def _named(self, path: str) -> str:
        return f"{PREFIX}/t/{self._first}{path.removeprefix(PREFIX)}"

    def _replay_writes(self) -> None:
        """Send what may change something. What the second tenant has sent, it knows from then on."""
        for method in ("POST", "PUT", "PATCH", "DELETE"):
            for route in self._routes:
                if route.method != method or not route.of_tenant:
                    continue
                if route.operation is not None and route.operation.route in NOT_REPLAYED:
                    continue
                for body in self._bodies(route):
                    for path, sent in self._addresses(route):
                        self._replay(route, path, sent | set(_texts(body)), body)
                        self._secrets -= set(_texts(body))
                for name in self._filters(route) if method in ("PATCH", "DELETE") else ():
                    for row_id in self._some_ids():
                        self._replay(
                            route, f"{route.path}?{name}={row_id}", {row_id}, {} if method == "PATCH" else None
                        )

    def _bodies(self, route: Route) -> list[Any]:
        """Return the bodies that made the first tenant's rows, or None alone for a route that takes none."""
        if route.method == "DELETE" or route.operation is None or route.operation.body is None:
            return [None]
        of_list = re.sub(r"/{\w+}.*", "", route.path)
        made = [body for body in self.owner.made.get(of_list, []) if body is not None]
        return made[:2] or [{}]

    def _addresses(self, route: Route) -> Iterator[tuple[str, set[str]]]:
        """Yield the paths of a route with ids of the first tenant's rows in them, each with these ids."""
        if not route.variables:
            yield route.path, set()
            return
        of_list = re.sub(r"/{\w+}.*", "", route.path)
        for row_id in (self._ids[of_list] or self._some_ids())[:MOST_IDS]:
            values = {name: self._first if name == "slug" else row_id for name in route.variables}
            yield route.path.format(**values), {each for each in values.values() if isinstance(each, str)}

    def _some_ids(self) -> list[str]:
        """Return an id or two of each kind of row."""
        some = (row_id for found in self._ids.values() for row_id in found[-2:])
        return list(dict.fromkeys(row_id for row_id in some if isinstance(row_id, str)))

    def _filters(self, route: Route) -> list[str]:
        """Return the names of a list's filters that take ids."""
        described = self._document["paths"].get(route.path, {}).get(route.method.lower(), {}).get("parameters", ())
        return [
            each["name"]
            for each in described
            if each.get("in") == "query" and each["schema"].get("format") == "uuid" and not each["name"].startswith("_")
        ]

    def _replay(
        self,
        route: Route,
        path: str,
        sent: set[str],
        body: Any = None,
        *,
        headers: Mapping[str, str] | None = None,
        refused: bool = False,
    ) -> None:
        """Send a request as the second tenant. Note what is wrong with its answer."""
        answer = _send(self.intruder, route.method, path, body, headers)
        self.requests += 1
        text = _text(answer)
        found = sorted(secret for secret in self._secrets - sent if secret in text)
        what = f"{route.method} {path} of {self._second} is answered {answer.status_int}"
        if found:
            self._faults.append(f"{what} with {found[0]} of {self._first}: {text[:300]}")
        elif answer.status_int >= 500:
            self._faults.append(f"{what}: {text[:300]}")
        elif answer.status_int < 400 and (refused or sent & set(path.split("/"))) and not _is_empty(answer):
            self._faults.append(f"{what}, and not refused: {text[:300]}")

    def _get(self, page: Page, path: str) -> Any:
        return _send(page, "GET", path)


def known_to(installation: Installation, slug: str) -> str:
    """Return what a tenant may know, as text: what is in its database, its members, roles and permissions."""
    registry = installation.registry
    access = installation.local_access(slug)
    with registry.tenant_dbs.begin(access, read_only=True) as session:
        there = set(inspect(session.connection()).get_table_names())
        tables = [table for table in tenant_metadata(registry.app_settings).sorted_tables if table.name in there]
        known = [str(value) for table in tables for row in session.execute(select(table)) for value in row]
    with registry.user_db.begin(read_only=True) as session:
        known += [*known_permissions(session), *(role.name for role in list_roles(session))]
        for grant in list_grants(session, access.require_tenant().id):
            known += [str(each) for each in (grant.id, grant.user_id, grant.group_id)]
    return "\n".join(known)


def _send(page: Page, method: str, path: str, body: Any = None, headers: Mapping[str, str] | None = None) -> Any:
    """Send a request to any path, also outside the API."""
    if path.startswith(PREFIX):
        return page.send(method, path.removeprefix(PREFIX), body, headers)
    sent = {"X-CSRF-Token": page.csrf_token, **(headers or {})}
    answer = page.http.request(path, method=method, headers=sent, expect_errors=True)
    page.answers.append(answer)
    return answer


def _text(answer: Any) -> str:
    """Return an answer with its headers, as text."""
    headers = "\n".join(str(value) for value in answer.headers.values())
    return f"{answer.body.decode('utf-8', 'replace')}\n{headers}"


def _texts(content: Any) -> Iterable[str]:
    """Yield the texts in JSON."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, dict | list):
        for each in content.values() if isinstance(content, dict) else content:
            yield from _texts(each)


def _is_empty(answer: Any) -> bool:
    """Return whether a list without rows is answered."""
    if answer.request.method != "GET" or answer.content_type != "application/json":
        return False
    content = answer.json
    return content == [] or (isinstance(content, dict) and content.get("items") == [])
