"""How does a request go to an address that a tenant has named?

``addresses`` says to which addresses requests may go, and ``sending`` sends one.
"""
