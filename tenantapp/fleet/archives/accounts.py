"""The user of the operating system that runs an archiver and a restored server. PostgreSQL refuses to run as root."""

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tenantapp.fleet.errors import MomentRefused
from tenantapp.settings import Settings


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

    def give(self, made: Path | int) -> None:
        """Let this user own a directory, or an open file, that we have made."""
        if not self.changed:
            return
        if isinstance(made, int):
            os.fchown(made, self.user, self.group)
        else:
            os.lchown(made, self.user, self.group)  # no other, to which somebody may have made a link


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
