"""The calls of a function, noted."""

from typing import Any

import pytest


def counted(patch: pytest.MonkeyPatch, module: Any, name: str) -> list[Any]:
    """The arguments of each call of a function."""
    calls: list[Any] = []
    real = getattr(module, name)

    def noted(*arguments: Any, **options: Any) -> Any:
        calls.append(arguments)
        return real(*arguments, **options)

    patch.setattr(module, name, noted)
    return calls
