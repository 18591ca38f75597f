"""The command ``completion``."""

import click
from click.shell_completion import BashComplete, FishComplete, ShellComplete, ZshComplete

COMPLETIONS: dict[str, type[ShellComplete]] = {"bash": BashComplete, "zsh": ZshComplete, "fish": FishComplete}
COMPLETE_VARIABLE = "_TENANTAPP_COMPLETE"  # click derives it from the name of the program


@click.command()
@click.argument("shell", type=click.Choice(list(COMPLETIONS)))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print a script for shell completion.

    It completes commands, options, and the names of tenants, people, groups, roles, servers and operations.

    \b
    bash:  eval "$(tenantapp completion bash)"      in ~/.bashrc
    zsh:   eval "$(tenantapp completion zsh)"       in ~/.zshrc, after compinit
    fish:  tenantapp completion fish | source       in ~/.config/fish/config.fish
    """
    program = context.find_root()
    asked = COMPLETIONS[shell](program.command, {}, str(program.info_name), COMPLETE_VARIABLE)
    # Not source(), which checks the version of the bash on this machine.
    click.echo(asked.source_template % asked.source_vars())
