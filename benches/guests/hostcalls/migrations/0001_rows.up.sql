CREATE TABLE bench_rows (
    id INTEGER PRIMARY KEY,
    quantity INTEGER NOT NULL,
    note TEXT NOT NULL
);

INSERT INTO bench_rows (id, quantity, note) VALUES (1, 10, 'the row that point queries read');
