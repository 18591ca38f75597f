"""Passwords of roles that are being changed while the roles are in use."""

from collections.abc import Callable, Mapping
from typing import Any, Self

import psycopg2

from tenantapp.sql.postgres_connections import is_full


class RolePassword(str):
    """The password of a role that may still have its ``former`` one.

    It remembers which of them the server accepted last, so a second attempt is made only when that changes.
    """

    _former: str
    _former_first: bool

    def __new__(cls, present: str, former: str) -> Self:
        password = super().__new__(cls, present)
        password._former, password._former_first = former, False
        return password

    @property
    def accepted(self) -> str:
        """Return the password that the server accepted last, for programs that connect by themselves."""
        return self._former if self._former_first else str(self)

    def connect(self, attempt: Callable[[str], Any]) -> Any:
        """Call ``attempt`` with the password that was accepted last and, if the server refuses that, with the other.

        Raises the driver's errors.
        """
        try:
            return attempt(self.accepted)
        except psycopg2.OperationalError as error:
            if not _is_refused(error):
                raise
        connection = attempt(str(self) if self._former_first else self._former)
        self._former_first = not self._former_first
        return connection


def connect_as_role(connect: Callable[..., Any], keywords: Mapping[str, Any]) -> Any:
    """Connect with these keywords of psycopg2, of which ``password`` may be a ``RolePassword``."""
    password = keywords.get("password")
    if isinstance(password, RolePassword):
        return password.connect(lambda given: connect(**{**keywords, "password": given}))
    return connect(**keywords)


def _is_refused(error: psycopg2.OperationalError) -> bool:
    """Return whether a server answered and let nobody in.

    The driver reports no SQLSTATE of a refused connection (28P01), and the message may be in another language.
    """
    return "FATAL" in str(error) and not is_full(error)
