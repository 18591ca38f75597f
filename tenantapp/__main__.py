"""The command line as a module, for a Python whose programs are not on the path: ``python -m tenantapp``."""

import sys

from tenantapp.cli import run

if __name__ == "__main__":
    sys.exit(run())
