"""How is ``tenancy.secret`` replaced while people are served?

``rotation`` changes whatever depends on the secret. ``role_passwords`` does so for the tenants' PostgreSQL roles.
"""
