"""Databases of somebody else, of a structure that nobody has designed for us: one on each engine."""

import hashlib
import secrets
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.engine import URL, make_url

from tenantapp.databases.schemas.expected import structure_at
from tests.contract.conftest import Fleet

# Odd names, reserved words, keys of several columns and of none, defaults, checks, views, triggers, types of its own.
ON_SQLITE = """
CREATE TABLE "order" (
    id INTEGER PRIMARY KEY AUTOINCREMENT, "select" VARCHAR(40) NOT NULL DEFAULT 'it''s: 50%',
    "Total Price" DECIMAL(10,2) NOT NULL DEFAULT 0.0 CHECK ("Total Price" >= 0), "from" DATE,
    placed TIMESTAMP DEFAULT CURRENT_TIMESTAMP
);
CREATE TABLE "order lines" (
    "order" INTEGER NOT NULL REFERENCES "order"(id) ON DELETE CASCADE, number INT NOT NULL, text TEXT COLLATE NOCASE,
    amount REAL, PRIMARY KEY ("order", number)
);
CREATE TABLE parts (
    part_order INTEGER, part_number INTEGER, note TEXT,
    FOREIGN KEY (part_order, part_number) REFERENCES "order lines"("order", number)
);
CREATE TABLE users (
    id CHAR(32) NOT NULL PRIMARY KEY, e_mail VARCHAR(200) NOT NULL UNIQUE, class VARCHAR(10),
    active BOOLEAN NOT NULL DEFAULT 1, json TEXT, date DATE, "größe" INTEGER, metadata TEXT
);
CREATE TABLE vehicles (
    id CHAR(32) PRIMARY KEY, owner CHAR(32) NOT NULL REFERENCES users(id), plate VARCHAR(12) NOT NULL, picture BLOB,
    odd GEOMETRY, CONSTRAINT one_plate UNIQUE (owner, plate)
);
CREATE INDEX "vehicles by plate" ON vehicles (plate, owner);
CREATE UNIQUE INDEX lower_plate ON vehicles (lower(plate)) WHERE picture IS NULL;
CREATE VIEW "totals" AS SELECT sum("Total Price") AS total, '100%: x' AS y FROM "order";
CREATE TRIGGER touch AFTER UPDATE ON "order" BEGIN
    UPDATE "order" SET placed = CURRENT_TIMESTAMP WHERE id = new.id;
    SELECT 1;
END;
"""
ON_POSTGRESQL = """
CREATE TYPE mood AS ENUM ('sad', 'it''s ok');
CREATE TABLE "order" (
    id SERIAL PRIMARY KEY, "select" VARCHAR(40) NOT NULL DEFAULT 'it''s: 50%',
    "Total Price" NUMERIC(10,2) NOT NULL DEFAULT 0.0 CHECK ("Total Price" >= 0), "from" DATE,
    placed TIMESTAMPTZ DEFAULT now(), feeling mood, big BIGINT GENERATED ALWAYS AS IDENTITY
);
CREATE TABLE "order lines" (
    "order" INTEGER NOT NULL REFERENCES "order"(id) ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,
    number INT NOT NULL, text TEXT, amount DOUBLE PRECISION, total NUMERIC GENERATED ALWAYS AS (number * 2) STORED,
    PRIMARY KEY ("order", number)
);
CREATE TABLE parts (
    part_order INTEGER, part_number INTEGER, note TEXT,
    FOREIGN KEY (part_order, part_number) REFERENCES "order lines"("order", number)
);
CREATE TABLE users (
    id UUID NOT NULL PRIMARY KEY DEFAULT gen_random_uuid(), e_mail VARCHAR(200) NOT NULL UNIQUE, class CHAR(10),
    active BOOLEAN NOT NULL DEFAULT true, json JSONB NOT NULL DEFAULT '{}', date DATE, "größe" SMALLINT,
    metadata TEXT[], at TIMESTAMP, home INET, words TSVECTOR
);
CREATE TABLE vehicles (
    id UUID PRIMARY KEY, owner UUID NOT NULL REFERENCES users(id), plate VARCHAR(12) NOT NULL, picture BYTEA,
    odd INTERVAL, CONSTRAINT one_plate UNIQUE (owner, plate)
);
COMMENT ON TABLE vehicles IS 'What they ''drive''';
COMMENT ON COLUMN vehicles.plate IS 'As on the car';
CREATE INDEX "vehicles by plate" ON vehicles (plate DESC, owner);
CREATE UNIQUE INDEX lower_plate ON vehicles (lower(plate)) WHERE picture IS NULL;
CREATE INDEX words ON users USING gin (words);
CREATE VIEW "totals" AS SELECT sum("Total Price") AS total, '100%: x'::text AS y FROM "order";
CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  -- a comment: of 100%
  UPDATE "order"
SET placed = now() WHERE id = new.part_order;
  RETURN new;
END $$;
CREATE TRIGGER touch AFTER INSERT ON parts FOR EACH ROW EXECUTE FUNCTION touch();
"""
ROW = """INSERT INTO "order" ("select") VALUES ('ropes')"""


@dataclass(frozen=True)
class Legacy:
    """One of them, on the first server of a fleet. ``name`` is what ``tenants adopt --database`` takes."""

    url: str
    name: str

    def everything(self) -> Any:
        """What would tell that it was touched."""
        url: URL = make_url(self.url)
        if url.get_backend_name() == "sqlite":
            return hashlib.sha256(Path(self.name).read_bytes()).hexdigest()
        return structure_at(url, self.name)


def legacy_on(fleet: Fleet) -> Legacy:
    """Make one with a row in it."""
    if fleet.admin is None:
        path = fleet.directory / "their %20 data.db"
        with closing(sqlite3.connect(path)) as connection:
            connection.executescript(ON_SQLITE + ROW)
        return Legacy(URL.create("sqlite+pysqlite", database=str(path)).render_as_string(), str(path))
    name = f"their_{secrets.token_hex(4)}"
    url = fleet.admin.set(database=name)
    fleet.ask(f'CREATE DATABASE "{name}"')
    fleet.ask((ON_POSTGRESQL + ROW).replace("%", "%%"), url)
    return Legacy(url.render_as_string(hide_password=False), name)
