-- What it was asked.
CREATE TABLE reader_notes (
    id INTEGER PRIMARY KEY,
    text TEXT NOT NULL,
    weight REAL NOT NULL
);
