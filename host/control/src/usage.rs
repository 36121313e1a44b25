//! Usage: what installs consumed. The data plane appends to the [`Ledger`]; people ask for totals.

use std::collections::HashMap;

use cloudware_types::{HookId, InstanceId, Meters, Slug, UsageRecord};

use crate::{
    Call, Caller, Control, Error, Store, Timestamp, instance,
    limits::{NAME_BYTES_MAX, USAGE_ROWS_MAX},
    store::{self, StoreError, usage::UsageFilter},
    tenant,
};

/// Where the data plane writes usage. Cheap to clone; needs the control database and nothing else
/// of the control plane, so that it can be made before it.
#[derive(Clone, Debug)]
pub struct Ledger {
    store: Store,
}

impl Ledger {
    /// The ledger in a control database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Appends records, all or none. A record that is there already, by its source, install and
    /// minute, is counted once. When it returns, they are on disk.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; hand the records on again later.
    pub async fn record(&self, records: &[UsageRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for record in records {
            store::usage::insert(&mut db, record).await?;
        }
        Ok(db.commit().await?)
    }

    /// Fuel that each instance has burned since a minute of the Unix epoch.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be read.
    pub async fn fuel_since(&self, minute: u64) -> Result<HashMap<InstanceId, u64>, StoreError> {
        let mut db = self.store.read().await?;
        store::usage::fuel_since(&mut db, minute).await
    }
}

/// How finely usage is added up over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UsageStep {
    /// One row over the whole time.
    #[default]
    Total,
    /// One row a minute.
    Minute,
    /// One row an hour.
    Hour,
    /// One row a day (UTC).
    Day,
}

impl UsageStep {
    fn minutes(self) -> Option<i64> {
        match self {
            Self::Total => None,
            Self::Minute => Some(1),
            Self::Hour => Some(60),
            Self::Day => Some(24 * 60),
        }
    }
}

/// What has a row of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum UsageBy {
    /// Each app.
    #[default]
    App,
    /// Each app without what it consumed as a hook, and each of the hooks that it was called as. All rows of an app
    /// together are its usage.
    Hook,
}

/// Which usage is wanted.
#[derive(Clone, Debug, Default)]
pub struct UsageQuery {
    /// Only of this tenant, by id or name.
    pub tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    pub instance: Option<String>,
    /// Only of this app.
    pub app: Option<Slug>,
    /// From this minute on; everything if absent.
    pub from: Option<Timestamp>,
    /// Up to and without this minute; up to now if absent.
    pub to: Option<Timestamp>,
    /// How finely.
    pub step: UsageStep,
    /// What has a row of its own.
    pub by: UsageBy,
}

/// A hook in the ledger, which may have been removed meanwhile.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UsageHook {
    /// Its id.
    pub id: HookId,
    /// Its name, `app.point.name`; `None` once it was removed.
    pub name: Option<String>,
}

/// What one app consumed in one instance in one step of time, or a part of that ([`UsageBy`]).
#[derive(Clone, Debug)]
pub struct UsageRow {
    /// The tenant.
    pub tenant: Slug,
    /// The instance.
    pub instance: Slug,
    /// The app.
    pub app: Slug,
    /// The hook as which it was called, or the webhook that was called for it; `None` for everything else, and where
    /// hooks have no rows of their own.
    pub hook: Option<UsageHook>,
    /// Begin of the step; `None` for a total.
    pub from: Option<Timestamp>,
    /// The readings: sums, and the largest for peaks.
    pub meters: Meters,
}

/// Usage by tenant, instance, app and step, up to a moment ago. Operators see all, tenants their own.
///
/// # Errors
/// [`Error::Forbidden`] for providers; [`Error::NotFound`] for tenant or instance;
/// [`Error::Invalid`] for a time that ends before it begins, and if the answer had more than [`USAGE_ROWS_MAX`] rows.
pub async fn query(
    control: &Control,
    call: &Call,
    query: UsageQuery,
) -> Result<Vec<UsageRow>, Error> {
    let filter = filter(control, call, &query).await?;
    control.data_plane.flush_usage().await;
    let mut db = control.store.read().await?;
    let sums = store::usage::sums(&mut db, &filter).await?;
    if sums.len() > USAGE_ROWS_MAX {
        return Err(Error::invalid(
            "from",
            format!(
                "covers more than {USAGE_ROWS_MAX} rows: ask for less time, one instance or a longer step"
            ),
        ));
    }
    let row = |sum: store::usage::UsageSum| UsageRow {
        tenant: sum.tenant,
        instance: sum.instance,
        app: sum.app,
        hook: sum.hook.map(|id| UsageHook {
            id,
            name: sum.hook_name,
        }),
        from: filter.step.map(|_| Timestamp::from_minutes(sum.minute)),
        meters: sum.meters,
    };
    Ok(sums.into_iter().map(row).collect())
}

async fn filter(control: &Control, call: &Call, query: &UsageQuery) -> Result<UsageFilter, Error> {
    call.authenticated()?;
    if let (Some(from), Some(to)) = (query.from, query.to)
        && to < from
    {
        return Err(Error::invalid("to", "is before `from`"));
    }
    let mut db = control.store.read().await?;
    let mut filter = UsageFilter {
        app: query.app.as_ref().map(ToString::to_string),
        from: query.from.map_or(0, Timestamp::minutes),
        to: query.to.map_or(i64::MAX, Timestamp::minutes),
        step: query.step.minutes(),
        by: query.by,
        ..UsageFilter::default()
    };
    match (call.caller, &query.tenant) {
        (_, Some(name)) => {
            let tenant = tenant::find(&mut db, call, name).await?;
            filter.tenant = Some(tenant.id);
        }
        (Caller::Tenant(own), None) => filter.tenant = Some(own),
        (_, None) => call.operator("see usage of all tenants")?,
    }
    if let Some(name) = &query.instance {
        let tenant = filter.tenant.filter(|_| name.len() <= NAME_BYTES_MAX);
        let tenant = tenant.ok_or_else(|| Error::invalid("instance", "needs its tenant"))?;
        let (_, instance) = instance::find(&mut db, call, &tenant.to_string(), name).await?;
        filter.instance = Some(instance.id);
    }
    Ok(filter)
}
