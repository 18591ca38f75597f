"""FastAPI and SQLAlchemy's asyncio extension, an engine for each tenant, as the two documentations show it."""

import hashlib
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Annotated
from uuid import UUID

from fastapi import Cookie, Depends, FastAPI, HTTPException
from models import Grant, Node, Tenant, User, WebSession
from pydantic import BaseModel, ConfigDict
from sqlalchemy import exists, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

app = FastAPI()
people = async_sessionmaker(create_async_engine("postgresql+asyncpg:///fastapi_people"), expire_on_commit=False)
tenants: dict[str, async_sessionmaker[AsyncSession]] = {}


class NodeOut(BaseModel):
    """A node as it is answered."""

    model_config = ConfigDict(from_attributes=True)
    id: UUID
    title: str
    body: str
    status: str
    version: int
    created_at: datetime
    updated_at: datetime


class NodeList(BaseModel):
    """A page of nodes."""

    items: list[NodeOut]


async def people_session() -> AsyncIterator[AsyncSession]:
    """The request's session on the database of people."""
    async with people() as session:
        yield session


async def tenant_database(
    database: Annotated[AsyncSession, Depends(people_session)], session: Annotated[str | None, Cookie()] = None
) -> str:
    """The database of the signed-in person's tenant, where they may read there."""
    granted = (Grant.tenant_id == Tenant.id) & (Grant.user_id == User.id) & (Grant.permission == "content.read")
    found = (
        select(Tenant.database, exists().where(granted).label("granted"))
        .select_from(WebSession)
        .join(User, User.id == WebSession.user_id)
        .join(Tenant, Tenant.id == WebSession.tenant_id)
        .where(WebSession.token_hash == hashlib.sha256((session or "").encode()).digest())
        .where(WebSession.expires_at > datetime.now(UTC), User.enabled)
    )
    row = (await database.execute(found)).one_or_none()
    if row is None:
        raise HTTPException(401)
    if not row.granted:
        raise HTTPException(403)
    return row.database


async def tenant_session(database: Annotated[str, Depends(tenant_database)]) -> AsyncIterator[AsyncSession]:
    """The request's session on its tenant's database; an engine is made when a tenant is first asked for."""
    if database not in tenants:
        engine = create_async_engine(f"postgresql+asyncpg:///{database}")
        tenants[database] = async_sessionmaker(engine, expire_on_commit=False)
    async with tenants[database]() as session:
        yield session


@app.get("/nodes")
async def list_nodes(session: Annotated[AsyncSession, Depends(tenant_session)], limit: int = 50) -> NodeList:
    """The first nodes by key."""
    nodes = await session.scalars(select(Node).order_by(Node.id).limit(limit))
    return NodeList(items=[NodeOut.model_validate(node) for node in nodes])
