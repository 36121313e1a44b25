//! Stops: why and where the host ended or refused invocations. The data plane adds to the [`StopLog`];
//! tenants see their own, providers those of their apps without learning whose they are, operators all.

use std::collections::BTreeSet;

use cloudware_types::{InstallId, Limit, Slug, Stop, StopId, StopRecord};

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Store, Timestamp, instance,
    limits::{NAME_BYTES_MAX, STOPS_PER_INSTANCE_MAX},
    store::{
        self, StoreError,
        stop::{StopFilter, StopRow},
    },
};

/// What stops are called that no limit made.
const KINDS: [&str; 3] = ["trap", "no-response", "overloaded"];

/// Where the data plane writes stops. Cheap to clone.
#[derive(Clone, Debug)]
pub struct StopLog {
    store: Store,
}

impl StopLog {
    /// The log in a control database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds records, all or none; those of one install, minute, cause, function and version become one. Of each
    /// instance the newest [`STOPS_PER_INSTANCE_MAX`] are kept.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was added then.
    pub async fn record(&self, records: &[StopRecord]) -> Result<(), StoreError> {
        if records.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for record in records {
            store::stop::add(&mut db, record).await?;
        }
        let instances: BTreeSet<_> = records.iter().map(|record| record.instance).collect();
        for instance in instances {
            store::stop::trim(&mut db, instance, STOPS_PER_INSTANCE_MAX).await?;
        }
        Ok(db.commit().await?)
    }
}

/// Stops of one kind that an install had in one minute.
#[derive(Clone, Debug)]
pub struct StopEntry {
    /// Its id; sorts by time.
    pub id: StopId,
    /// When the first of them happened.
    pub first_at: Timestamp,
    /// When the last of them happened.
    pub last_at: Timestamp,
    /// How many there were.
    pub count: u64,
    /// The tenant and its instance; `None` for providers, who may not know whose it is.
    pub place: Option<(Slug, Slug)>,
    /// The install whose code ran.
    pub install: InstallId,
    /// The request that the last of them ended; empty where none is known.
    pub request_id: String,
    /// Whether the caller may know how much was used, and might be: providers may not where the limit bounds a whole instance,
    /// other apps included.
    pub says_amounts: bool,
    /// The last of them, explained.
    pub stop: Stop,
}

/// Which stops are wanted.
#[derive(Clone, Debug, Default)]
pub struct StopQuery {
    /// Only of this tenant, by id or name.
    pub tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    pub instance: Option<String>,
    /// Only of this app.
    pub app: Option<Slug>,
    /// Only by this limit, or of this kind: `trap`, `no-response`, `overloaded`.
    pub cause: Option<String>,
    /// Only what went on at this time or later.
    pub since: Option<Timestamp>,
}

/// Stops that the caller may see, newest first, up to a moment ago.
///
/// # Errors
/// [`Error::NotFound`] for a tenant or instance that the caller may not know of; [`Error::Invalid`] for a cause
/// that there is not, for an instance without its tenant, and for a cursor of another list.
pub async fn list(
    control: &Control,
    call: &Call,
    query: StopQuery,
    page: &PageRequest,
) -> Result<Page<StopEntry>, Error> {
    let filter = filter(control, call, query).await?;
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let rows = store::stop::list(&mut db, page.cursor()?, page.rows(), &filter).await?;
    let entries = rows.into_iter().map(|row| shown(call, row)).collect();
    Ok(page.page(entries, |entry: &StopEntry| entry.id.to_string()))
}

/// One record of stops.
///
/// # Errors
/// [`Error::NotFound`] for one that is not there, not any more, or not for the caller.
pub async fn get(control: &Control, call: &Call, id: &str) -> Result<StopEntry, Error> {
    call.authenticated()?;
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let found = match id.len() {
        0..=NAME_BYTES_MAX => store::stop::find(&mut db, id).await?,
        _ => None,
    };
    found
        .filter(|row| match call.caller {
            Caller::Operator => true,
            Caller::Tenant(own) => row.tenant == own,
            Caller::Provider(own) => row.provider == Some(own),
            Caller::Nobody => false,
        })
        .map(|row| shown(call, row))
        .ok_or_else(|| Error::not_found("stop", id))
}

fn shown(call: &Call, row: StopRow) -> StopEntry {
    let mut entry = row.entry;
    if !call.sees_tenant(row.tenant) {
        entry.place = None;
        entry.says_amounts = !entry.stop.is_of_instance();
        if !entry.says_amounts {
            // These would say it as well: how long a queue is, how many may come in a second, which plan has room.
            entry.stop.resets_in_ms = None;
            entry.stop.fits.clear();
        }
    }
    entry
}

async fn filter(control: &Control, call: &Call, query: StopQuery) -> Result<StopFilter, Error> {
    call.authenticated()?;
    if let Some(cause) = &query.cause {
        check_cause(cause)?;
    }
    let mut filter = StopFilter {
        app: query.app.map(|app| app.to_string()),
        cause: query.cause,
        since: query.since,
        ..StopFilter::default()
    };
    match call.caller {
        Caller::Tenant(id) => filter.tenant = Some(id),
        Caller::Provider(id) => filter.provider = Some(id),
        Caller::Operator | Caller::Nobody => {}
    }
    let mut db = control.store.read().await?;
    let names = (query.tenant.as_deref(), query.instance.as_deref());
    (filter.tenant, filter.instance) =
        instance::narrow(&mut db, call, filter.tenant, names).await?;
    Ok(filter)
}

fn check_cause(cause: &str) -> Result<(), Error> {
    if KINDS.contains(&cause) {
        return Ok(());
    }
    match cause.parse::<Limit>() {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::invalid(
            "cause",
            format!("is none of {} and no limit: {error}", KINDS.join(", ")),
        )),
    }
}
