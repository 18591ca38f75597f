"""The step of an operation that runs hooks."""

from typing import Final

from tenantapp.fleet.hooks.declarations import HookEvent, hooks_of
from tenantapp.operations.kinds import Context, Step

HOOKS: Final = "hooks"  # the name of the step


def hook_step(event: HookEvent) -> Step:
    """Return the last step of an operation that makes a tenant. Without hooks of this event, it is left out."""

    def needed(context: Context) -> bool:
        return bool(hooks_of(context.fleet).on(event))

    def run(context: Context) -> None:
        # Imported here, because most commands that make a tenant have no hooks to run.
        from tenantapp.fleet.hooks.running import run_hooks

        run_hooks(context, event)

    return Step(HOOKS, run, needed=needed)
