"""The tables of the floor: a database of people and a database for each tenant, as tenantapp has them."""

PEOPLE = """
CREATE TABLE users (id int PRIMARY KEY, login text UNIQUE NOT NULL, enabled bool NOT NULL);
CREATE TABLE tenants (id int PRIMARY KEY, slug text UNIQUE NOT NULL, state text NOT NULL, database text NOT NULL);
CREATE TABLE role_permissions (role text, permission text, PRIMARY KEY (role, permission));
CREATE TABLE grants (user_id int REFERENCES users, tenant_id int REFERENCES tenants, role text NOT NULL,
                     PRIMARY KEY (tenant_id, user_id));
CREATE TABLE web_sessions (token_hash bytea PRIMARY KEY, user_id int NOT NULL REFERENCES users,
                           tenant_id int REFERENCES tenants, expires_at timestamptz NOT NULL);
"""

TENANT = """
CREATE TABLE nodes (id uuid PRIMARY KEY, title text NOT NULL, body text NOT NULL, status text NOT NULL,
                    version int NOT NULL, created_at timestamptz NOT NULL, updated_at timestamptz NOT NULL);
"""

# The database of the session's tenant, and whether its person may read there. No row: not signed in.
PREPARE_ACCESS = """
PREPARE access (bytea) AS
SELECT tenants.database,
       EXISTS (SELECT FROM grants JOIN role_permissions USING (role)
               WHERE grants.user_id = users.id AND grants.tenant_id = tenants.id AND permission = 'content.read')
FROM web_sessions JOIN users ON users.id = web_sessions.user_id
JOIN tenants ON tenants.id = web_sessions.tenant_id
WHERE token_hash = $1 AND expires_at > now() AND users.enabled AND tenants.state = 'active'
"""

PREPARE_NODES = """
PREPARE nodes (int) AS
SELECT id::text, title, body, status, version, created_at, updated_at FROM nodes ORDER BY id LIMIT $1
"""

PREPARE_JSON = """
PREPARE nodes (int) AS
SELECT json_agg(page)::text
FROM (SELECT id, title, body, status, version, created_at, updated_at FROM nodes ORDER BY id LIMIT $1) page
"""
