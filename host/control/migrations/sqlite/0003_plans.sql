-- Plans: named sets of quotas. The subject of a quota is a plan, too; a tenant has at most one plan.

CREATE TABLE plans (
    id TEXT PRIMARY KEY,
    slug TEXT NOT NULL UNIQUE,
    title TEXT NOT NULL,
    created_at BIGINT NOT NULL
);

ALTER TABLE tenants ADD COLUMN plan_id TEXT REFERENCES plans (id);

CREATE INDEX tenants_plan ON tenants (plan_id);
