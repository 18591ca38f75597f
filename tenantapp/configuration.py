"""Read the configuration of an installation, from an ini file and the environment, without making the application."""

import configparser
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import plaster

from tenantapp.ini_files import ini_loader
from tenantapp.serving.options import check_budget, processes_and_threads
from tenantapp.settings import Settings, SettingsError, given_settings, read_settings


class IniFileError(SettingsError):
    """The ini file cannot be read. The message is one sentence that names it."""


@dataclass(frozen=True, slots=True)
class Configuration:
    """The settings, and the variables of the ini file's ``[DEFAULT]``."""

    settings: Settings
    variables: Mapping[str, str]


def read_configuration(path: Path) -> Configuration:
    """Read an ini file and the files that it is based on. Raises ``SettingsError``."""
    with _readable(path):
        loader = ini_loader(path)
        found = loader.get_wsgi_app_settings()
        section = loader.get_settings("server:main", found.global_conf)
        return Configuration(read_app_settings(section, found), found.global_conf)


def read_given_settings(path: Path) -> dict[str, str]:
    """Return the text of each setting of an ini file and the environment, unchecked. Raises ``SettingsError``."""
    with _readable(path):
        return given_settings(ini_loader(path).get_wsgi_app_settings())


def read_app_settings(section: Mapping[str, str], values: Mapping[str, Any]) -> Settings:
    """Parse the settings, including those that depend on the web server. Raises ``SettingsError``.

    ``section`` is the ini file's ``[server:main]``. ``values`` are the settings as text.
    """
    settings = read_settings(values)
    _check_includes(values)
    processes, threads = processes_and_threads(section)
    check_budget(settings, threads)
    return replace(settings, connections_workers=settings.connections_workers or processes, threads=threads)


def _check_includes(values: Mapping[str, Any]) -> None:
    """Refuse a package that is not installed: ``development.ini`` names some, and Pyramid would end in a traceback."""
    for name in str(values.get("pyramid.includes", "")).split():
        package = name.partition(".")[0]
        # A name that begins with a dot is relative to a package that Pyramid finds itself.
        if package and find_spec(package) is None:
            raise SettingsError(
                f"setting pyramid.includes names a package that is not installed: {package}; install it or remove it"
            )


def _no_file(path: Path) -> str:
    if path.is_dir():
        return f"{path} is a directory"
    return f"{path} is not a regular file" if path.exists() else f"There is no file {path}"


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise ``IniFileError`` for what reading an ini file raises."""
    if not path.is_file():
        raise IniFileError(f"{_no_file(path)}; name the configuration with --ini or TENANTAPP_INI")
    try:
        yield
    except OSError as error:
        # This file, or a file that it names.
        raise IniFileError(f"The file {error.filename or path} cannot be read: {error.strerror}") from error
    except UnicodeError as error:
        raise IniFileError(f"The file {path} is not in UTF-8") from error
    except RecursionError as error:
        raise IniFileError(f"The file {path} is based on itself") from error
    except (configparser.Error, LookupError, ImportError, AttributeError, plaster.PlasterError) as error:
        # PasteDeploy raises LookupError if a section or an entry point is missing.
        reason = " ".join(str(error).split()).rstrip(".")
        raise IniFileError(f"The file {path} is not a configuration: {reason}") from error
