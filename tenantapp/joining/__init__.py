"""How does a person come in: into an installation, and into a tenant?"""
