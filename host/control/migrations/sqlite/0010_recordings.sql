-- Recordings: calls of an install, kept with the tenant's consent so that they can run again elsewhere. What is in
-- them was redacted before it came here.
-- A recording runs until `ended_at`, or by itself until `ends_at` or until it has `calls_max` calls. `skipped` are
-- calls that could not be recorded faithfully, `skipped_reason` is why the last of them.
CREATE TABLE recordings (
    id TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    install_id TEXT NOT NULL REFERENCES installs (id),
    calls_max BIGINT NOT NULL,
    calls BIGINT NOT NULL,
    bytes BIGINT NOT NULL,
    skipped BIGINT NOT NULL,
    skipped_reason TEXT,
    redact TEXT NOT NULL,
    is_shared BOOLEAN NOT NULL,
    started_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    ended_at BIGINT,
    ended_reason TEXT
);

CREATE INDEX recordings_instance ON recordings (instance_id, id);
CREATE INDEX recordings_install ON recordings (install_id, ended_at);
CREATE INDEX recordings_started ON recordings (started_at);

CREATE TABLE recorded_calls (
    recording_id TEXT NOT NULL REFERENCES recordings (id) ON DELETE CASCADE,
    number BIGINT NOT NULL,
    call TEXT NOT NULL,
    PRIMARY KEY (recording_id, number)
);
