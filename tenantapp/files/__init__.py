"""Where do a tenant's files lie, and how do they reach a browser?

The bytes lie in the storage of the setting ``files.storage``, under the tenant's id and the file's own; no input is
ever a part of their name. A row of ``tenant_files`` in the tenant's database says what they are. Bytes are written
before their row is committed, and removed after its removal is committed. So a row always has its bytes; what a crash
leaves are bytes without a row, which ``tenantapp tenants sweep-files`` removes.
"""

from typing import Any


def includeme(config: Any) -> None:
    """Include ``files.application``. It is not imported here, so programs without requests do not import Pyramid."""
    config.include("tenantapp.files.application")
