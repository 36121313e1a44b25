//! Deliveries: what hooks on observe points are owed. They lie in the private database of their instance, which the
//! data plane reads and changes; here is decided who may see and replay them.

use cloudware_types::{DeliveryId, DeliveryRecord, DeliveryState, InstanceId};
use serde_json::json;

use crate::{
    Call, Control, Error, Page, PageRequest, audit::Draft, instance, limits::NAME_BYTES_MAX,
    store::StoreError,
};

/// Which deliveries of an instance are wanted, as the data plane is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeliveryQuery {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those of this hook, by id or name.
    pub hook: Option<String>,
    /// Only those before this one.
    pub before: Option<DeliveryId>,
    /// At most this many.
    pub count_max: u32,
}

/// Which dead deliveries are to be tried again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeliveryReplay {
    /// This one.
    One(DeliveryId),
    /// All, or those of one hook by id or name.
    All {
        /// The hook.
        hook: Option<String>,
    },
}

/// Why the deliveries of an instance can't be read or changed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DeliveriesError {
    /// Others use the database.
    #[error("the database of the instance is busy: try again")]
    Busy,
    /// It failed; the text is for the operator.
    #[error("the database of the instance failed: {0}")]
    Failed(String),
}

impl From<DeliveriesError> for Error {
    fn from(error: DeliveriesError) -> Self {
        match error {
            DeliveriesError::Busy => Self::conflict("database-busy", error.to_string()),
            DeliveriesError::Failed(_) => Self::Interrupted(error.to_string()),
        }
    }
}

/// One delivery with what its hook is told.
#[derive(Clone, Debug)]
pub struct Delivery {
    /// The delivery.
    pub record: DeliveryRecord,
    /// The arguments of the call, as long as they are kept.
    pub arguments: Option<serde_json::Value>,
}

/// Deliveries of an instance, newest first.
///
/// # Errors
/// [`Error::NotFound`] for tenant or instance; [`Error::Invalid`] for a cursor that is none.
pub async fn list(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    (state, hook): (Option<DeliveryState>, Option<String>),
    page: &PageRequest,
) -> Result<Page<DeliveryRecord>, Error> {
    let instance = find_instance(control, call, place).await?;
    let query = DeliveryQuery {
        state,
        hook: hook.map(check_hook).transpose()?,
        before: page.cursor()?,
        count_max: u32::try_from(page.rows()).unwrap_or(u32::MAX),
    };
    let records = control.data_plane.deliveries(instance, &query).await?;
    Ok(page.page(records, |record| record.id.to_string()))
}

/// One delivery.
///
/// # Errors
/// [`Error::NotFound`] for tenant, instance or delivery.
pub async fn get(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    id: &str,
) -> Result<Delivery, Error> {
    let instance = find_instance(control, call, place).await?;
    let id_known = parse_id(id)?;
    let found = control.data_plane.delivery(instance, id_known).await?;
    let (record, arguments) = found.ok_or_else(|| Error::not_found("delivery", id))?;
    let arguments = arguments.and_then(|text| serde_json::from_str(&text).ok());
    Ok(Delivery { record, arguments })
}

/// Has a dead delivery tried again, as if it had never been tried.
///
/// # Errors
/// [`Error::NotFound`] for tenant, instance or delivery; [`Error::Conflict`] for one that is not dead.
pub async fn replay(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    id: &str,
) -> Result<Delivery, Error> {
    let before = get(control, call, place, id).await?.record;
    let one = DeliveryReplay::One(before.id);
    if replay_some(control, call, place, one).await? == 0 {
        return Err(Error::conflict(
            "not-dead",
            format!(
                "delivery {} is {}, and only a dead one can be replayed",
                before.id, before.state
            ),
        ));
    }
    get(control, call, place, id).await
}

/// Has all dead deliveries of an instance tried again, or those of one hook by id or name. Gives how many.
///
/// # Errors
/// [`Error::NotFound`] for tenant or instance.
pub async fn replay_all(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    hook: Option<String>,
) -> Result<u64, Error> {
    let hook = hook.map(check_hook).transpose()?;
    replay_some(control, call, place, DeliveryReplay::All { hook }).await
}

async fn replay_some(
    control: &Control,
    call: &Call,
    place: (&str, &str),
    which: DeliveryReplay,
) -> Result<u64, Error> {
    let mut db = control.store.read().await?;
    let (tenant, instance) = instance::find(&mut db, call, place.0, place.1).await?;
    drop(db);
    call.may_change(&tenant)?;
    let about = match &which {
        DeliveryReplay::One(id) => json!({ "delivery": id }),
        DeliveryReplay::All { hook } => json!({ "hook": hook }),
    };
    let count = control.data_plane.replay(instance.id, which).await?;
    if count == 0 {
        return Ok(0);
    }
    // Two databases have no common transaction. A replay without its entry is harmless; an entry of one that
    // never was would be a lie.
    let mut db = control.store.write().await?;
    Draft::new(call, "delivery.replay", instance.id, instance.path())
        .tenant(instance.tenant_id)
        .before(about)
        .after(json!({ "replayed": count }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok(count)
}

async fn find_instance(
    control: &Control,
    call: &Call,
    (tenant, name): (&str, &str),
) -> Result<InstanceId, Error> {
    let mut db = control.store.read().await?;
    let (_, instance) = instance::find(&mut db, call, tenant, name).await?;
    Ok(instance.id)
}

fn parse_id(id: &str) -> Result<DeliveryId, Error> {
    id.parse().map_err(|_| Error::not_found("delivery", id))
}

fn check_hook(hook: String) -> Result<String, Error> {
    if hook.len() <= NAME_BYTES_MAX {
        return Ok(hook);
    }
    Err(Error::invalid(
        "hook",
        format!("must have at most {NAME_BYTES_MAX} bytes"),
    ))
}
