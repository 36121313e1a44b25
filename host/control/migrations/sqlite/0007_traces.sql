-- Traces: what composed requests were made of. The oldest of an instance go when there are too many.
CREATE TABLE traces (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    request_id TEXT NOT NULL,
    tenant_id TEXT NOT NULL,
    instance_id TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    trace TEXT NOT NULL
);

CREATE INDEX traces_tenant ON traces (tenant_id, id);
CREATE INDEX traces_instance ON traces (instance_id, id);
CREATE INDEX traces_request ON traces (request_id, id);
