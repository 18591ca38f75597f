"""A tenant in a file that belongs to no engine: written, checked, loaded. ``docs/bundles.md`` has the format."""
