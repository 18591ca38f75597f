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

SLUGS = ("acme", "globex", "initech", "umbrella")
PEOPLE = tuple(f"person{number}" for number in range(8))
STEPS = 60
REFUSED = {403, 409}


class Person(threading.Thread):
    """Signs in, switches, writes and reads as chance has it, and keeps count of what was acknowledged."""

    def __init__(self, installation: Installation, login: str, seed: int) -> None:
        super().__init__()
        self.installation, self.login, self.random = installation, login, random.Random(seed)
        self.written: Counter[str] = Counter()
        self.read = 0
        self.unexpected: list[Any] = []

    def run(self) -> None:
        try:
            client, selected = Client(self.installation.app).sign_in(self.login), None
            for step in range(STEPS):
                if self.random.random() < 0.05:
                    client, selected = Client(self.installation.app).sign_in(self.login), None
                if selected is None or self.random.random() < 0.3:
                    slug = self.random.choice(SLUGS)
                    switched = client.switch(slug).status_int
                    if switched == 200:
                        selected = slug
                    elif switched != 403:
                        self.unexpected.append((slug, switched))
                if selected is not None:
                    self.work(client, selected, step)
        except Exception as error:
            self.unexpected.append(error)

    def work(self, client: Client, slug: str, step: int) -> None:
        if self.random.random() < 0.5:
            answer = client.post("/nodes", {"title": f"{slug} {self.login} {step}", "tags": [slug]}, X_Tenant=slug)
            if answer.status_int == 201:
                self.written[slug] += 1
                assert answer.json["title"].startswith(f"{slug} ")
        else:
            answer = client.get("/nodes?limit=500", X_Tenant=slug)
            if answer.status_int == 200:
                self.check(slug, answer.json["items"])
        if answer.status_int not in REFUSED | {200, 201}:
            self.unexpected.append(answer.text)

    def check(self, slug: str, items: list[dict[str, Any]]) -> None:
        self.read += len(items)
        for node in items:
            if not node["title"].startswith(f"{slug} ") or node["tags"] != [slug]:
                self.unexpected.append((slug, node))


def change_grants(installation: Installation, rng: random.Random, unexpected: list[Any]) -> None:
    """Grant and revoke at random; a revoked grant must hold from the very next request."""
    witnesses = {login: Client(installation.app).sign_in(login) for login in PEOPLE}
    for _ in range(STEPS):
        login, slug = rng.choice(PEOPLE), rng.choice(SLUGS)
        witness = witnesses[login]
        switched = witness.switch(slug).status_int == 200
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
        if switched and status != (200 if granted else 403):
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

    people = [Person(real_installation, login, seed * 100 + number) for number, login in enumerate(PEOPLE)]
    unexpected: list[Any] = []
    for person in people:
        person.start()
    change_grants(real_installation, rng, unexpected)
    for person in people:
        person.join()
        unexpected += person.unexpected

    assert unexpected == []
    assert sum(person.read for person in people) > 100
    for slug in SLUGS:
        with registry.user_db.begin(read_only=True) as session:
            access = local_access(session, slug)
        with registry.tenant_dbs.begin(access, read_only=True) as session:
            titles = list(session.scalars(select(Node.title)))
        assert all(title.startswith(f"{slug} ") for title in titles)
        assert len(titles) == sum(person.written[slug] for person in people), "acknowledged, and not there"
        assert len(titles) > 5
    assert real_installation.checkedout() == 0
