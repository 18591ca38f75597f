"""Ask every operation of the document for anything, with schemathesis, and compare the answers with the document."""

import json
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from tenantapp.identity import web_sessions
from tenantapp.identity.grants import add_grant
from tenantapp.identity.models import Tenant, TenantState, User
from tenantapp.identity.tenants import get_tenant, place_of
from tenantapp.identity.users import create_user
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import Person
from tests.installation import PASSWORD_HASH, Client, Installation, documented

CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]
FLEET_SLUG = "globex"  # the calls of the fleet change it
WEBHOOK = {"name": "x", "url": "https://1.1.1.1/", "resources": ["nodes"]}
DOMAIN = {"domain": "fuzzed.example"}
ROUTES_OF_ROWS = (
    "file",
    "node",
    "tag",
    "comment",
    "attachment",
    "member",
    "session_of_id",
    "service_account",
    "webhook",
    "domain",
    "fleet_operation",
)


class World:
    """An installation with an operator, who also administers acme, and with rows that the operations are about."""

    def __init__(self, installation: Installation, also_in: Sequence[str] = ()) -> None:
        self.registry = installation.registry
        self.app = installation.app
        with self.registry.user_db.begin() as session:
            person = User(login="otto", name="Otto", password_hash=PASSWORD_HASH, operator=True)
            session.add(person)
            session.flush()
            acme = get_tenant(session, "acme")
            for tenant in (acme, *(get_tenant(session, slug) for slug in also_in)):
                add_grant(session, tenant.id, "admin", login="otto")
            self._person, self._acme = Person(person.id, person.login, person.name), place_of(acme)
            self._fleet_tenant = get_tenant(session, FLEET_SLUG).id

    def token(self) -> str:
        """An API token with all that the person may do in acme."""
        client = Client(self.app).sign_in("otto", "acme")
        body = {"name": "fuzzing", "permissions": client.get("/session").json["permissions"]}
        return str(client.post("/tokens", body).json["token"])

    def rows(self) -> dict[str, str]:
        """The ids of rows that are there now, by the route of one."""
        client = Client(self.app).sign_in("otto", "acme")
        client.post("/tags", {"name": "a"})
        node, file = client.post("/nodes", {"title": "x"}).json["id"], client.upload("x.txt", b"some text").json["id"]
        tags = {tag["name"]: tag["id"] for tag in client.get("/tags").json["items"]}
        return {
            "node": node,
            "comment": client.post("/comments", {"node_id": node, "text": "x"}).json["id"],
            "attachment": client.post("/attachments", {"node_id": node, "file_id": file}).json["id"],
            "tag": tags.get("heavy", tags["a"]),  # the first is that of the example
            "file": file,
            "webhook": (client.get("/webhooks").json["items"] or [client.post("/webhooks", WEBHOOK).json])[0]["id"],
            "domain": (client.get("/domains").json["items"] or [client.post("/domains", DOMAIN).json])[0]["id"],
            "member": client.get("/members").json["items"][0]["grants"][0]["id"],
            "service_account": client.post("/service-accounts", {"login": uuid7().hex, "roles": ["reader"]}).json["id"],
            "session_of_id": client.get("/sessions").json["items"][0]["id"],
            "fleet_operation": client.get("/fleet/operations").json["items"][0]["id"],
        }

    def path_of(self, operation_id: str, rows: dict[str, str]) -> dict[str, str]:
        """The values of an operation's variables in the path: a row and a tenant."""
        route = operation_id.partition("_")[2]
        row = next((rows[of] for of in ROUTES_OF_ROWS if route.startswith(of)), rows["fleet_operation"])
        return {"id": row, "slug": FLEET_SLUG}

    def address(self, operation_id: str, path: str) -> str:
        """The path with these values in it, below that of the API."""
        values = self.path_of(operation_id, self.rows()) if "{" in path else {}
        return path.removeprefix("/api/v1").format(**values)

    def put_back(self, operation_id: str) -> None:
        """Let the tenant that the fleet's calls change be as it was, or deleted for those that want it so."""
        deleted = operation_id.endswith(("_undelete", "_purge"))
        with self.registry.user_db.begin() as session:
            tenant = session.get_one(Tenant, self._fleet_tenant)
            tenant.slug, tenant.name = FLEET_SLUG, "Globex"
            tenant.state = TenantState.DELETED if deleted else TenantState.ACTIVE
            tenant.state_reason = tenant.purge_after = None

    def sign_in(self, operation_id: str) -> dict[str, Any]:
        """The cookie and the token of a new session, for one request: some end theirs."""
        self.put_back(operation_id)
        token = web_sessions.new_token()
        with self.registry.user_db.begin() as session:
            # Who deletes their account does so once.
            leaves = operation_id == "delete_account"
            who = create_user(session, f"leaver-{uuid7().hex}") if leaves else self._person
            person = Person(who.id, who.login, who.name)
            web_sessions.start(session, token, person, self._acme, self.registry.lifetimes, None, ["password"])
        return {"cookies": {"tenantapp": token}, "headers": {"X-CSRF-Token": web_sessions.csrf_token(token)}}


class Fuzzer:
    """Sends requests to an installation. ``answers`` counts them by status, ``faults`` says what was wrong."""

    def __init__(self, installation: Installation, examples: int, *, derandomize: bool) -> None:
        self._world = World(installation)
        self._documented = documented(installation.app)
        self._settings = settings(
            max_examples=examples,
            database=None,
            deadline=None,
            derandomize=derandomize,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        document = json.loads(self._world.registry.openapi.json)
        operations = [operation for item in document["paths"].values() for operation in item.values()]
        # Not left to schemathesis, which does not know the cookie's name over plain http.
        accepted = {operation["operationId"]: operation.pop("security") for operation in operations}
        self._closed = {name for name, schemes in accepted.items() if schemes}
        self._by_token = {name for name, schemes in accepted.items() if {"token": []} in schemes}
        self._token = self._world.token()
        self._schema = schemathesis.openapi.from_dict(document)
        self._schema.app = installation.app
        self._turns: Counter[str] = Counter()
        self.answers: Counter[int] = Counter()
        self.faults: list[str] = []

    def run(self) -> None:
        """Ask every operation: as it wants to be asked, in wrong ways, and not signed in."""
        rows = self._world.rows()
        for result in self._schema.get_all_operations():
            operation = result.ok()
            raw = operation.definition.raw
            names = {each.get("name") or each["$ref"].rpartition("/")[2] for each in raw.get("parameters", ())}
            fixed = {"headers": {"X-Tenant": "acme"}} if "XTenant" in names else {}
            if raw["operationId"].startswith("delete_"):
                rows = self._world.rows()
            values = self._world.path_of(raw["operationId"], rows) if names & {"id", "slug"} else {}
            real = {"path_parameters": {name: values[name] for name in values if name in names}} if values else {}
            self._ask(operation, self._as_wanted, **fixed, **real)
            if "requestBody" in raw or any(each.get("in") == "query" for each in raw.get("parameters", ())):
                self._ask(operation, self._signed_in_and_wrong, GenerationMode.NEGATIVE, **fixed, **real)

    def _ask(
        self,
        operation: Any,
        check: Callable[[Any], Any],
        mode: GenerationMode = GenerationMode.POSITIVE,
        **fixed: Any,
    ) -> None:
        @self._settings
        @given(case=operation.as_strategy(generation_mode=mode, **fixed))
        def ask(case: Any) -> None:
            answer = check(case)
            self.answers[answer.status_code] += 1

        ask()

    def _as_wanted(self, case: Any) -> Any:
        """Ask as somebody who may: by cookie and by token in turn, and once as nobody."""
        operation_id = case.operation.definition.raw["operationId"]
        self._turns[operation_id] += 1
        if self._turns[operation_id] == 1 and operation_id in self._closed:
            self._not_signed_in(case)
        if self._turns[operation_id] % 2 == 0 and operation_id in self._by_token:
            return self._checked(case, case.call(headers={"Authorization": f"Bearer {self._token}"}))
        return self._signed_in(case)

    def _signed_in(self, case: Any) -> Any:
        operation_id = case.operation.definition.raw["operationId"]
        return self._checked(case, case.call(**self._world.sign_in(operation_id)))

    def _signed_in_and_wrong(self, case: Any) -> Any:
        answer = self._signed_in(case)
        # What is wrong in the schema may be right in the query, where all is text: the check knows.
        return self._checked(case, answer, checks.negative_data_rejection) if answer.status_code < 400 else answer

    def _not_signed_in(self, case: Any) -> None:
        answer = case.call()
        self.answers[answer.status_code] += 1
        if answer.status_code != 401:
            self.faults.append(f"{answer.status_code} to somebody who is not signed in: {case.as_curl_command()}")

    def _checked(self, case: Any, answer: Any, *more: Any) -> Any:
        try:
            case.validate_response(answer, checks=[*CHECKS, *more])
            self._check_code(case, answer)
        except (BaseExceptionGroup, AssertionError) as error:
            self.faults.append(str(error))
        return answer

    def _check_code(self, case: Any, answer: Any) -> None:
        if answer.status_code >= 400:
            operation_id = case.operation.definition.raw["operationId"]
            assert answer.json()["code"] in self._documented.codes(operation_id).get(answer.status_code, ()), (
                f"{operation_id}: {answer.text}"
            )
