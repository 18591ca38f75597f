"""Do the servers and the user database agree, and how is that mended?

``reconcile`` finds what does not agree. ``mending`` mends a finding.
"""
