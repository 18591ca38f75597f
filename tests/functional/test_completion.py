"""What shells complete, tried in a real shell where there is one."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.functional.conftest import Command

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
