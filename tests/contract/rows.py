"""Rows of tenants' databases: what is put there, and what is there."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa
from sqlalchemy import create_engine, select
from sqlalchemy.pool import NullPool

from tenantapp.fleet.querying.parallel import databases_of_our_own
from tenantapp.fleet.verifying.verification import Verification
from tenantapp.settings import Settings
from tenantapp.sql.full_text import stored_words
from tenantapp.sql.ids import uuid7
from tenantapp.tenancy.access import TenantPlace
from tenantapp.tenancy.errors import WrongTenantDatabase
from tenantapp.tenancy.models import TenantBase, TenantIdentity
from tenantapp.tenancy.searching import matches
from tenantapp.work.queue import new_job
from tenantapp.workspace.models import Node
from tests.contract.conftest import Fleet


@contextmanager
def connected(fleet: Fleet, place: TenantPlace) -> Iterator[sa.Connection]:
    """A transaction on a tenant's database, as its own role."""
    engine = create_engine(fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


def fill(fleet: Fleet, place: TenantPlace, *, nodes: int = 3) -> None:
    """Some of everything; the first node is below the last one."""
    tables = TenantBase.metadata.tables
    person, tag, ids = uuid7(), uuid7(), [uuid7() for _ in range(nodes)]
    moment = datetime(2024, 5, 6, 7, 8, 9, 123456, tzinfo=UTC)
    with connected(fleet, place) as connection:
        connection.execute(tables["people"].insert(), {"id": person, "name": "Ada"})
        connection.execute(tables["tags"].insert(), {"id": tag, "name": "tag"})
        common = {"owner_id": person, "status": "draft", "version": 1, "updated_at": moment}
        for number, node in enumerate(ids):
            times = {"created_at": moment + timedelta(days=number)}
            row = {"id": node, "title": f"Node {number}", "body": "Łódź\n" * number}
            connection.execute(tables["nodes"].insert(), row | common | times)
        connection.execute(tables["nodes"].update().where(tables["nodes"].c.id == ids[0]).values(parent_id=ids[-1]))
        comment = {"owner_id": person, "text": "Ä comment", "version": 1, "created_at": moment, "updated_at": moment}
        connection.execute(tables["comments"].insert(), {"id": uuid7(), "node_id": ids[0]} | comment)
        connection.execute(tables["node_tags"].insert(), [{"node_id": node, "tag_id": tag} for node in ids])
        connection.execute(
            tables["nodes_words"].insert(),
            [{"row_id": node, "words": stored_words([f"Node {n}", "Łódź" * (n > 0)])} for n, node in enumerate(ids)],
        )
        by = {"kind": "created", "version": 1, "person_id": person, "login": "ada", "at": moment}
        changes = [{"position": n, "table_name": "nodes", "row_id": node} | by for n, node in enumerate(ids, 3)]
        connection.execute(tables["tenant_changes"].insert(), changes)
        counter = {"id": 1, "position": 2 + len(ids), "removed": 2}
        connection.execute(tables["tenant_change_counter"].insert(), counter)
        key = {"tenant_id": place.id, "person_id": person, "key": "once", "fingerprint": "f" * 64, "headers": "{}"}
        answer = {"status": 201, "body": b'{"a": "\xc3\xa4"}', "created_at": moment}
        connection.execute(tables["tenant_idempotency_keys"].insert(), key | answer)
        job = new_job(place, "recount", {"shelf": 7}, moment)
        connection.execute(tables["tenant_jobs"].insert(), job | {"created_at": moment})


def content(fleet: Fleet, place: TenantPlace, *more: sa.Table) -> dict[str, Any]:
    """All rows, as the models read them."""
    tables = [table for name, table in TenantBase.metadata.tables.items() if name != "tenant_identity"]
    with connected(fleet, place) as connection:
        return {
            table.name: [tuple(row) for row in connection.execute(select(table).order_by(*table.primary_key))]
            for table in (*tables, *more)
        }


def found_by_words(fleet: Fleet, place: TenantPlace, query: str) -> list[str]:
    """The titles of the nodes that a search finds."""
    with connected(fleet, place) as connection:
        return list(connection.scalars(select(Node.title).where(matches(Node, query)).order_by(Node.id)))


def findings(fleet: Fleet, place: TenantPlace, settings: Settings) -> tuple[str, ...]:
    with databases_of_our_own(fleet.servers, 1) as databases:
        return Verification(fleet.under(settings), databases).verify(place).findings


def add_tag(fleet: Fleet, place: TenantPlace, name: str) -> None:
    engine = create_engine(fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(TenantBase.metadata.tables["tags"].insert(), {"id": uuid7(), "name": name})


def found(fleet: Fleet, place: TenantPlace) -> tuple[list[str], list[Any]]:
    """The tags of a database, and whose it is."""
    engine = create_engine(fleet.servers[place.server].tenant_url(place.database), poolclass=NullPool)
    with engine.connect() as connection:
        tags = TenantBase.metadata.tables["tags"].c.name
        names = connection.scalars(select(tags).order_by(tags)).all()
        return list(names), list(connection.scalars(select(TenantIdentity.tenant_id)))


def look(fleet: Fleet, where: TenantPlace) -> None:
    """Connect as the application would."""
    with connected(fleet, where) as connection:
        (identity,) = connection.exec_driver_sql("SELECT tenant_id FROM tenant_identity").scalars()
        if str(identity).replace("-", "") != where.id.hex:
            raise WrongTenantDatabase(where.slug)
