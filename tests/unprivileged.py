"""Let the permissions of files hold for root too."""

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager

VERSION = 0x20080522  # of the structures below, _LINUX_CAPABILITY_VERSION_3; see capget(2)
# capabilities(7): CAP_DAC_OVERRIDE writes, and CAP_DAC_READ_SEARCH reads, whatever the mode of a file says.
ABOVE_PERMISSIONS = 1 << 1 | 1 << 2


class _Header(ctypes.Structure):
    _fields_ = [("version", ctypes.c_uint32), ("pid", ctypes.c_int)]


class _Data(ctypes.Structure):
    _fields_ = [("effective", ctypes.c_uint32), ("permitted", ctypes.c_uint32), ("inheritable", ctypes.c_uint32)]


@contextmanager
def bound_by_permissions() -> Iterator[None]:
    """In this thread nobody is above the mode of a file. Nothing has to be done for anybody but root."""
    if os.geteuid() != 0:
        yield
        return
    libc, header, data = ctypes.CDLL(None, use_errno=True), _Header(VERSION, 0), (_Data * 2)()
    assert libc.capget(ctypes.byref(header), data) == 0
    effective = data[0].effective
    data[0].effective = effective & ~ABOVE_PERMISSIONS
    assert libc.capset(ctypes.byref(header), data) == 0
    try:
        yield
    finally:
        data[0].effective = effective
        assert libc.capset(ctypes.byref(header), data) == 0
