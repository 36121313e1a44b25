-- The control database: who exists, what is published, what is enabled where, and who changed it.
-- Ids are text with a typed prefix and sort by creation; times are milliseconds since the Unix epoch.
-- `revision` counts the changes of a row and is what callers compare before they change it.

CREATE TABLE providers (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

CREATE TABLE products (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    slug TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE tenants (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('active', 'suspended')),
    state_reason TEXT,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE instances (
    id TEXT PRIMARY KEY,
    tenant_id TEXT NOT NULL REFERENCES tenants (id),
    product_id TEXT REFERENCES products (id),
    slug TEXT NOT NULL,
    is_default BOOLEAN NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('ready', 'suspended')),
    state_reason TEXT,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (tenant_id, slug)
);

-- A tenant's bare host name serves one instance.
CREATE UNIQUE INDEX instances_default ON instances (tenant_id) WHERE is_default;

CREATE TABLE apps (
    id TEXT PRIMARY KEY,
    provider_id TEXT NOT NULL REFERENCES providers (id),
    product_id TEXT NOT NULL REFERENCES products (id),
    slug TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL
);

CREATE TABLE releases (
    id TEXT PRIMARY KEY,
    app_id TEXT NOT NULL REFERENCES apps (id),
    version TEXT NOT NULL,
    digest TEXT NOT NULL,
    component_digest TEXT NOT NULL,
    size_bytes BIGINT NOT NULL,
    manifest TEXT NOT NULL,
    capabilities TEXT NOT NULL,
    migrations TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('published', 'deprecated', 'yanked')),
    state_reason TEXT,
    created_at BIGINT NOT NULL,
    UNIQUE (app_id, version)
);

CREATE TRIGGER releases_immutable
BEFORE UPDATE OF id, app_id, version, digest, component_digest, size_bytes, manifest, capabilities, migrations, created_at ON releases
BEGIN
    SELECT RAISE(ABORT, 'a release is immutable; only its state changes');
END;

CREATE TRIGGER releases_kept BEFORE DELETE ON releases
BEGIN
    SELECT RAISE(ABORT, 'a release is never deleted; it is yanked');
END;

CREATE TABLE installs (
    id TEXT PRIMARY KEY,
    instance_id TEXT NOT NULL REFERENCES instances (id),
    app_id TEXT NOT NULL REFERENCES apps (id),
    release_id TEXT NOT NULL REFERENCES releases (id),
    previous_release_id TEXT REFERENCES releases (id),
    state TEXT NOT NULL CHECK (state IN ('enabled', 'disabled')),
    mount TEXT,
    namespace TEXT,
    config TEXT NOT NULL,
    grants TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    revision BIGINT NOT NULL,
    UNIQUE (instance_id, app_id)
);

CREATE INDEX installs_release ON installs (release_id);
CREATE UNIQUE INDEX installs_mount ON installs (instance_id, mount) WHERE state = 'enabled';
-- A disabled app keeps its tables, so its namespace stays taken.
CREATE UNIQUE INDEX installs_namespace ON installs (instance_id, namespace);

-- A change of release that has begun and not ended; what is left here after a crash is repaired at
-- the next start.
CREATE TABLE release_changes (
    install_id TEXT PRIMARY KEY REFERENCES installs (id),
    from_release_id TEXT NOT NULL REFERENCES releases (id),
    to_release_id TEXT NOT NULL REFERENCES releases (id),
    begun_at BIGINT NOT NULL
);

-- `subject_id` is a tenant, an instance or an install; the prefix of the id says which.
CREATE TABLE quotas (
    subject_id TEXT NOT NULL,
    dimension TEXT NOT NULL,
    value BIGINT NOT NULL,
    reason TEXT,
    set_by TEXT NOT NULL,
    set_at BIGINT NOT NULL,
    PRIMARY KEY (subject_id, dimension)
);

CREATE TABLE tokens (
    id TEXT PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,
    kind TEXT NOT NULL CHECK (kind IN ('operator', 'provider', 'tenant')),
    provider_id TEXT REFERENCES providers (id),
    tenant_id TEXT REFERENCES tenants (id),
    name TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);

-- One column for each meter, so that totals are one statement.
CREATE TABLE usage (
    source TEXT NOT NULL,
    install_id TEXT NOT NULL,
    minute BIGINT NOT NULL,
    instance_id TEXT NOT NULL,
    app TEXT NOT NULL,
    requests BIGINT NOT NULL,
    stops BIGINT NOT NULL,
    fuel BIGINT NOT NULL,
    cpu_ns BIGINT NOT NULL,
    memory_peak_bytes BIGINT NOT NULL,
    request_bytes BIGINT NOT NULL,
    response_bytes BIGINT NOT NULL,
    log_bytes BIGINT NOT NULL,
    host_calls BIGINT NOT NULL,
    sql_statements BIGINT NOT NULL,
    sql_rows BIGINT NOT NULL,
    sql_ns BIGINT NOT NULL,
    kv_operations BIGINT NOT NULL,
    PRIMARY KEY (source, install_id, minute)
);

CREATE INDEX usage_instance ON usage (instance_id, minute);

CREATE TRIGGER usage_unchanged BEFORE UPDATE ON usage
BEGIN
    SELECT RAISE(ABORT, 'usage is append-only');
END;

CREATE TRIGGER usage_kept BEFORE DELETE ON usage
BEGIN
    SELECT RAISE(ABORT, 'usage is append-only');
END;

CREATE TABLE audit (
    id TEXT PRIMARY KEY,
    at BIGINT NOT NULL,
    actor_kind TEXT NOT NULL,
    actor_token TEXT,
    actor_name TEXT NOT NULL,
    action TEXT NOT NULL,
    subject_id TEXT NOT NULL,
    subject_name TEXT NOT NULL,
    tenant_id TEXT,
    provider_id TEXT,
    before TEXT,
    after TEXT,
    reason TEXT,
    request_id TEXT NOT NULL
);

CREATE INDEX audit_tenant ON audit (tenant_id, id);
CREATE INDEX audit_provider ON audit (provider_id, id);
CREATE INDEX audit_subject ON audit (subject_id, id);

CREATE TRIGGER audit_unchanged BEFORE UPDATE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;

CREATE TRIGGER audit_kept BEFORE DELETE ON audit
BEGIN
    SELECT RAISE(ABORT, 'the audit trail is append-only');
END;
