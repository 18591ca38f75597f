-- What the auth_file of PgBouncer has: the verifiers of the tenants' roles. Run it as a superuser, every minute. If it fails, the
-- file stays as it is:
--   umask 077; psql -v ON_ERROR_STOP=1 -AtX -f pgbouncer-userlist.sql -o userlist.new && test -s userlist.new \
--     && chown postgres userlist.new && mv userlist.new userlist.txt && systemctl reload pgbouncer
SELECT format('"%s" "%s"', rolname, rolpassword)
FROM pg_authid
WHERE rolcanlogin AND NOT rolsuper AND rolpassword LIKE 'SCRAM-SHA-256$%';
