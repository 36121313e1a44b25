-- Numbers that observers were told of, in the same transaction.
CREATE TABLE hooked_numbers (number INTEGER NOT NULL);
