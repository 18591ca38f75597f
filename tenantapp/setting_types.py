"""How the text of a setting is read. Each parser raises ``ValueError`` with what the setting's name goes before."""

import math
import re
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError

DRIVERS: Final = ("sqlite+pysqlite", "postgresql+psycopg2")
NUMBER: Final = re.compile(r"[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def text(value: str) -> str:
    """Anything but nothing."""
    if not value:
        raise ValueError("must not be empty")
    return value


def package(value: str) -> str:
    """The name of a package that can be imported."""
    try:
        found = find_spec(value)
    except (ImportError, ValueError):
        found = None
    if found is None:
        raise ValueError(f"names a package that is not there: {value}")
    return value


def flag(value: str) -> bool:
    """True or false, in the words ini files use."""
    words = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}
    try:
        return words[value.lower()]
    except KeyError:
        raise ValueError("must be true or false") from None


def number(kind: type[int] | type[float], low: float, high: float, unit: str) -> Callable[[str], float]:
    """A parser of numbers from ``low`` to ``high``."""

    def parse(value: str) -> float:
        try:
            # Python would take 1_000 and the digits of every script as well.
            number = kind(value if NUMBER.fullmatch(value) else -1)
        except ValueError:
            number = kind(-1)
        if not (math.isfinite(number) and low <= number <= high):
            raise ValueError(f"must be a number of {unit} from {low:g} to {high:g}")
        return number

    return parse


def hosts(value: str) -> frozenset[str]:
    """Names and addresses of hosts with spaces between them, without ports."""
    found = frozenset(word.lower().strip("[]").removesuffix(".") for word in value.split())
    if not found or any(not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:.]+", host) for host in found):
        raise ValueError("must be names or addresses of hosts, without ports")
    return found


def retention(value: str) -> Mapping[str, int]:
    """How many backups to keep, by how often: ``daily 7, weekly 4``."""
    matches = [re.fullmatch(r"(daily|weekly|monthly|yearly) +([0-9]{1,4})", part.strip()) for part in value.split(",")]
    found = {match[1]: int(match[2]) for match in matches if match}
    if len(found) < len(matches):
        raise ValueError("must be like: daily 7, weekly 4, monthly 12, yearly 3")
    return found


def choice(*words: str) -> Callable[[str], str]:
    """A parser of one of these words."""

    def parse(value: str) -> str:
        if value not in words:
            raise ValueError(f"must be one of: {', '.join(words)}")
        return value

    return parse


def secret(value: str) -> str:
    """A secret long enough not to be guessed."""
    if len(value) < 32:
        raise ValueError("must have at least 32 characters")
    return value


def database_url(value: str) -> URL:
    """A bare ``postgresql://`` would mean psycopg 3 in SQLAlchemy 2.1, so the driver has to be spelled out."""
    try:
        url = make_url(value)
    except ArgumentError:
        raise ValueError("is not a database URL") from None
    if url.drivername not in DRIVERS:
        raise ValueError(f"must begin with one of: {', '.join(f'{driver}://' for driver in DRIVERS)}")
    if not url.database and url.drivername.startswith("sqlite"):
        raise ValueError("must name a path")
    return url


def pgbouncer_url(value: str) -> URL:
    """The URL of a PgBouncer. Role, password and database are those of whoever goes through it."""
    url = database_url(value)
    if not url.drivername.startswith("postgresql"):
        raise ValueError("must begin with postgresql+psycopg2://")
    if url.username or url.password or url.database:
        raise ValueError("must name no role, no password and no database")
    if "options" in url.query:
        raise ValueError("must have no options, which PgBouncer refuses")
    return url


def user_database_url(value: str) -> URL:
    """A database URL that names its database."""
    url = database_url(value)
    if not url.database:
        raise ValueError("must name a database")
    return url
