"""What shells complete, tried in a real shell where there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import click
import pytest

from tenantapp.cli import completing, program
from tenantapp.operations.queue import list_operations
from tests.functional.conftest import Command
from tests.installation import Installation

# As bash does it for TAB: the words, and which of them the cursor is at.
PROGRAM = """
{script}
COMP_WORDS=({words})
COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))
_tenantapp_completion tenantapp
printf '%s\\n' "${{COMPREPLY[@]}}"
"""


def completed(ini: Path, script: str, words: str) -> list[str]:
    """What bash offers for the last of the words; nothing is printed besides."""
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "TENANTAPP_INI": str(ini),
    }
    program = PROGRAM.format(script=script, words=words)
    run = subprocess.run(["bash", "-c", program], capture_output=True, text=True, env=environment, check=True)
    assert run.stderr == ""
    return run.stdout.split()


def test_scripts_name_the_command(run: Command) -> None:
    for shell in ("bash", "zsh", "fish"):
        printed = run("completion", shell)
        assert (printed.status, printed.err) == (0, "")
        assert f"_TENANTAPP_COMPLETE={shell}_complete" in printed.out


@pytest.mark.skipif(shutil.which("bash") is None, reason="install bash")
def test_bash_completes_commands_and_names(done: Command, ini: Path) -> None:
    script = done("completion", "bash").out
    done("tenants", "create", "acme", "apex", "globex")
    done("groups", "add", "editors")
    assert completed(ini, script, "tenantapp tenants cr") == ["create"]
    assert completed(ini, script, "tenantapp tenants show a") == ["acme", "apex"]
    assert completed(ini, script, "tenantapp grants add @e") == ["@editors"]
    assert completed(ini, script, "tenantapp tenants create x --server m") == ["main"]


@pytest.mark.skipif(shutil.which("bash") is None, reason="install bash")
def test_without_a_database_nothing_is_completed_and_nothing_said(run: Command, ini: Path) -> None:
    script = run("completion", "bash").out
    assert completed(ini, script, "tenantapp tenants show ''") == []
    ini.write_text("no configuration\n")
    assert completed(ini, script, "tenantapp tenants show a") == []


def test_names_are_found_in_the_user_database(shared_installation: Installation, tmp_path: Path) -> None:
    ini = tmp_path / "tenantapp.ini"
    lines = (f"{name} = {value.replace('%', '%%')}\n" for name, value in shared_installation.settings.items())
    ini.write_text(f"[app:main]\nuse = egg:tenantapp\n{''.join(lines)}")
    context = click.Context(program)
    context.params["ini"] = ini

    def names(complete: completing.Complete, beginning: str) -> list[str]:
        return complete(context, click.Argument(["name"]), beginning)

    assert names(completing.slugs, "") == ["acme", "globex"]
    assert names(completing.slugs, "gl") == ["globex"]
    assert names(completing.slugs, "%") == []
    assert names(completing.logins, "ad") == ["ada"]
    assert names(completing.grantees, "ad") == ["ada"]
    assert names(completing.roles, "read") == ["reader"]
    assert names(completing.servers, "") == ["main"]
    assert names(completing.groups, "nobody") == names(completing.grantees, "@nobody") == []
    found = names(completing.operation_ids, "")
    with shared_installation.registry.user_db.begin(read_only=True) as session:
        assert found == [str(operation.id) for operation in list_operations(session)]
    assert names(completing.operation_ids, found[0]) == [found[0]]
