"""A real Redis for the tests."""

import os
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.debian import debian_program, with_libraries
from tests.programs import needed


def redis_program() -> Path:
    """The program. Raises ``ProgramMissing`` if there is none and none can be fetched."""
    return debian_program("redis-server", "Redis")


@contextmanager
def running_redis() -> Iterator[str]:
    """The URL of a Redis that keeps nothing on disk; it is stopped at the end."""
    with tempfile.TemporaryDirectory(prefix="tenantapp-redis-") as directory:
        program, socket = with_libraries(needed(redis_program), Path(directory)), f"{directory}/socket"
        command = [program, "--port", "0", "--unixsocket", socket, "--save", "", "--dir", directory]
        environment = os.environ | {"LD_LIBRARY_PATH": directory}
        with subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment) as process:
            try:
                _wait_for(f"unix://{socket}")
                yield f"unix://{socket}"
            finally:
                process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 10
    while True:
        try:
            with redis.Redis.from_url(url) as client:
                client.ping()
                return
        except redis.exceptions.ConnectionError:
            assert time.monotonic() < deadline, "Redis does not start"
            time.sleep(0.02)
