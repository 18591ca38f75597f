"""Fills the databases and prints how to ask."""

import asyncio
import hashlib
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from models import Grant, Node, PeopleBase, Tenant, TenantBase, User, WebSession
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

TOKENS = {"member-of-acme": 1, "stranger-in-acme": 2}


def web_session(token: str, user_id: int) -> WebSession:
    """A signed-in browser with the first tenant selected."""
    token_hash = hashlib.sha256(token.encode()).digest()
    expires_at = datetime.now(UTC) + timedelta(days=1)
    return WebSession(token_hash=token_hash, user_id=user_id, tenant_id=1, expires_at=expires_at)


def node(values: dict[str, Any]) -> Node:
    """A node of these JSON values."""
    times = {name: datetime.fromisoformat(values[name]) for name in ("created_at", "updated_at")}
    return Node(**values | times | {"id": UUID(values["id"])})


async def fill(database: str, base: Any, *rows: list[Any]) -> None:
    """Make the tables of a database and add rows, those of the first list first."""
    engine = create_async_engine(f"postgresql+asyncpg:///{database}")
    async with engine.begin() as connection:
        await connection.run_sync(base.metadata.create_all)
    async with AsyncSession(engine) as session, session.begin():
        for some in rows:
            session.add_all(some)
            await session.flush()
    await engine.dispose()


async def main() -> None:
    """Two people, of whom only the first is granted anything; and each tenant's nodes."""
    contents = json.loads(Path(os.environ["NODES"]).read_text())
    users = [User(id=number, login=token, enabled=True) for token, number in TOKENS.items()]
    tenants = [Tenant(id=number, slug=slug, database=f"fastapi_{slug}") for number, slug in enumerate(contents, 1)]
    grants = [Grant(tenant_id=1, user_id=1, permission="content.read")]
    sessions = [web_session(token, number) for token, number in TOKENS.items()]
    await fill("fastapi_people", PeopleBase, users + tenants, grants + sessions)
    for slug, nodes in contents.items():
        await fill(f"fastapi_{slug}", TenantBase, [node(values) for values in nodes])
    member, stranger = ({"Cookie": f"session={token}"} for token in TOKENS)
    print(json.dumps({"path": "/nodes?limit=50", "headers": member, "stranger": stranger}))


asyncio.run(main())
