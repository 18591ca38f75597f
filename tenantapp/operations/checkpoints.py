"""Named moments in the work on databases, at which the tests stop a process to kill it.

A checkpoint is a function that leaves something behind for another worker: a row, a file, a role, a database. It makes
two points: ``NAME:before`` and, if the function returns, ``NAME:after``.
"""

from collections.abc import Callable
from functools import wraps
from typing import Final, ParamSpec, TypeVar

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")
Listener = Callable[[str], None]

_names: Final[set[str]] = set()
_listener: Listener | None = None


def checkpoint(name: str) -> Callable[[Callable[Parameters, Result]], Callable[Parameters, Result]]:
    """Make a checkpoint of a function or method. Raises ``ValueError`` if another one has this name.

    Stands above ``@contextmanager`` too: before and after are then those of the call, not of the block.
    """
    if name in _names:
        raise ValueError(f"two checkpoints have the name {name}")
    _names.add(name)
    before, after = f"{name}:before", f"{name}:after"

    def decorated(function: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
        @wraps(function)
        def passing(*arguments: Parameters.args, **options: Parameters.kwargs) -> Result:
            if _listener is None:
                return function(*arguments, **options)
            _tell(before)
            result = function(*arguments, **options)
            _tell(after)
            return result

        return passing

    return decorated


def checkpoints() -> frozenset[str]:
    """Return the names of the checkpoints in the modules that are imported by now."""
    return frozenset(_names)


def listen(listener: Listener | None) -> None:
    """Call ``listener`` with each point that this process comes to, in place of an earlier listener. For tests only.

    None ends it. A forked process inherits the listener.
    """
    global _listener
    _listener = listener


def _tell(point: str) -> None:
    # The listener may have ended, or ended itself, since the function was called.
    if _listener is not None:
        _listener(point)
