"""Hours of ordinary work, and hundreds of reloads: what a short test cannot see (``make soak``)."""
