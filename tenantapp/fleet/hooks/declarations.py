"""The hooks that a domain declares."""

from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any, Final

from tenantapp.nearest_names import nearest
from tenantapp.operations.fleet import Fleet
from tenantapp.settings import SettingsError
from tenantapp.tenancy.models import HOOK_NAME_LENGTH

if TYPE_CHECKING:
    from tenantapp.fleet.hooks.running import Hook


class HookEvent(StrEnum):
    """What happens to a tenant."""

    CREATED = "created"
    CLONED = "cloned"
    RENAMED = "renamed"
    DELETED = "deleted"


EVENTS: Final = tuple(HookEvent)
Handler = Callable[["Hook"], object]


class HooksError(SettingsError):
    """A hook is declared wrongly. The application does not start, and says this sentence."""


@dataclass(frozen=True, slots=True)
class DeclaredHook:
    """A hook: its handler, and the handler's dotted name, by which it is noted what was done."""

    event: HookEvent
    name: str
    handler: Handler


@dataclass
class DeclaredHooks:
    """The declared hooks, in the order of their declarations."""

    hooks: list[DeclaredHook] = field(default_factory=list)

    def on(self, event: HookEvent) -> list[DeclaredHook]:
        """Return the hooks of an event."""
        return [hook for hook in self.hooks if hook.event == event]

    def find(self, event: HookEvent, name: str) -> DeclaredHook | None:
        """Return the hook of this name, or None if the domain declares none."""
        return next((hook for hook in self.on(event) if hook.name == name), None)

    def declare(self, event: str, handler: Handler | str) -> None:
        """Add a hook. Raises ``HooksError``."""
        if event not in EVENTS:
            raise HooksError(f"A hook is declared for {event!r}, which is no event{nearest(str(event), EVENTS)}")
        function = _function(event, handler)
        name = f"{function.__module__}:{function.__qualname__}"
        if self.find(HookEvent(event), name) is not None:
            raise HooksError(f"The hook {name} is declared twice for the event {event}")
        if len(name) > HOOK_NAME_LENGTH:
            raise HooksError(f"The hook {name} has a name of more than {HOOK_NAME_LENGTH} characters")
        self.hooks.append(DeclaredHook(HookEvent(event), name, function))


def hooks_of(fleet: Fleet) -> DeclaredHooks:
    """Return the hooks that the domain declares. Raises ``SettingsError`` if the domain cannot be loaded."""
    if not fleet.may_declare:
        return DeclaredHooks()
    declared: DeclaredHooks = fleet.declared.declared_hooks
    return declared


def add_tenant_hook_directive(config: Any, event: str, handler: Handler | str) -> None:
    """Declare a function that is called when something happens to a tenant.

    This is the configuration directive ``config.add_tenant_hook("created", "inventory.seed:seed")``. The event is
    ``created``, ``cloned``, ``renamed`` or ``deleted``. The handler is a function, or its name. It gets a ``Hook``.
    Raises ``HooksError``.
    """
    config.registry.declared_hooks.declare(event, handler)


def _function(event: str, handler: Handler | str) -> Any:
    """Return the handler's function. Raises ``HooksError``."""
    function = _imported(event, handler) if isinstance(handler, str) else handler
    if not callable(function) or not hasattr(function, "__qualname__"):
        raise HooksError(f"The hook {handler!r} for the event {event} is no function")
    return function


def _imported(event: str, name: str) -> Any:
    module, colon, function = name.partition(":")
    if not (module and colon and function):
        raise HooksError(f"The hook {name!r} for the event {event} is not named like inventory.seed:seed")
    try:
        found: Any = import_module(module)
        for part in function.split("."):
            found = getattr(found, part)
    except Exception as error:  # whatever the domain's module raises
        said = str(error).partition("\n")[0].rstrip(".")
        raise HooksError(
            f"The hook {name} for the event {event} cannot be imported ({type(error).__name__}: {said})"
        ) from error
    return found
