DROP TABLE hooked_numbers;
