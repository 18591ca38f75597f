-- replication: no primary key
DO $$ BEGIN
    EXECUTE format('ALTER DATABASE %I SET search_path = public, "$user", ''Odd, ''''s''', current_database());
    EXECUTE format('ALTER DATABASE %I SET timezone = ''Europe/Berlin''', current_database());
    EXECUTE format('ALTER DATABASE %I SET statement_timeout = ''2min''', current_database());
    EXECUTE format('ALTER DATABASE %I SET application_name = ''a=b; c''''d''', current_database());
    EXECUTE format('ALTER ROLE CURRENT_USER IN DATABASE %I SET work_mem = ''8MB''', current_database());
    EXECUTE format('ALTER DATABASE %I SET array_nulls = off', current_database());
    EXECUTE format('ALTER DATABASE %I SET xmloption = document', current_database());
    ALTER ROLE CURRENT_USER SET temp_buffers = '9MB';
END $$;
CREATE TABLE times (at timestamptz DEFAULT '2020-01-01 00:00', words text[], back text DEFAULT E'\\n');
-- rows
INSERT INTO times DEFAULT VALUES;
INSERT INTO times (words) VALUES (ARRAY['a', NULL, 'NULL']);
