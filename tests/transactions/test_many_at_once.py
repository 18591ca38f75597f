"""Many people at once over several tenants, while grants come and go: no row is ever seen in another tenant."""

import random
import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import select

from tenantapp.identity import grants, users
from tenantapp.identity.errors import NotFound
from tenantapp.identity.local_access import local_access
from tenantapp.identity.tenants import get_tenant
from tenantapp.workspace.models import Node
from tests.installation import PASSWORD_HASH, Client, Installation

SLUGS = ("acme", "globex", "initech", "umbrella", "hooli")
PEOPLE = tuple(f"person{number}" for number in range(8))
STEPS = 40
REFUSED = {403, 409}


class Tab(threading.Thread):
    """Writes and reads as chance has it, naming a tenant with each request, and counts what was acknowledged.

    The tabs of a person share a session.
    """

    def __init__(self, client: Client, login: str, seed: int) -> None:
        super().__init__()
        self.client, self.login, self.random = client, login, random.Random(seed)
        self.selected: str | None = None
        self.written: Counter[str] = Counter()
        self.named: Counter[str] = Counter()
        self.read = 0
        self.unexpected: list[Any] = []

    def run(self) -> None:
        try:
            for step in range(STEPS):
                self.before_work()
                self.work(step)
        except Exception as error:
            self.unexpected.append(error)

    def before_work(self) -> None:
        """Do what may change the session."""

    def work(self, step: int) -> None:
        how = self.random.choice(("header", "path", "both", "clash", *(["session"] * 3 if self.selected else [])))
        slug = self.selected if how == "session" and self.selected else self.random.choice(SLUGS)
        path = f"/t/{slug}/nodes" if how in ("path", "both", "clash") else "/nodes"
        other = SLUGS[SLUGS.index(slug) - 1]
        headers = {"header": {"X_Tenant": slug}, "both": {"X_Tenant": slug}, "clash": {"X_Tenant": other}}.get(how, {})
        if self.random.random() < 0.5:
            answer = self.client.post(path, {"title": f"{slug} {self.login} {step}", "tags": [slug]}, **headers)
            if answer.status_int == 201:
                self.written[slug] += 1
                assert answer.json["title"].startswith(f"{slug} ")
        else:
            answer = self.client.get(f"{path}?limit=500", **headers)
            if answer.status_int == 200:
                self.check(slug, answer.json["items"])
        expected = {400} if how == "clash" else REFUSED | {200, 201}
        if answer.status_int not in expected:
            self.unexpected.append((how, slug, answer.text))
        self.named[how] += answer.status_int in (200, 201)

    def check(self, slug: str, items: list[dict[str, Any]]) -> None:
        self.read += len(items)
        for node in items:
            if not node["title"].startswith(f"{slug} ") or node["tags"] != [slug]:
                self.unexpected.append((slug, node))


class Person(Tab):
    """Signs in and switches as well, in a session of its own."""

    def before_work(self) -> None:
        if self.random.random() < 0.05:
            self.client, self.selected = Client(self.client.http.app).sign_in(self.login), None
        if self.random.random() < 0.3:
            slug = self.random.choice(SLUGS)
            switched = self.client.switch(slug).status_int
            if switched == 200:
                self.selected = slug
            elif switched != 403:
                self.unexpected.append((slug, switched))


def change_grants(installation: Installation, rng: random.Random, unexpected: list[Any]) -> None:
    """Grant and revoke at random; a revoked grant must hold from the very next request."""
    witnesses = {login: Client(installation.app).sign_in(login) for login in PEOPLE}
    for _ in range(STEPS):
        login, slug = rng.choice(PEOPLE), rng.choice(SLUGS)
        witness = witnesses[login]
        with installation.registry.user_db.begin() as session:
            tenant = get_tenant(session, slug)
            try:
                for grant in grants.find_grants(session, tenant.id, login=login):
                    session.delete(grant)
                granted = False
            except NotFound:
                grants.add_grant(session, tenant.id, rng.choice(["reader", "author", "editor"]), login=login)
                granted = True
        status = witness.get("/nodes", X_Tenant=slug).status_int
        if status != (200 if granted else 403):
            unexpected.append((login, slug, granted, status))


@pytest.mark.parametrize("seed", [1, 2])
def test_nobody_ever_sees_another_tenants_row(real_installation: Installation, seed: int) -> None:
    rng = random.Random(seed)
    registry = real_installation.registry
    for slug in SLUGS[2:]:
        real_installation.create_tenant(slug)
    with registry.user_db.begin() as session:
        for login in PEOPLE:
            users.create_user(session, login, password_hash=PASSWORD_HASH)
            for slug in rng.sample(SLUGS, 3):
                grants.add_grant(session, get_tenant(session, slug).id, "author", login=login)

    people: list[Tab] = []
    for number, login in enumerate(PEOPLE):
        client = Client(real_installation.app).sign_in(login)
        kinds = [Person] if number % 2 else [Tab, Tab]
        people += [kind(client.copy(), login, seed * 100 + number + len(people)) for kind in kinds]
    unexpected: list[Any] = []
    for person in people:
        person.start()
    change_grants(real_installation, rng, unexpected)
    for person in people:
        person.join()
        unexpected += person.unexpected

    assert unexpected == []
    assert sum(person.read for person in people) > 100
    answered = sum((person.named for person in people), Counter[str]())
    assert all(answered[how] > 5 for how in ("header", "path", "both", "session")), answered
    for slug in SLUGS:
        with registry.user_db.begin(read_only=True) as session:
            access = local_access(session, slug)
        with registry.tenant_dbs.begin(access, read_only=True) as session:
            titles = list(session.scalars(select(Node.title)))
        assert all(title.startswith(f"{slug} ") for title in titles)
        assert len(titles) == sum(person.written[slug] for person in people), "acknowledged, and not there"
        assert len(titles) > 5
    assert real_installation.checkedout() == 0
