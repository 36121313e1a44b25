-- Names of `redact` that stood somewhere in a recorded call: whoever reads the recording sees which were written wrongly.
ALTER TABLE recordings ADD COLUMN redact_found TEXT NOT NULL DEFAULT '[]';
