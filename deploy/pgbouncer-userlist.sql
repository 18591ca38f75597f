-- What the auth_file of PgBouncer has: the verifiers of the tenants' roles. Run it as a superuser, every minute:
--   psql -AtX -f pgbouncer-userlist.sql -o userlist.new && mv userlist.new userlist.txt && systemctl reload pgbouncer
SELECT format('"%s" "%s"', rolname, rolpassword)
FROM pg_authid
WHERE rolcanlogin AND NOT rolsuper AND rolpassword LIKE 'SCRAM-SHA-256$%';
