"""The step of an operation that runs hooks."""

from typing import Final

from tenantapp.fleet.hooks.declarations import HookEvent, hooks_of
from tenantapp.operations.kinds import Context, Step

HOOKS: Final = "hooks"  # the name of the step
REHEARSAL: Final = "rehearsal"  # the argument of a clone that is made to rehearse a migration


def hook_step(event: HookEvent) -> Step:
    """Return the last step of an operation that makes a tenant. Without hooks of this event, it is left out."""

    def needed(context: Context) -> bool:
        # The domain is not told of a rehearsal, and may not know the structure any more.
        return REHEARSAL not in context.arguments and bool(hooks_of(context.fleet).on(event))

    def run(context: Context) -> None:
        # Imported here, because most commands that make a tenant have no hooks to run.
        from tenantapp.fleet.hooks.running import run_hooks

        run_hooks(context, event)

    return Step(HOOKS, run, needed=needed)
