"""Privileges and settings in words, and the statements that give them again.

The words come from the catalogue of a database, or with a copy that may come from anywhere. So no text of theirs is
ever executed: each verb and each right is one that is known here, and each name is quoted anew.
"""

import re
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Final, NamedTuple

from sqlalchemy.engine import Connection

from tenantapp.databases.connections.postgres import quoted
from tenantapp.databases.privileges.catalogue import ROLE, Target

OWNER: Final = "OWNER"
PUBLIC: Final = "PUBLIC"
ALL: Final = "ALL"
GRANT: Final = "GRANT"
POLICY: Final = "POLICY"
FROM_OWNER: Final = f"FROM {OWNER}"
RIGHT: Final = (
    "(?:ALL|CONNECT|CREATE|DELETE|EXECUTE|INSERT|MAINTAIN|REFERENCES|SELECT|TEMPORARY|TRIGGER|TRUNCATE|UPDATE|USAGE)"
)
NAME: Final = r'(?:"(?:[^"\0]|"")+")'
GRANTEE: Final = f"(?:{OWNER}|{PUBLIC}|{NAME})"
WORDS: Final = re.compile(
    f"(?P<verb>GRANT|REVOKE) (?P<rights>{RIGHT}(?:, {RIGHT})*)(?: ON COLUMN (?P<column>{NAME}))?"
    f" (?:TO|FROM) (?P<grantees>{GRANTEE})(?P<option> WITH GRANT OPTION)?"
    f"|{POLICY} (?P<policy>{NAME}) TO (?P<roles>{GRANTEE}(?:, {GRANTEE})*)"
    rf"|SET (?P<setting>{NAME}) TO '(?P<value>(?:[^'\0]|'')*)'(?P<owner> FOR OWNER)?"
)
GRANTEES: Final = re.compile(GRANTEE)
BETWEEN: Final = "; "
# All rights on tables before PostgreSQL 17, which brought MAINTAIN, and what the things are called that have them.
MAINTAIN_SINCE: Final = 17
ALL_BEFORE: Final = "DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE"
TABLES: Final = ("table ", "view ", "materialized view ", "foreign table ", "default privileges of tables")
# What they are set to is a list of names, quoted already: https://www.postgresql.org/docs/current/config-setting.html
LISTS: Final = frozenset({"local_preload_libraries", "search_path", "session_preload_libraries", "temp_tablespaces"})


class NotUnderstood(Exception):
    """The words are not of those that are given again. The message is the words, and where they stand."""


class Statement(NamedTuple):
    """A statement for ``exec_driver_sql``, with its values."""

    text: str
    values: tuple[str, ...] = ()


def check(privileges: Mapping[str, str]) -> None:
    """Raise ``NotUnderstood`` unless all of them can be given again after a dump was restored.

    A dump has the policies, with the names of their roles. That of the owner is another in the copy.
    """
    for thing, words in privileges.items():
        for each in _parse(thing, words):
            if each["policy"] is not None and OWNER in GRANTEES.findall(each["roles"]):
                raise NotUnderstood(f"{thing}: {each[0]}")


def roles_named(privileges: Mapping[str, str]) -> frozenset[str]:
    """Return the roles to which something is granted, or for whom a policy is. Raises ``NotUnderstood``."""
    return frozenset(chain.from_iterable(map(_roles, _all(privileges))))


def policies_in(thing: str, words: str) -> str:
    """Return the words that say whom policies are for, without the privileges of the thing.

    Where the policies cannot be told from the rest, all words are returned.
    """
    if POLICY not in words:
        return ""
    try:
        return BETWEEN.join(each[0] for each in _parse(thing, words) if each["policy"] is not None)
    except NotUnderstood:
        return words


def gives_others(privileges: Mapping[str, str]) -> bool:
    """Return whether something is granted to others than the owner, PUBLIC among them, or set.

    Raises ``NotUnderstood``.
    """
    return any(map(_gives, _all(privileges)))


def known_only(privileges: Mapping[str, str], known: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """Return the privileges that give others nothing beyond the known ones, and what was left out.

    Others than the owner keep the rights that they have on the same thing by the known privileges. A setting is kept
    if the known ones have it with the same value. What only takes away is kept, and so are policies, since the dump
    has them too. Raises ``NotUnderstood``.
    """
    kept: dict[str, str] = {}
    out = []
    for thing, words in privileges.items():
        allowed = _parse(thing, known[thing]) if thing in known else []
        for each in _parse(thing, words):
            if not _gives(each) or _is_among(each, allowed):
                kept[thing] = f"{kept[thing]}{BETWEEN}{each[0]}" if thing in kept else each[0]
            else:
                out.append(f"{thing}: {each[0]}")
    return kept, out


def without_maintain(privileges: Mapping[str, str], known: Mapping[str, str]) -> dict[str, str]:
    """Return the privileges of an older version, in words that give others nothing more on a version with MAINTAIN.

    ``known`` are those of the revision on the newer version: what is ALL there stays ALL. Raises ``NotUnderstood``.
    """
    said = dict(privileges)
    for thing in filter(lambda thing: thing.startswith(TABLES), privileges):
        allowed = _parse(thing, known[thing]) if thing in known else []
        said[thing] = BETWEEN.join(_without_maintain(each, allowed) for each in _parse(thing, privileges[thing]))
    return said


def _without_maintain(each: re.Match[str], allowed: list[re.Match[str]]) -> str:
    is_all = each["rights"] == ALL and not each["column"]
    if is_all and _gives(each) and not _is_among(each, allowed):
        return each[0].replace(f"{GRANT} {ALL} ", f"{GRANT} {ALL_BEFORE} ", 1)
    return each[0]


def _gives(each: re.Match[str]) -> bool:
    return each["setting"] is not None or (each["verb"] == GRANT and each["grantees"] != OWNER)


def _is_among(each: re.Match[str], allowed: list[re.Match[str]]) -> bool:
    """Return whether the statements for a thing make a setting, or grant all the rights, that this one does."""
    if each["setting"] is not None:
        return any(each[0] == other[0] for other in allowed)
    granted = set[str]()
    for other in allowed:
        same = all(each[part] == other[part] for part in ("verb", "column", "grantees"))
        if same and (other["option"] or not each["option"]):
            granted.update(_rights(other))
    return ALL in granted or granted.issuperset(_rights(each))


def statements_for(
    connection: Connection, thing: str, words: str, target: Target | None, owner: str
) -> Iterator[Statement]:
    """Yield the statements that give a thing its privileges again. ``target`` is None if there is no such thing.

    ``owner`` is the role that owns the database. Raises ``NotUnderstood``.
    """
    for each in _parse(thing, words):
        if each["setting"] is not None:
            yield from _set(connection, thing, each, target, owner)
        elif target is None:
            raise NotUnderstood(f"{thing}: {each[0]}")
        elif each["policy"] is not None:
            roles = ", ".join(_grantee(connection, role, owner) for role in GRANTEES.findall(each["roles"]))
            table = target.words.removeprefix("TABLE ")
            yield Statement(f"ALTER POLICY {_name(connection, each['policy'])} ON {table} TO {roles}")
        else:
            yield Statement(_grant(connection, each, target, owner))


def _grant(connection: Connection, each: re.Match[str], target: Target, owner: str) -> str:
    column = f" ({_name(connection, each['column'])})" if each["column"] else ""
    rights = ", ".join(right + column for right in _rights(each))
    to = "TO" if each["verb"] == GRANT else "FROM"
    grantee = _grantee(connection, each["grantees"], owner)
    words = (target.before, each["verb"], rights, "ON", target.words, to, grantee + (each["option"] or ""))
    return " ".join(words).lstrip()


def _set(
    connection: Connection, thing: str, each: re.Match[str], target: Target | None, owner: str
) -> Iterator[Statement]:
    role = f"ALTER ROLE {quoted(connection, owner)}"
    if thing == ROLE and not each["owner"]:
        altered = role
    elif target is not None and target.words.startswith("DATABASE "):
        altered = f"{role} IN {target.words}" if each["owner"] else f"ALTER {target.words}"
    else:
        raise NotUnderstood(f"{thing}: {each[0]}")
    setting, value = _plain(each["setting"], '"'), each["value"].replace("''", "'")
    name = ".".join(quoted(connection, part) for part in setting.split("."))
    if setting.lower() in LISTS:
        # A list in quotes would be one name.
        yield Statement("SELECT pg_catalog.set_config(%s, %s, true)", (setting, value))
        yield Statement(f"{altered} SET {name} FROM CURRENT")
        # Whoever executes this may be a superuser, and must not look up functions on the path of a tenant.
        yield Statement("SET LOCAL search_path TO pg_catalog")
    else:
        yield Statement(f"{altered} SET {name} TO %s", (value,))


def _all(privileges: Mapping[str, str]) -> Iterator[re.Match[str]]:
    for thing, words in privileges.items():
        yield from _parse(thing, words)


def _parse(thing: str, words: str) -> list[re.Match[str]]:
    found, at = [], 0
    while match := WORDS.match(words, at):
        found.append(match)
        at = match.end()
        if at == len(words):
            return found
        if not words.startswith(BETWEEN, at):
            break
        at += len(BETWEEN)
    raise NotUnderstood(f"{thing}: {words}")


def _roles(each: re.Match[str]) -> list[str]:
    listed = each["grantees"] or each["roles"] or ""
    return [_plain(name, '"') for name in GRANTEES.findall(listed) if name not in (OWNER, PUBLIC)]


def _rights(each: re.Match[str]) -> list[str]:
    return each["rights"].split(", ")


def _grantee(connection: Connection, grantee: str, owner: str) -> str:
    if grantee == PUBLIC:
        return PUBLIC
    return quoted(connection, owner) if grantee == OWNER else _name(connection, grantee)


def _name(connection: Connection, name: str) -> str:
    return quoted(connection, _plain(name, '"'))


def _plain(name: str, quote: str) -> str:
    return name[1:-1].replace(2 * quote, quote)
