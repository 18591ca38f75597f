"""The user of the operating system that runs an archiver and a restored server. PostgreSQL refuses to run as root.

That user owns the directory of a restored server, and so may put a link in place of anything in it at any time. So we
touch nothing there as root: whatever is done in it, is done by a program that is this user from its first step on.
"""

import os
import signal
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any, Final

from tenantapp.fleet.errors import BackupFailed, MomentRefused
from tenantapp.operations.outcomes import first_line
from tenantapp.settings import Settings

LONGEST_RUN: Final = 60.0  # seconds; a FIFO in place of a file would have it wait for ever


@dataclass(frozen=True, slots=True)
class Account:
    """A user, by number. ``changed`` is whether it is another one than that of this process, which then is root."""

    user: int
    group: int
    changed: bool = False

    @property
    def options(self) -> dict[str, Any]:
        """Return the options of ``subprocess.Popen`` that run a program as this user."""
        if not self.changed:
            return {}
        return {"user": self.user, "group": self.group, "extra_groups": _groups(self.user, self.group)}

    @property
    def home(self) -> dict[str, str]:
        """Return the variable ``HOME``, if this user has a home."""
        import pwd  # not on Windows, where the application starts as well

        if not self.changed:
            return environment_of(("HOME",))
        with suppress(KeyError):
            return {"HOME": pwd.getpwuid(self.user).pw_dir}
        return {}

    def start(
        self, command: Sequence[str], environment: Mapping[str, str], **options: Any
    ) -> "subprocess.Popen[bytes]":
        """Start a program as this user, with this environment alone, and without our terminal. Raises ``OSError``."""
        given: dict[str, Any] = {"stdin": subprocess.DEVNULL} | self.options | options
        # The working directory is entered before the program is this user.
        process: subprocess.Popen[bytes] = subprocess.Popen(  # noqa: S603
            command, cwd="/", env=environment, start_new_session=True, **given
        )
        return process

    def run(
        self, command: Sequence[str], doing: str, what: str, *, given: str = "", longest: float = LONGEST_RUN
    ) -> str:
        """Run a program as this user, and return what it writes. ``given`` is its input, ``longest`` in seconds.

        Raises ``BackupFailed``, which says that ``doing`` something failed on ``what``.
        """
        pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
        try:
            with self.start(command, plain_environment(), **pipes) as process:
                try:
                    written, said = process.communicate(given.encode(), longest)
                except BaseException:
                    with suppress(ProcessLookupError):
                        os.killpg(process.pid, signal.SIGKILL)  # also what a shell has started
                    raise
        except subprocess.TimeoutExpired as error:
            raise BackupFailed(doing, what, f"it took longer than {longest:g} seconds") from error
        except OSError as error:
            raise BackupFailed(doing, what, str(error)) from error
        if process.returncode != 0:
            raise BackupFailed(doing, what, first_line(said.decode(errors="replace")))
        return written.decode(errors="replace")


def plain_environment() -> dict[str, str]:
    """Return the environment of a program that needs nothing of ours but the search path."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C"}


def environment_of(patterns: Iterable[str]) -> dict[str, str]:
    """Return what our environment has under these names, which may have ``*`` in them."""
    return {name: value for name, value in os.environ.items() if any(fnmatchcase(name, each) for each in patterns)}


def account_for(settings: Settings) -> Account:
    """Return the user: ourselves, or if we are root, the owner of the directory for restored servers.

    Raises ``MomentRefused``.
    """
    if os.geteuid() != 0 or settings.backups_clusters is None:
        return Account(os.geteuid(), os.getegid())
    try:
        found = Path(settings.backups_clusters).stat()
    except OSError as error:
        raise MomentRefused(f"the directory {settings.backups_clusters} cannot be used ({error.strerror})") from error
    if found.st_uid == 0:
        raise MomentRefused(
            f"PostgreSQL does not run as root, so the directory {settings.backups_clusters} has to belong to another "
            "user, who can read the archive"
        )
    return Account(found.st_uid, found.st_gid, changed=True)


def name_of(user: int) -> str | None:
    """Return the name of a user, or None: that of a container may have none."""
    import pwd  # not on Windows, where the application starts as well

    try:
        return pwd.getpwuid(user).pw_name
    except KeyError:
        return None


def _groups(user: int, group: int) -> list[int]:
    name = name_of(user)
    return [group] if name is None else os.getgrouplist(name, group)
