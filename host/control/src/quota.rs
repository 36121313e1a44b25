//! Quotas: limits that operators set for a plan, a tenant, an instance or an install, and which value is
//! in force where, set by whom.
//!
//! Levels, from weak to strong: the platform's default, the app's manifest (which only lowers the
//! default, for its own invocations), the tenant's plan, tenant, instance, install. The strongest level
//! that sets a limit wins.

mod effective;
mod overrides;
mod used;

pub use effective::{EffectiveLimit, QuotaLevel, QuotaSetting};
pub(crate) use effective::{Levels, base_limits, overlay, overlay_manifest};
pub use overrides::{QuotaOverride, QuotaOverrides, overrides};
pub use used::used;

use std::collections::BTreeMap;

use cloudware_types::{InstanceId, Limit, Limits, PlanId, Scope, TenantId};
use serde_json::{Value, json};

use crate::{
    Call, Control, Error, Timestamp,
    audit::Draft,
    error::check_optional_text,
    install, instance,
    limits::REASON_CHARS_MAX,
    plan,
    store::{self, Connection, StoreError, quota::QuotaRow},
    tenant,
};

/// For whom a quota holds; names or ids.
#[derive(Clone, Debug)]
pub enum QuotaTarget {
    /// All tenants that have a plan.
    Plan(String),
    /// A tenant, or something of it.
    Tenant {
        /// The tenant.
        tenant: String,
        /// An instance of it; `None` for all of the tenant's.
        instance: Option<String>,
        /// An app that is enabled in the instance; `None` for the whole instance.
        app: Option<String>,
    },
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
    owner: Owner,
    levels: Levels,
}

/// What a target belongs to, which says whose instances a change concerns.
#[derive(Clone, Copy)]
enum Owner {
    Plan(PlanId),
    Tenant(TenantId),
    Instance(TenantId, InstanceId),
}

impl Subject {
    fn new(level: QuotaLevel, id: impl ToString, name: impl ToString, owner: Owner) -> Self {
        Self {
            level,
            id: id.to_string(),
            name: name.to_string(),
            owner,
            levels: Levels::default(),
        }
    }

    /// The same, seen from something within it: what is set for the whole holds there, too.
    fn narrow(&mut self, level: QuotaLevel, id: impl ToString, name: String, owner: Owner) {
        self.level = level;
        self.id = id.to_string();
        self.name = name;
        self.owner = owner;
    }

    /// Reads what is set for the target itself.
    async fn read(&mut self, db: &mut Connection) -> Result<(), StoreError> {
        let rows = store::quota::of_subject(db, &self.id).await?;
        self.levels.push(self.level, rows);
        Ok(())
    }

    /// The instances in which a change is felt.
    async fn instances(&self, db: &mut Connection) -> Result<Vec<InstanceId>, StoreError> {
        match self.owner {
            Owner::Plan(plan) => store::instance::ids_of_plan(db, plan).await,
            Owner::Tenant(tenant) => store::instance::ids_of_tenant(db, tenant).await,
            Owner::Instance(_, instance) => Ok(vec![instance]),
        }
    }
}

/// Sets and unsets quotas, all or none, and puts them into service: the next invocation of every
/// affected instance runs under them. What is so already is left as it was set, and a change that
/// changes nothing is not in the audit trail. For operators.
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
    let mut changed = change.values;
    changed.retain(|&limit, value| before.levels.value_at(before.level, limit) != *value);
    for (&limit, &value) in &changed {
        write(&mut db, call, &before.id, (limit, value), reason.as_deref()).await?;
    }
    let after = find(&mut db, call, target).await?;
    if !changed.is_empty() {
        let draft = Draft::new(call, "quota.change", &before.id, &before.name)
            .before(describe(&before.levels, &changed))
            .after(describe(&after.levels, &changed))
            .reason(reason.as_deref());
        let draft = match before.owner {
            Owner::Plan(_) => draft,
            Owner::Tenant(tenant) | Owner::Instance(tenant, _) => draft.tenant(tenant),
        };
        draft.write(&mut db).await?;
    }
    let instances = before.instances(&mut db).await?;
    db.commit().await.map_err(StoreError::from)?;
    if let Owner::Plan(_) = before.owner {
        control.refresh_plans().await?;
    }
    // Also where nothing is new: the data plane may have refused the state before.
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
                "bounds a whole instance: set it for the instance, the tenant or the plan",
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
fn describe(levels: &Levels, changed: &BTreeMap<Limit, Option<u64>>) -> Value {
    let effective = levels.effective().into_iter();
    effective
        .filter(|effective| changed.contains_key(&effective.limit))
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
    match target {
        QuotaTarget::Plan(name) => {
            let plan = plan::find(db, call, name).await?;
            let owner = Owner::Plan(plan.id);
            let mut subject = Subject::new(QuotaLevel::Plan, plan.id, plan.path(), owner);
            subject.read(db).await?;
            subject.levels.name_plan(&plan.slug);
            Ok(subject)
        }
        QuotaTarget::Tenant {
            tenant,
            instance,
            app,
        } => find_in_tenant(db, call, tenant, instance.as_deref(), app.as_deref()).await,
    }
}

async fn find_in_tenant(
    db: &mut Connection,
    call: &Call,
    tenant_name: &str,
    instance: Option<&str>,
    app: Option<&str>,
) -> Result<Subject, Error> {
    let tenant = tenant::find(db, call, tenant_name).await?;
    let owner = Owner::Tenant(tenant.id);
    let mut subject = Subject::new(QuotaLevel::Tenant, tenant.id, &tenant.slug, owner);
    if let (Some(id), Some(slug)) = (tenant.plan_id, &tenant.plan) {
        let rows = store::quota::of_subject(db, &id.to_string()).await?;
        subject.levels.push(QuotaLevel::Plan, rows);
        subject.levels.name_plan(slug);
    }
    subject.read(db).await?;
    let Some(name) = instance else {
        return Ok(subject);
    };
    let (_, instance) = instance::find(db, call, tenant_name, name).await?;
    let owner = Owner::Instance(tenant.id, instance.id);
    subject.narrow(QuotaLevel::Instance, instance.id, instance.path(), owner);
    subject.read(db).await?;
    let Some(name) = app else {
        return Ok(subject);
    };
    let install = install::find_in(db, instance.id, name).await?;
    subject.narrow(QuotaLevel::Install, install.id, install.path(), owner);
    if let Some(release) = store::release::get(db, install.release_id).await? {
        subject.levels.manifest(&release);
    }
    subject.read(db).await?;
    Ok(subject)
}
