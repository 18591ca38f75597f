"""A real nginx in front of a server, configured by ``deploy/nginx.conf``."""

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.debian import debian_program, with_libraries
from tests.programs import needed

SITE = Path(__file__).parents[1] / "deploy" / "nginx.conf"
AROUND = """
{user}
daemon off;
worker_processes 1;
pid {directory}/nginx.pid;
error_log {directory}/nginx.log;
events {{}}
http {{
    access_log off;
    {paths}
    {compression}
    {site}
}}
"""
CERTIFICATE, KEY = (f"/etc/ssl/tenants.example/{name}.pem" for name in ("fullchain", "privkey"))
COMPRESSION = "gzip on; gzip_types application/json; gzip_proxied any; gzip_min_length 0;"
KINDS = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


Changes = tuple[tuple[str, str], ...]  # of the file


def as_after_tls(port: int) -> Changes:
    """Plain HTTP, and the word of nginx that it was TLS."""
    return (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port};"),
        (f"    ssl_certificate {CERTIFICATE};\n    ssl_certificate_key {KEY};\n", ""),
        ("X-Forwarded-Proto $scheme", "X-Forwarded-Proto https"),
        ("X-Forwarded-Port $server_port", "X-Forwarded-Port 443"),
    )


def with_tls(port: int, directory: Path) -> Changes:
    """TLS. The port is said everywhere, because it is not the usual one."""
    certificate, key = directory / "certificate.pem", directory / "key.pem"
    kind = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", "/CN=localhost")
    program = needed(lambda: debian_program("openssl", "openssl"))
    subprocess.run(
        [program, "req", "-x509", *kind, "-days", "2", "-keyout", key, "-out", certificate],
        check=True,
        capture_output=True,
    )
    return (
        ("listen 443 ssl;", f"listen 127.0.0.1:{port} ssl;"),
        (CERTIFICATE, str(certificate)),
        (KEY, str(key)),
        ("server_name tenants.example;", "server_name localhost;"),
        ("Host $host;", "Host $http_host;"),
    )


@contextmanager
def nginx_before(
    server: int, port: int, directory: Path, *, compresses: bool = False, tls: bool = False
) -> Iterator[None]:
    """Run nginx during the block. It forwards from ``port`` to the port ``server``, as if it had ended TLS.

    With ``tls`` it does so, with a certificate that nobody has signed. The names of this machine are what it serves.
    """
    program = with_libraries(needed(lambda: debian_program("nginx", "nginx")), directory)
    block = SITE.read_text()
    changes = with_tls(port, directory) if tls else as_after_tls(port)
    for old, new in (("127.0.0.1:6543", f"127.0.0.1:{server}"), *changes):
        assert old in block
        block = block.replace(old, new)
    paths = "\n    ".join(f"{kind}_temp_path {directory}/{kind};" for kind in KINDS)
    user = "user root;" if os.geteuid() == 0 else ""  # or root's processes would look for www-data
    configuration = directory / "nginx.conf"
    compression = COMPRESSION if compresses else ""
    around = AROUND.format(user=user, directory=directory, paths=paths, compression=compression, site=block)
    configuration.write_text(around)
    command = [program, "-c", str(configuration), "-e", str(directory / "nginx.log")]
    process = subprocess.Popen(command, env=os.environ | {"LD_LIBRARY_PATH": str(directory)})
    try:
        yield
    finally:
        process.terminate()
        assert process.wait(20) == 0
