"""What prevents a new package."""


class ScaffoldRefused(Exception):
    """Nothing was written. The message is one sentence that says why."""
