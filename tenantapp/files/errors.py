"""The errors of this package.

FilesError
+-- FilesOff             the installation has no storage for files
+-- FilesUnavailable     the storage does not answer, or has not the bytes of a file
+-- FileInUse            rows refer to the file, so it cannot be deleted
+-- FilesFull            with the file, the tenant would have more bytes of files than it may have
"""


class FilesError(Exception):
    """Base of this package's errors. ``str(error)`` is a sentence that may be shown to the person."""


class FilesOff(FilesError):
    """The installation has no storage for files."""

    def __init__(self) -> None:
        super().__init__("This installation keeps no files: the setting files.storage is not set.")


class FilesUnavailable(FilesError):
    """The storage does not answer, or has not the bytes of a file. ``reason`` is for the log of the server."""

    def __init__(self, reason: str) -> None:
        self.reason = reason
        super().__init__("The storage of files does not answer now, or has not the content of this file.")


class FileInUse(FilesError):
    """Rows refer to the file, so it cannot be deleted."""

    def __init__(self) -> None:
        super().__init__("This file is in use: rows refer to it.")


class FilesFull(FilesError):
    """With the file, the tenant would have more bytes of files than ``files.most_bytes``. ``bytes`` is what it has."""

    def __init__(self, used: int, most: int) -> None:
        super().__init__(f"The files of this tenant have {used} bytes, and may have {most}. Delete some first.")
        self.bytes, self.most_bytes = used, most
