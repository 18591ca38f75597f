"""Which known name is most like one that is unknown?"""

from collections.abc import Collection

LONGEST = 100  # characters; the comparison takes long for long texts


def nearest(name: str, known: Collection[str]) -> str:
    """Return `` (did you mean ...?)`` with the known name that is most like this one, or nothing."""
    from difflib import get_close_matches  # imported here: most programs start without a slip

    found = get_close_matches(name[:LONGEST], sorted(known), 1)
    return f" (did you mean {found[0]}?)" if found else ""
