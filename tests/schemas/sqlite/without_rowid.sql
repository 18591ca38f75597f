CREATE TABLE words (word VARCHAR(20) NOT NULL, language VARCHAR(2) NOT NULL, meaning TEXT, PRIMARY KEY (language, word)) WITHOUT ROWID;
CREATE INDEX by_meaning ON words (meaning DESC);
CREATE TABLE synonyms (
    language VARCHAR(2), word VARCHAR(20), other VARCHAR(20) COLLATE NOCASE PRIMARY KEY,
    FOREIGN KEY (language, word) REFERENCES words ON UPDATE CASCADE ON DELETE SET NULL
) WITHOUT ROWID;
-- rows
INSERT INTO words VALUES ('Gift', 'de', 'poison'), ('gift', 'en', 'present'), ('', 'xx', NULL);
INSERT INTO synonyms VALUES ('de', 'Gift', 'Toxin'), (NULL, 'lone', 'none');
