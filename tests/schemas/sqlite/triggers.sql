CREATE TABLE pages (id INTEGER PRIMARY KEY, words TEXT, changed INTEGER NOT NULL DEFAULT 0);
CREATE TABLE log (id INTEGER PRIMARY KEY AUTOINCREMENT, what TEXT NOT NULL);
CREATE VIEW titles (number, title) AS SELECT id, upper(words) FROM pages WHERE words <> 'it''s; END';
CREATE TRIGGER counts AFTER UPDATE OF words ON pages FOR EACH ROW WHEN OLD.words IS NOT NEW.words BEGIN
    UPDATE pages SET changed = changed + 1 WHERE id = NEW.id;
    INSERT INTO log (what) VALUES ('changed; END ' || NEW.id);
END;
CREATE TRIGGER "no, never" BEFORE DELETE ON pages BEGIN SELECT RAISE(ABORT, 'never'); END;
CREATE TRIGGER notes AFTER INSERT ON pages BEGIN INSERT INTO log (what) SELECT CASE WHEN NEW.id > 1 THEN 'later' ELSE 'first' END; END;
CREATE TRIGGER through INSTEAD OF INSERT ON titles BEGIN INSERT INTO pages (id, words) VALUES (NEW.number, lower(NEW.title)); END;
-- rows
INSERT INTO pages (id, words) VALUES (1, 'one');
INSERT INTO titles VALUES (2, 'TWO');
UPDATE pages SET words = 'zwei' WHERE id = 2;
