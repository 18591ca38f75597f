"""Which known name is most like one that is unknown?"""

from collections.abc import Collection

LONGEST = 100  # characters; the comparison takes long for long texts


def nearest(name: str, known: Collection[str], beginning: str = "") -> str:
    """Return `` (did you mean ...?)`` with the known name that is most like this one, or nothing.

    ``beginning`` is how all names begin. It makes no two of them alike.
    """
    from difflib import get_close_matches  # imported here: most programs start without a slip

    names = sorted(each.removeprefix(beginning) for each in known)
    found = get_close_matches(name.removeprefix(beginning)[:LONGEST], names, 1)
    return f" (did you mean {beginning}{found[0]}?)" if found else ""
