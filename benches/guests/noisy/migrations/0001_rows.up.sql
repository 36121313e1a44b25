CREATE TABLE noisy_rows (
    id INTEGER PRIMARY KEY,
    quantity INTEGER NOT NULL
);

INSERT INTO noisy_rows (id, quantity)
VALUES (1, 3), (2, 1), (3, 4), (4, 1), (5, 5), (6, 9), (7, 2), (8, 6), (9, 5), (10, 3),
       (11, 5), (12, 8), (13, 9), (14, 7), (15, 9), (16, 3), (17, 2), (18, 3), (19, 8), (20, 4);
