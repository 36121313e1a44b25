//! Rows of the usage ledger: append-only, idempotent on (source, install, minute).

use std::{collections::HashMap, sync::LazyLock};

use cloudware_types::{HookId, InstanceId, Meter, Meters, TenantId, UsageRecord};
use sqlx::{AssertSqlSafe, Row as _};

use super::{Connection, Result, Row, all, integer, natural, parsed, parsed_option};
use crate::{
    limits::{USAGE_READING_MAX, USAGE_ROWS_MAX},
    usage::UsageBy,
};

/// Which rows to add up, and how finely.
#[derive(Clone, Debug, Default)]
pub(crate) struct UsageFilter {
    pub tenant: Option<TenantId>,
    pub instance: Option<InstanceId>,
    pub app: Option<String>,
    /// First minute.
    pub from: i64,
    /// First minute that is not meant any more.
    pub to: i64,
    /// Minutes of one row; `None` for one row over the whole time.
    pub step: Option<i64>,
    /// What has a row of its own.
    pub by: UsageBy,
}

/// The sum of one app in one instance over one step, or of a part of it.
#[derive(Clone, Debug)]
pub(crate) struct UsageSum {
    pub tenant: cloudware_types::Slug,
    pub instance: cloudware_types::Slug,
    pub app: cloudware_types::Slug,
    pub hook: Option<HookId>,
    /// What people call the hook; `None` for one that is gone.
    pub hook_name: Option<String>,
    /// First minute of the step; 0 without steps.
    pub minute: u64,
    pub meters: Meters,
}

/// Column names come from the table of meters and from nowhere else.
static INSERT: LazyLock<String> = LazyLock::new(|| {
    let columns: Vec<_> = Meter::ALL.iter().map(|&meter| column(meter)).collect();
    let places: Vec<_> = (0..columns.len()).map(|n| format!("${}", n + 7)).collect();
    format!(
        "INSERT INTO usage (source, install_id, minute, instance_id, app, hook_id, {})
         VALUES ($1, $2, $3, $4, $5, $6, {}) ON CONFLICT DO NOTHING",
        columns.join(", "),
        places.join(", ")
    )
});

/// Appends one record; one that is there already stays as it is.
pub(crate) async fn insert(db: &mut Connection, record: &UsageRecord) -> Result<()> {
    let mut query = sqlx::query(AssertSqlSafe(INSERT.as_str()))
        .bind(&record.source)
        .bind(record.install.to_string())
        .bind(integer(record.minute))
        .bind(record.instance.to_string())
        .bind(record.app.as_str())
        .bind(record.hook.map(|hook| hook.to_string()));
    for (_, reading) in record.meters.iter() {
        query = query.bind(integer(reading.min(USAGE_READING_MAX)));
    }
    query.execute(db).await?;
    Ok(())
}

/// Fuel by instance since a minute.
pub(crate) async fn fuel_since(
    db: &mut Connection,
    minute: u64,
) -> Result<HashMap<InstanceId, u64>> {
    let rows = sqlx::query(
        "SELECT instance_id, SUM(fuel) AS fuel FROM usage WHERE minute >= $1 GROUP BY instance_id",
    )
    .bind(integer(minute))
    .fetch_all(db)
    .await?;
    let fuel = |row: &Row| Ok((parsed(row, "instance_id")?, natural(row, "fuel")?));
    Ok(all(&rows, fuel)?.into_iter().collect())
}

/// Sums by tenant, instance, app, perhaps hook, and step, at most [`USAGE_ROWS_MAX`] and one more.
pub(crate) async fn sums(db: &mut Connection, filter: &UsageFilter) -> Result<Vec<UsageSum>> {
    let sums: Vec<_> = Meter::ALL
        .iter()
        .map(|&meter| {
            let how = if meter.is_peak() { "MAX" } else { "SUM" };
            format!("{how}(u.{0}) AS {0}", column(meter))
        })
        .collect();
    let hook = match filter.by {
        UsageBy::App => "CAST(NULL AS TEXT)",
        UsageBy::Hook => "u.hook_id",
    };
    let sql = format!(
        "SELECT t.slug AS tenant, i.slug AS instance, u.app, u.minute / $6 * $6 AS step, {hook} AS hook_id,
           MAX(a.slug || '.' || h.point || '.' || h.name) AS hook_name, {}
         FROM usage u JOIN instances i ON i.id = u.instance_id JOIN tenants t ON t.id = i.tenant_id
         LEFT JOIN hooks h ON h.id = {hook} LEFT JOIN installs l ON l.id = h.app_install_id
         LEFT JOIN apps a ON a.id = l.app_id
         WHERE (CAST($1 AS TEXT) IS NULL OR i.tenant_id = $1)
           AND (CAST($2 AS TEXT) IS NULL OR u.instance_id = $2)
           AND (CAST($3 AS TEXT) IS NULL OR u.app = $3)
           AND u.minute >= $4 AND u.minute < $5
         GROUP BY t.slug, i.slug, u.app, {hook}, u.minute / $6
         ORDER BY t.slug, i.slug, u.app, {hook} IS NOT NULL, hook_name, {hook}, u.minute / $6 LIMIT $7",
        sums.join(", ")
    );
    let rows = sqlx::query(AssertSqlSafe(sql))
        .bind(filter.tenant.map(|id| id.to_string()))
        .bind(filter.instance.map(|id| id.to_string()))
        .bind(&filter.app)
        .bind(filter.from)
        .bind(filter.to)
        // A step longer than all time puts everything into the one step that begins at 0.
        .bind(filter.step.unwrap_or(i64::MAX))
        .bind(integer(USAGE_ROWS_MAX as u64 + 1))
        .fetch_all(db)
        .await?;
    all(&rows, sum)
}

/// The sum of one meter of an instance from a minute on.
pub(crate) async fn sum_since(
    db: &mut Connection,
    instance: InstanceId,
    meter: Meter,
    from: i64,
) -> Result<u64> {
    let sql = format!(
        "SELECT COALESCE(SUM({}), 0) AS total FROM usage WHERE instance_id = $1 AND minute >= $2",
        column(meter)
    );
    let row = sqlx::query(AssertSqlSafe(sql))
        .bind(instance.to_string())
        .bind(from)
        .fetch_one(db)
        .await?;
    natural(&row, "total")
}

fn sum(row: &Row) -> Result<UsageSum> {
    let mut meters = Meters::default();
    for &meter in Meter::ALL {
        let value: i64 = row.try_get(column(meter).as_str())?;
        meters[meter] = u64::try_from(value).unwrap_or(0);
    }
    Ok(UsageSum {
        tenant: parsed(row, "tenant")?,
        instance: parsed(row, "instance")?,
        app: parsed(row, "app")?,
        hook: parsed_option(row, "hook_id")?,
        hook_name: row.try_get("hook_name")?,
        minute: natural(row, "step")?,
        meters,
    })
}

fn column(meter: Meter) -> String {
    meter.name().replace('-', "_")
}
