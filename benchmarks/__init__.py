"""How fast tenantapp is, beside its peers: ``make bench``, or ``python -m benchmarks`` for one case alone."""
