-- Where a run was stopped: a function, a call of the host, or whom it waited for.
ALTER TABLE stops RENAME COLUMN function TO place;
