//! Traces: what composed requests were made of, whose code took what. The data plane adds a sample to the
//! [`TraceLog`]; tenants see those of their instances, operators all. Providers see none: a trace tells what other
//! apps a tenant has.

use std::{collections::BTreeSet, str::FromStr};

use cloudware_types::{Slug, Trace};

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Store, Timestamp, instance,
    limits::{NAME_BYTES_MAX, TRACES_PER_INSTANCE_MAX},
    store::{self, StoreError, trace::TraceFilter},
};

/// Where the data plane writes traces. Cheap to clone.
#[derive(Clone, Debug)]
pub struct TraceLog {
    store: Store,
}

impl TraceLog {
    /// The log in a control database.
    #[must_use]
    pub fn new(store: Store) -> Self {
        Self { store }
    }

    /// Adds traces, all or none. Of each instance the newest [`TRACES_PER_INSTANCE_MAX`] are kept.
    ///
    /// # Errors
    /// [`StoreError`] if the control database cannot be written; nothing was added then.
    pub async fn record(&self, traces: &[Trace]) -> Result<(), StoreError> {
        if traces.is_empty() {
            return Ok(());
        }
        let mut db = self.store.write().await?;
        for trace in traces {
            store::trace::add(&mut db, trace).await?;
        }
        let instances: BTreeSet<_> = traces.iter().map(|trace| trace.instance).collect();
        for instance in instances {
            store::trace::trim(&mut db, instance, TRACES_PER_INSTANCE_MAX).await?;
        }
        Ok(db.commit().await?)
    }
}

/// One composed request.
#[derive(Clone, Debug)]
pub struct TraceEntry {
    /// Where it is in the log; later ones have larger numbers.
    pub number: u64,
    /// When the request began.
    pub began_at: Timestamp,
    /// The tenant.
    pub tenant: Slug,
    /// Its instance.
    pub instance: Slug,
    /// What it was made of.
    pub trace: Trace,
}

/// Which traces are wanted.
#[derive(Clone, Debug, Default)]
pub struct TraceQuery {
    /// Only of this tenant, by id or name.
    pub tenant: Option<String>,
    /// Only of this instance of the tenant, by id or name.
    pub instance: Option<String>,
}

/// Traces that the caller may see, newest first, up to a moment ago.
///
/// # Errors
/// [`Error::Forbidden`] for providers; [`Error::NotFound`] for a tenant or instance that the caller may not know of;
/// [`Error::Invalid`] for an instance without its tenant and a cursor of another list.
pub async fn list(
    control: &Control,
    call: &Call,
    query: TraceQuery,
    page: &PageRequest,
) -> Result<Page<TraceEntry>, Error> {
    let mut filter = visible(call)?;
    let mut db = control.store.read().await?;
    let names = (query.tenant.as_deref(), query.instance.as_deref());
    (filter.tenant, filter.instance) =
        instance::narrow(&mut db, call, filter.tenant, names).await?;
    drop(db);
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let before = page.cursor::<Number>()?.map(|Number(number)| number);
    let entries = store::trace::list(&mut db, before, page.rows(), &filter).await?;
    Ok(page.page(entries, |entry: &TraceEntry| {
        format!("{:020}", entry.number)
    }))
}

/// The number of a trace, as the cursors of their list have it.
struct Number(i64);

/// Why a text is not the number of a trace.
#[derive(Debug, thiserror::Error)]
#[error("it is not the number of a trace, such as 00000000000000000042")]
struct NumberError;

impl FromStr for Number {
    type Err = NumberError;

    fn from_str(text: &str) -> Result<Self, NumberError> {
        text.parse().map(Self).map_err(|_| NumberError)
    }
}

/// The newest trace of a request, by the id that its caller was given.
///
/// # Errors
/// [`Error::Forbidden`] for providers; [`Error::NotFound`] for one that is not there, not any more, was no composed
/// request or not of the sample, or is not for the caller.
pub async fn get(control: &Control, call: &Call, request_id: &str) -> Result<TraceEntry, Error> {
    let filter = visible(call)?;
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let found = match request_id.len() {
        1..=NAME_BYTES_MAX => store::trace::find(&mut db, request_id, &filter).await?,
        _ => None,
    };
    found.ok_or_else(|| Error::not_found("trace", request_id))
}

/// What the caller may see at most.
fn visible(call: &Call) -> Result<TraceFilter, Error> {
    call.authenticated()?;
    let mut filter = TraceFilter::default();
    match call.caller {
        Caller::Tenant(id) => filter.tenant = Some(id),
        Caller::Provider(_) => {
            return Err(Error::Forbidden(
                "a trace tells what else a tenant has, which providers may not know".to_owned(),
            ));
        }
        Caller::Operator | Caller::Nobody => {}
    }
    Ok(filter)
}
