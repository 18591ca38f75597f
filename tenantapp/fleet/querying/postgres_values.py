"""Values of PostgreSQL for people and programs that asked a question: as text where Python would have another value.

Python has no infinite times, no years before 1 or after 9999, and no months in a span of time.
"""

from collections.abc import Callable
from typing import Any, Final

import psycopg2
from psycopg2 import extensions

# Numbers of types in pg_type, each with that of its array.
DATE: Final = (1082, 1182)
TIMESTAMP: Final = (1114, 1115)
TIMESTAMPTZ: Final = (1184, 1185)
INTERVAL: Final = (1186, 1187)
Caster = Callable[[Any, Any], Any]


def tell_exactly(connection: Any) -> None:
    """Let the driver return text for the times that Python has no value for, and for all spans of time."""
    casters = {
        DATE: _or_text(extensions.PYDATE),
        TIMESTAMP: _or_text(extensions.PYDATETIME),
        TIMESTAMPTZ: _or_text(extensions.PYDATETIMETZ),
        INTERVAL: _text,
    }
    for (number, of_array), caster in casters.items():
        one = extensions.new_type((number,), "EXACT", caster)
        extensions.register_type(one, connection)
        extensions.register_type(extensions.new_array_type((of_array,), "EXACT[]", one), connection)


def _text(value: str | None, cursor: Any) -> str | None:
    return value


def _or_text(caster: Caster) -> Caster:
    def cast(value: str | None, cursor: Any) -> Any:
        # The driver makes the last day of Python of what is infinite.
        if value is None or value.endswith("infinity"):
            return value
        try:
            return caster(value, cursor)
        except (ValueError, OverflowError, psycopg2.DataError):
            return value

    return cast
