"""How is ``tenancy.secret`` replaced while people are served?

``rotation`` changes whatever depends on the secret: ``role_passwords`` of the tenants' PostgreSQL roles,
``stored_secrets`` that are encrypted under it, and ``signatures`` of the audit trail.
"""
