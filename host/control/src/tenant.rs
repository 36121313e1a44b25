//! Tenants: customer organisations, which own instances.

use cloudware_types::{PlanId, Slug, TenantId};
use serde_json::json;

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    audit::Draft,
    error::{check_optional_text, check_text},
    limits::{NAME_BYTES_MAX, REASON_CHARS_MAX, TITLE_CHARS_MAX},
    plan,
    store::{self, Connection, StoreError},
};

/// A tenant.
#[derive(Clone, Debug)]
pub struct Tenant {
    /// Its id.
    pub id: TenantId,
    /// Its name, unique on the platform and part of its host name.
    pub slug: Slug,
    /// Its name for people.
    pub title: String,
    /// Its plan, if it has one.
    pub plan_id: Option<PlanId>,
    /// The plan's name.
    pub plan: Option<Slug>,
    /// Why it is suspended; `None` while it is active.
    pub suspended: Option<String>,
    /// Since when it is here.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub revision: u64,
}

impl Tenant {
    /// `active` or `suspended`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.suspended {
            None => "active",
            Some(_) => "suspended",
        }
    }
}

/// What a new tenant is made from.
#[derive(Clone, Debug)]
pub struct TenantNew {
    /// Its name, unique on the platform and part of its host name.
    pub slug: Slug,
    /// Its name for people; the slug if absent.
    pub title: Option<String>,
    /// Its plan, by id or name; none if absent.
    pub plan: Option<String>,
}

/// The name that no tenant may have: `plan/pro` is the plan `pro`, and not an instance of a tenant.
const RESERVED: &str = "plan";

/// Creates a tenant. For operators.
///
/// # Errors
/// [`Error::Conflict`] if the name is taken; [`Error::Invalid`] for the title and a reserved name;
/// [`Error::NotFound`] for the plan.
pub async fn create(control: &Control, call: &Call, new: TenantNew) -> Result<Tenant, Error> {
    call.operator("create tenants")?;
    let title = match &new.title {
        Some(title) => check_text("title", title, TITLE_CHARS_MAX)?,
        None => new.slug.to_string(),
    };
    if new.slug.as_str() == RESERVED {
        return Err(Error::invalid(
            "slug",
            format!("must not be `{RESERVED}`, which stands before names of plans: choose another"),
        ));
    }
    let mut db = control.store.write().await?;
    let plan = match &new.plan {
        Some(name) => Some(plan::find(&mut db, call, name).await?),
        None => None,
    };
    let tenant = Tenant {
        id: TenantId::generate(),
        slug: new.slug,
        title,
        plan_id: plan.as_ref().map(|plan| plan.id),
        plan: plan.map(|plan| plan.slug),
        suspended: None,
        created_at: Timestamp::now(),
        revision: 1,
    };
    if store::tenant::find(&mut db, tenant.slug.as_str())
        .await?
        .is_some()
    {
        return Err(Error::conflict(
            "already-exists",
            format!("there is a tenant `{}` already", tenant.slug),
        ));
    }
    store::tenant::insert(&mut db, &tenant).await?;
    Draft::new(call, "tenant.create", tenant.id, &tenant.slug)
        .tenant(tenant.id)
        .after(json!({
            "slug": tenant.slug,
            "title": tenant.title,
            "plan": tenant.plan,
            "state": tenant.state(),
        }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok(tenant)
}

/// Tenants in order of names: all for operators, itself for a tenant.
///
/// # Errors
/// [`Error::Forbidden`] for providers.
pub async fn list(
    control: &Control,
    call: &Call,
    page: &PageRequest,
) -> Result<Page<Tenant>, Error> {
    let only = match call.caller {
        Caller::Tenant(id) => Some(id),
        _ => call.operator("list tenants").map(|()| None)?,
    };
    let mut db = control.store.read().await?;
    let rows = store::tenant::list(&mut db, page, only).await?;
    Ok(page.page(rows, |tenant| tenant.slug.to_string()))
}

/// One tenant, by id or name.
///
/// # Errors
/// [`Error::NotFound`], also for every tenant but the caller's own.
pub async fn get(control: &Control, call: &Call, name: &str) -> Result<Tenant, Error> {
    let mut db = control.store.read().await?;
    find(&mut db, call, name).await
}

/// Gives a tenant another title. For operators and the tenant itself.
///
/// # Errors
/// [`Error::NotFound`], [`Error::Invalid`], [`Error::RevisionChanged`].
pub async fn rename(
    control: &Control,
    call: &Call,
    name: &str,
    title: &str,
) -> Result<Tenant, Error> {
    let mut db = control.store.write().await?;
    let mut tenant = find(&mut db, call, name).await?;
    call.may_change(&tenant)?;
    call.revision_matches(tenant.revision)?;
    let title = check_text("title", title, TITLE_CHARS_MAX)?;
    let before = json!({ "title": tenant.title });
    tenant.title = title;
    tenant.revision += 1;
    store::tenant::update(&mut db, &tenant).await?;
    Draft::new(call, "tenant.rename", tenant.id, &tenant.slug)
        .tenant(tenant.id)
        .before(before)
        .after(json!({ "title": tenant.title }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    Ok(tenant)
}

/// Gives a tenant a plan, or none. What the plan sets holds from the next invocation on in all of the
/// tenant's instances. The plan that it has already changes nothing. For operators.
///
/// # Errors
/// [`Error::NotFound`] for tenant or plan; [`Error::Invalid`] for the reason;
/// [`Error::RevisionChanged`].
pub async fn set_plan(
    control: &Control,
    call: &Call,
    name: &str,
    plan: Option<&str>,
    reason: Option<&str>,
) -> Result<Tenant, Error> {
    let mut db = control.store.write().await?;
    let mut tenant = find(&mut db, call, name).await?;
    call.operator("assign plans")?;
    call.revision_matches(tenant.revision)?;
    let reason = check_optional_text("reason", reason, REASON_CHARS_MAX)?;
    let plan = match plan {
        Some(name) => Some(plan::find(&mut db, call, name).await?),
        None => None,
    };
    let plan_id = plan.as_ref().map(|plan| plan.id);
    if plan_id != tenant.plan_id {
        let before = json!({ "plan": tenant.plan });
        tenant.plan_id = plan_id;
        tenant.plan = plan.map(|plan| plan.slug);
        tenant.revision += 1;
        store::tenant::update(&mut db, &tenant).await?;
        Draft::new(call, "tenant.set-plan", tenant.id, &tenant.slug)
            .tenant(tenant.id)
            .before(before)
            .after(json!({ "plan": tenant.plan }))
            .reason(reason.as_deref())
            .write(&mut db)
            .await?;
    }
    let instances = store::instance::ids_of_tenant(&mut db, tenant.id).await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_all(instances).await?;
    Ok(tenant)
}

/// Stops serving all of a tenant's instances until [`resume`]; nothing is deleted. For operators.
///
/// # Errors
/// [`Error::Conflict`] if it is suspended already; [`Error::Invalid`] for the reason.
pub async fn suspend(
    control: &Control,
    call: &Call,
    name: &str,
    reason: &str,
) -> Result<Tenant, Error> {
    call.operator("suspend tenants")?;
    let reason = check_text("reason", reason, REASON_CHARS_MAX)?;
    change_state(control, call, name, Some(reason)).await
}

/// Serves a suspended tenant's instances again. For operators.
///
/// # Errors
/// [`Error::Conflict`] if it is not suspended.
pub async fn resume(control: &Control, call: &Call, name: &str) -> Result<Tenant, Error> {
    call.operator("resume tenants")?;
    change_state(control, call, name, None).await
}

async fn change_state(
    control: &Control,
    call: &Call,
    name: &str,
    suspended: Option<String>,
) -> Result<Tenant, Error> {
    let mut db = control.store.write().await?;
    let mut tenant = find(&mut db, call, name).await?;
    call.revision_matches(tenant.revision)?;
    let before = json!({ "state": tenant.state(), "reason": tenant.suspended });
    if tenant.suspended.is_some() == suspended.is_some() {
        return Err(Error::conflict(
            "already-so",
            format!("tenant {} is {} already", tenant.slug, tenant.state()),
        ));
    }
    let action = match suspended {
        Some(_) => "tenant.suspend",
        None => "tenant.resume",
    };
    tenant.suspended = suspended;
    tenant.revision += 1;
    store::tenant::update(&mut db, &tenant).await?;
    Draft::new(call, action, tenant.id, &tenant.slug)
        .tenant(tenant.id)
        .before(before)
        .after(json!({ "state": tenant.state() }))
        .reason(tenant.suspended.as_deref())
        .write(&mut db)
        .await?;
    let instances = store::instance::ids_of_tenant(&mut db, tenant.id).await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_all(instances).await?;
    Ok(tenant)
}

/// As [`get`], within a transaction.
pub(crate) async fn find(db: &mut Connection, call: &Call, name: &str) -> Result<Tenant, Error> {
    call.authenticated()?;
    let found = match name.len() {
        0..=NAME_BYTES_MAX => store::tenant::find(db, name).await?,
        _ => None,
    };
    found
        .filter(|tenant| call.sees_tenant(tenant.id))
        .ok_or_else(|| Error::not_found("tenant", name))
}
