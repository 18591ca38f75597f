"""The application with two companies on both engines, and clients of every role."""

pytest_plugins = ["tenantapp.testing.plugin"]
