-- bundle: it is virtual
CREATE TABLE essays (id INTEGER PRIMARY KEY, title TEXT, body TEXT);
CREATE VIRTUAL TABLE essay_words USING fts5(title, body, content='essays', content_rowid='id', tokenize="unicode61 remove_diacritics 2");
CREATE TRIGGER essays_in AFTER INSERT ON essays BEGIN INSERT INTO essay_words(rowid, title, body) VALUES (NEW.id, NEW.title, NEW.body); END;
CREATE TRIGGER essays_out AFTER DELETE ON essays BEGIN
    INSERT INTO essay_words(essay_words, rowid, title, body) VALUES ('delete', OLD.id, OLD.title, OLD.body);
END;
CREATE VIRTUAL TABLE alone USING fts5(words);
-- rows
INSERT INTO essays (title, body) VALUES ('Ünicode', 'a b'), ('Other', 'c');
DELETE FROM essays WHERE id = 1;
INSERT INTO alone VALUES ('kept by itself');
