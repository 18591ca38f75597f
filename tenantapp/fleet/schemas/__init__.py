"""What a database's structure really is, what its revision should have, and how the two differ."""
