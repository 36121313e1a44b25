//! Quotas: limits that operators set for a tenant, an instance or an install, and which value is in
//! force where, set by whom.
//!
//! Levels, from weak to strong: the platform's default, the app's manifest (which only lowers the
//! default, for its own invocations), tenant, instance, install. The strongest level that sets a
//! dimension wins.

mod effective;

pub use effective::{EffectiveLimit, QuotaLevel, QuotaSetting};
pub(crate) use effective::{Levels, base_limits, overlay, overlay_manifest};

use std::collections::BTreeMap;

use cloudware_types::{InstanceId, Limit, Limits, Scope, TenantId};
use serde_json::{Value, json};

use crate::{
    Call, Control, Error, Timestamp,
    audit::Draft,
    error::check_optional_text,
    install, instance,
    limits::REASON_CHARS_MAX,
    store::{self, Connection, StoreError, quota::QuotaRow},
    tenant,
};

/// For whom a quota holds; names or ids.
#[derive(Clone, Debug)]
pub struct QuotaTarget {
    /// The tenant.
    pub tenant: String,
    /// An instance of it; `None` for all of the tenant's.
    pub instance: Option<String>,
    /// An app that is enabled in the instance; `None` for the whole instance.
    pub app: Option<String>,
}

/// What is to be set (`Some`) and unset (`None`).
#[derive(Clone, Debug, Default)]
pub struct QuotaChange {
    /// The limits to change.
    pub values: BTreeMap<Limit, Option<u64>>,
    /// Why, for the audit trail and for those who ask where a limit comes from.
    pub reason: Option<String>,
}

/// A target that was looked up and that the caller may see.
pub(crate) struct Subject {
    pub level: QuotaLevel,
    /// The id under which values are stored.
    id: String,
    name: String,
    tenant: TenantId,
    /// `None` for a tenant.
    instance: Option<InstanceId>,
    levels: Levels,
}

/// Sets and unsets quotas, all or none, and puts them into service: the next invocation of every
/// affected instance runs under them. For operators.
///
/// # Errors
/// [`Error::Invalid`] for values out of bounds and for limits of whole instances at an install;
/// [`Error::NotFound`]; [`Error::Forbidden`].
pub async fn change(
    control: &Control,
    call: &Call,
    target: &QuotaTarget,
    change: QuotaChange,
) -> Result<Vec<EffectiveLimit>, Error> {
    let mut db = control.store.write().await?;
    let before = find(&mut db, call, target).await?;
    call.operator("set quotas")?;
    check(&before, &change)?;
    let reason = check_optional_text("reason", change.reason.as_deref(), REASON_CHARS_MAX)?;
    for (&limit, &value) in &change.values {
        write(&mut db, call, &before.id, (limit, value), reason.as_deref()).await?;
    }
    let after = find(&mut db, call, target).await?;
    Draft::new(call, "quota.change", &before.id, &before.name)
        .tenant(before.tenant)
        .before(describe(&before.levels, &change))
        .after(describe(&after.levels, &change))
        .reason(reason.as_deref())
        .write(&mut db)
        .await?;
    let instances = match before.instance {
        Some(instance) => vec![instance],
        None => store::instance::ids_of_tenant(&mut db, before.tenant).await?,
    };
    db.commit().await.map_err(StoreError::from)?;
    control.apply_all(instances).await?;
    Ok(after.levels.effective())
}

/// Whether the caller may change the quotas of a target.
///
/// # Errors
/// [`Error::NotFound`] for a target that the caller may not know of; [`Error::Forbidden`] for all but
/// operators.
pub async fn may_change(control: &Control, call: &Call, target: &QuotaTarget) -> Result<(), Error> {
    let mut db = control.store.read().await?;
    find(&mut db, call, target).await?;
    call.operator("set quotas")
}

/// The limits in force for a target, each with every level that sets it.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(
    control: &Control,
    call: &Call,
    target: &QuotaTarget,
) -> Result<Vec<EffectiveLimit>, Error> {
    let mut db = control.store.read().await?;
    Ok(find(&mut db, call, target).await?.levels.effective())
}

fn check(subject: &Subject, change: &QuotaChange) -> Result<(), Error> {
    if change.values.is_empty() {
        return Err(Error::invalid("quota", "must change at least one limit"));
    }
    for (&limit, &value) in &change.values {
        if subject.level == QuotaLevel::Install && limit.scope() == Scope::Instance {
            return Err(Error::invalid(
                limit.name(),
                "bounds a whole instance: set it for the instance or the tenant",
            ));
        }
        if let Some(value) = value {
            Limits::default()
                .set(limit, value)
                .map_err(|error| Error::invalid(limit.name(), format!("is refused: {error}")))?;
        }
    }
    Ok(())
}

async fn write(
    db: &mut Connection,
    call: &Call,
    subject: &str,
    (limit, value): (Limit, Option<u64>),
    reason: Option<&str>,
) -> Result<(), StoreError> {
    let Some(value) = value else {
        return store::quota::unset(db, subject, limit).await;
    };
    let row = QuotaRow {
        subject: subject.to_owned(),
        limit,
        value,
        reason: reason.map(ToOwned::to_owned),
        set_by: call.actor.clone(),
        set_at: Timestamp::now(),
    };
    store::quota::set(db, &row).await
}

/// The changed limits with their values in force and the levels that set them.
fn describe(levels: &Levels, change: &QuotaChange) -> Value {
    let changed = levels.effective().into_iter();
    let changed = changed.filter(|effective| change.values.contains_key(&effective.limit));
    changed
        .map(|effective| {
            let setting = effective.in_force();
            let value = json!({ "value": setting.value, "level": setting.level });
            (effective.limit.name().to_owned(), value)
        })
        .collect::<serde_json::Map<_, _>>()
        .into()
}

/// Looks a target up, with the values of all its levels.
async fn find(db: &mut Connection, call: &Call, target: &QuotaTarget) -> Result<Subject, Error> {
    let tenant = tenant::find(db, call, &target.tenant).await?;
    let mut subject = Subject {
        level: QuotaLevel::Tenant,
        id: tenant.id.to_string(),
        name: tenant.slug.to_string(),
        tenant: tenant.id,
        instance: None,
        levels: Levels::default(),
    };
    let rows = store::quota::of_subject(db, &subject.id).await?;
    subject.levels.push(QuotaLevel::Tenant, rows);
    if let Some(name) = &target.instance {
        let (_, instance) = instance::find(db, call, &target.tenant, name).await?;
        subject.level = QuotaLevel::Instance;
        subject.id = instance.id.to_string();
        subject.name = instance.path();
        subject.instance = Some(instance.id);
        let rows = store::quota::of_subject(db, &subject.id).await?;
        subject.levels.push(QuotaLevel::Instance, rows);
    }
    if let (Some(instance), Some(app)) = (subject.instance, &target.app) {
        let install = install::find_in(db, instance, app).await?;
        subject.level = QuotaLevel::Install;
        subject.id = install.id.to_string();
        subject.name = install.path();
        let release = store::release::get(db, install.release_id).await?;
        if let Some(release) = release {
            subject.levels.manifest(&release);
        }
        let rows = store::quota::of_subject(db, &subject.id).await?;
        subject.levels.push(QuotaLevel::Install, rows);
    }
    Ok(subject)
}
