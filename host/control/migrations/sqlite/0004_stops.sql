-- Stops: one row for each kind of stop that an install had in a minute. The oldest of an instance go when
-- there are too many; how many stops there were stays in `usage`.
-- `cause` is the name of the limit, or of the kind where no limit was reached; `stop` is the first of them.
CREATE TABLE stops (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL,
    provider_id TEXT,
    instance_id TEXT NOT NULL,
    install_id TEXT NOT NULL,
    app TEXT NOT NULL,
    version TEXT NOT NULL,
    cause TEXT NOT NULL,
    function TEXT NOT NULL,
    minute BIGINT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL,
    count BIGINT NOT NULL,
    request_id TEXT NOT NULL,
    stop TEXT NOT NULL,
    UNIQUE (install_id, minute, cause, function, version)
);

CREATE INDEX stops_tenant ON stops (tenant_id, id);
CREATE INDEX stops_provider ON stops (provider_id, id);
CREATE INDEX stops_instance ON stops (instance_id, id);

-- Events: what happened on the platform, in the order of the commits, for whoever follows. `sequence` is the
-- cursor: it is given inside the one write transaction, so that a reader who has seen a number has seen all
-- before it. `once` names what may be told once only.
CREATE TABLE events (
    sequence INTEGER PRIMARY KEY AUTOINCREMENT,
    at BIGINT NOT NULL,
    type TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    tenant_id TEXT,
    provider_id TEXT,
    data TEXT NOT NULL,
    once TEXT UNIQUE
);

CREATE INDEX events_tenant ON events (tenant_id, sequence);
CREATE INDEX events_provider ON events (provider_id, sequence);

CREATE TRIGGER events_unchanged BEFORE UPDATE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;

CREATE TRIGGER events_kept BEFORE DELETE ON events
BEGIN
    SELECT RAISE(ABORT, 'events are append-only');
END;
