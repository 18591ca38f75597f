"""Do the servers and the user database agree, and how is that mended?"""
