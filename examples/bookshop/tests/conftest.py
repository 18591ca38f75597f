"""The plugin gives the tests an application with two shops, on SQLite and on PostgreSQL, and clients of every role."""

pytest_plugins = ["tenantapp.testing.plugin"]
