"""What a tenant may make in its database so that others call it: whoever does, but the owner, gets an error."""

from typing import Final

from sqlalchemy import create_engine
from sqlalchemy.engine import URL
from sqlalchemy.pool import NullPool

CAUGHT: Final = "a decoy was called"
GUARD: Final = f"""
CREATE FUNCTION public.guard() RETURNS void LANGUAGE plpgsql AS $$ BEGIN
    IF (SELECT pg_catalog.pg_get_userbyid(datdba) FROM pg_catalog.pg_database
        WHERE datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) OPERATOR(pg_catalog.<>) current_user
    THEN RAISE EXCEPTION '{CAUGHT} by %', current_user; END IF;
END $$
"""
# The types of PostgreSQL's own are wider (text, any), so these fit better wherever public is on the path.
ROUTINES: Final = {
    "quote_ident(given name) RETURNS text": "pg_catalog.quote_ident(given::text)",
    "format(words text, one name) RETURNS text": "pg_catalog.format(words, variadic array[one])",
    "format(words text, one name, two name) RETURNS text": "pg_catalog.format(words, variadic array[one, two])",
    'same(one "char", two text) RETURNS boolean': "one::text OPERATOR(pg_catalog.=) two",
}
OPERATOR: Final = 'CREATE OPERATOR public.= (LEFTARG = "char", RIGHTARG = text, FUNCTION = public.same)'
CAST: Final = (
    "CREATE TYPE public.mood AS ENUM ('sad', 'glad')",
    "CREATE FUNCTION public.written(mood) RETURNS text LANGUAGE plpgsql AS $$ BEGIN"
    " PERFORM public.guard(); RETURN 'as cast'; END $$",
    "CREATE CAST (public.mood AS text) WITH FUNCTION public.written(public.mood)",
    "CREATE TABLE moods (mood public.mood)",
    "INSERT INTO moods VALUES ('glad'), (NULL)",
)
VIEW: Final = (
    "ALTER TABLE {table} RENAME TO hidden",
    "CREATE FUNCTION public.shown(given {type}) RETURNS {type} LANGUAGE plpgsql AS $$ BEGIN"
    " PERFORM public.guard(); RETURN given; END $$",
    "CREATE VIEW {table} AS SELECT public.shown({column}) AS {column} FROM hidden",
)


def lay(url: URL) -> None:
    """Make functions and an operator whose types fit better than PostgreSQL's own, and a cast."""
    made = [
        f"CREATE FUNCTION public.{head} LANGUAGE plpgsql AS $$ BEGIN PERFORM public.guard(); RETURN {value}; END $$"
        for head, value in ROUTINES.items()
    ]
    _execute(url, GUARD, *made, OPERATOR, *CAST)


def put_view_in_place(url: URL, table: str, column: str, type_: str) -> None:
    """Replace a table by a view of it that calls a function."""
    _execute(url, GUARD, *(each.format(table=table, column=column, type=type_) for each in VIEW))


def _execute(url: URL, *statements: str) -> None:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        for statement in statements:
            connection.exec_driver_sql(statement.replace("%", "%%"))
