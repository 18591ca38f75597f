"""What a domain declares of hooks is checked when it is declared, and a slip is one sentence."""

from typing import Any

import pytest

from tenantapp.fleet.hooks.declarations import DeclaredHooks, HookEvent, HooksError


def seed(hook: Any) -> None:
    """A handler."""


class Seeder:
    def __call__(self, hook: Any) -> None:
        """No function, so it has no name."""


def test_a_hook_is_a_function_or_its_name() -> None:
    hooks = DeclaredHooks()
    hooks.declare("created", seed)
    hooks.declare("cloned", f"{__name__}:seed")
    assert [(hook.event, hook.name, hook.handler) for hook in hooks.hooks] == [
        ("created", f"{__name__}:seed", seed),
        ("cloned", f"{__name__}:seed", seed),
    ]
    assert [hook.event for hook in hooks.on(HookEvent.CLONED)] == ["cloned"]
    assert hooks.find(HookEvent.DELETED, f"{__name__}:seed") is None


@pytest.mark.parametrize(
    ("event", "handler", "sentence"),
    [
        ("createed", seed, r"'createed', which is no event \(did you mean created\?\)"),
        ("created", f"{__name__}:seed", "is declared twice for the event created"),
        ("deleted", "no_such_module:seed", r"cannot be imported \(ModuleNotFoundError"),
        ("deleted", f"{__name__}:sed", r"cannot be imported \(AttributeError"),
        ("deleted", f"{__name__}.seed", "is not named like inventory.seed:seed"),
        ("deleted", Seeder(), "is no function"),
        ("deleted", None, "is no function"),
    ],
)
def test_a_slip_stops_the_start(event: str, handler: Any, sentence: str) -> None:
    hooks = DeclaredHooks()
    hooks.declare("created", seed)
    with pytest.raises(HooksError, match=sentence) as raised:
        hooks.declare(event, handler)
    assert "\n" not in str(raised.value)
