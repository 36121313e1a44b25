//! How much of its limits an instance uses at present, where that can be known.

use std::collections::BTreeMap;

use cloudware_types::{Dimension, InstanceId, Limit, Meter};

use super::{Owner, QuotaTarget, find};
use crate::{
    Call, Control, Error, Timestamp,
    store::{self, StoreError},
};

/// Minutes of a day.
const DAY: i64 = 24 * 60;

/// What the instance of a target uses at present of those limits of a whole instance that have a
/// present value, in the unit of the limit: the size of its database, what runs and how long runs wait, its rates, and the fuel
/// of this minute and this day (UTC). What was consumed a moment ago is counted.
///
/// # Errors
/// [`Error::Invalid`] for a plan or a tenant, which may have many instances; [`Error::NotFound`].
pub async fn used(
    control: &Control,
    call: &Call,
    target: &QuotaTarget,
) -> Result<BTreeMap<Limit, u64>, Error> {
    let mut db = control.store.read().await?;
    let subject = find(&mut db, call, target).await?;
    drop(db);
    let Owner::Instance(_, instance) = subject.owner else {
        return Err(Error::invalid(
            "usage",
            "is known of single instances only: name one, such as acme/main",
        ));
    };
    control.data_plane.flush_usage().await;
    let load = control.data_plane.instance_load(instance).await;
    let now = Timestamp::now().minutes();
    let used = [
        (Dimension::Storage, load.storage_bytes),
        (
            Dimension::FuelPerMinute,
            fuel(control, instance, now).await?,
        ),
        (
            Dimension::FuelPerDay,
            fuel(control, instance, now - now.rem_euclid(DAY)).await?,
        ),
    ];
    Ok(used
        .into_iter()
        .chain(load.used)
        .map(|(dimension, used)| (dimension.into(), used))
        .collect())
}

/// The fuel of an instance from a minute on.
async fn fuel(control: &Control, instance: InstanceId, from: i64) -> Result<u64, StoreError> {
    let mut db = control.store.read().await?;
    store::usage::sum_since(&mut db, instance, Meter::Fuel, from).await
}
