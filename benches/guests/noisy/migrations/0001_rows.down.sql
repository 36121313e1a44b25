DROP TABLE noisy_rows;
