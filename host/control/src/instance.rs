//! Instances: a tenant's running copies of products, each with a private database, quotas and
//! routes of its own.

use cloudware_types::{InstanceId, Slug, TenantId};
use serde_json::json;

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    audit::Draft,
    error::check_text,
    limits::{INSTANCES_BY_TENANT_MAX, INSTANCES_PER_TENANT_MAX, NAME_BYTES_MAX, REASON_CHARS_MAX},
    store::{self, Connection, StoreError},
    tenant::{self, Tenant},
};

/// An instance.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its id.
    pub id: InstanceId,
    /// Its name, unique within the tenant.
    pub slug: Slug,
    /// The tenant that owns it.
    pub tenant_id: TenantId,
    /// The tenant's name.
    pub tenant: Slug,
    /// The product that it is a copy of, if it was made for one.
    pub product: Option<Slug>,
    /// Whether the tenant's bare host name serves it: the tenant's first one.
    pub is_default: bool,
    /// Why it is suspended; `None` while it is ready.
    pub suspended: Option<String>,
    /// Since when it is here.
    pub created_at: Timestamp,
    /// Counts its changes.
    pub revision: u64,
}

impl Instance {
    /// `ready` or `suspended`.
    #[must_use]
    pub fn state(&self) -> &'static str {
        match self.suspended {
            None => "ready",
            Some(_) => "suspended",
        }
    }

    /// The name as people write it, `tenant/instance`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("{}/{}", self.tenant, self.slug)
    }
}

/// What a new instance is made from.
#[derive(Clone, Debug)]
pub struct InstanceNew {
    /// Its name, unique within the tenant.
    pub slug: Slug,
    /// The product that it is a copy of, by name; apps of other products can be enabled in it too.
    pub product: Option<Slug>,
}

/// Creates an instance in a tenant. For operators and, up to [`INSTANCES_BY_TENANT_MAX`], the tenant.
///
/// # Errors
/// [`Error::Conflict`] if the name is taken or there are too many; [`Error::NotFound`] for tenant or
/// product.
pub async fn create(
    control: &Control,
    call: &Call,
    tenant: &str,
    new: InstanceNew,
) -> Result<Instance, Error> {
    let mut db = control.store.write().await?;
    let tenant = tenant::find(&mut db, call, tenant).await?;
    call.may_change(&tenant)?;
    let product = match &new.product {
        Some(slug) => Some(crate::product::find(&mut db, slug.as_str()).await?.slug),
        None => None,
    };
    if store::instance::find(&mut db, tenant.id, new.slug.as_str())
        .await?
        .is_some()
    {
        return Err(Error::conflict(
            "already-exists",
            format!(
                "tenant {} has an instance `{}` already",
                tenant.slug, new.slug
            ),
        ));
    }
    let count = store::instance::count(&mut db, tenant.id).await?;
    check_count(call, &tenant, count)?;
    let instance = Instance {
        id: InstanceId::generate(),
        slug: new.slug,
        tenant_id: tenant.id,
        tenant: tenant.slug,
        product,
        is_default: count == 0,
        suspended: None,
        created_at: Timestamp::now(),
        revision: 1,
    };
    store::instance::insert(&mut db, &instance).await?;
    Draft::new(call, "instance.create", instance.id, instance.path())
        .tenant(instance.tenant_id)
        .after(json!({
            "slug": instance.slug,
            "product": instance.product,
            "default": instance.is_default,
        }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(instance.id).await?;
    Ok(instance)
}

fn check_count(call: &Call, tenant: &Tenant, count: i64) -> Result<(), Error> {
    let (max, advice) = match call.caller {
        Caller::Tenant(_) => (INSTANCES_BY_TENANT_MAX, "ask the operator for more"),
        _ => (INSTANCES_PER_TENANT_MAX, "use another tenant"),
    };
    if count < max {
        return Ok(());
    }
    Err(Error::conflict(
        "too-many",
        format!(
            "tenant {} has {count} instances, of {max} at most: {advice}",
            tenant.slug
        ),
    ))
}

/// A tenant's instances in order of names.
///
/// # Errors
/// [`Error::NotFound`] for the tenant.
pub async fn list(
    control: &Control,
    call: &Call,
    tenant: &str,
    page: &PageRequest,
) -> Result<Page<Instance>, Error> {
    let mut db = control.store.read().await?;
    let tenant = tenant::find(&mut db, call, tenant).await?;
    let rows = store::instance::list(&mut db, tenant.id, page).await?;
    Ok(page.page(rows, |instance| instance.slug.to_string()))
}

/// One instance, by id or name.
///
/// # Errors
/// [`Error::NotFound`] for tenant or instance.
pub async fn get(
    control: &Control,
    call: &Call,
    tenant: &str,
    name: &str,
) -> Result<Instance, Error> {
    let mut db = control.store.read().await?;
    Ok(find(&mut db, call, tenant, name).await?.1)
}

/// Stops serving an instance until [`resume`]; nothing is deleted. For operators.
///
/// # Errors
/// [`Error::Conflict`] if it is suspended already; [`Error::Invalid`] for the reason.
pub async fn suspend(
    control: &Control,
    call: &Call,
    tenant: &str,
    name: &str,
    reason: &str,
) -> Result<Instance, Error> {
    call.operator("suspend instances")?;
    let reason = check_text("reason", reason, REASON_CHARS_MAX)?;
    change_state(control, call, (tenant, name), Some(reason)).await
}

/// Serves a suspended instance again. For operators.
///
/// # Errors
/// [`Error::Conflict`] if it is not suspended.
pub async fn resume(
    control: &Control,
    call: &Call,
    tenant: &str,
    name: &str,
) -> Result<Instance, Error> {
    call.operator("resume instances")?;
    change_state(control, call, (tenant, name), None).await
}

async fn change_state(
    control: &Control,
    call: &Call,
    (tenant, name): (&str, &str),
    suspended: Option<String>,
) -> Result<Instance, Error> {
    let mut db = control.store.write().await?;
    let (_, mut instance) = find(&mut db, call, tenant, name).await?;
    call.revision_matches(instance.revision)?;
    if instance.suspended.is_some() == suspended.is_some() {
        return Err(Error::conflict(
            "already-so",
            format!(
                "instance {} is {} already",
                instance.path(),
                instance.state()
            ),
        ));
    }
    let action = match suspended {
        Some(_) => "instance.suspend",
        None => "instance.resume",
    };
    let before = json!({ "state": instance.state(), "reason": instance.suspended });
    instance.suspended = suspended;
    instance.revision += 1;
    store::instance::update(&mut db, &instance).await?;
    Draft::new(call, action, instance.id, instance.path())
        .tenant(instance.tenant_id)
        .before(before)
        .after(json!({ "state": instance.state() }))
        .reason(instance.suspended.as_deref())
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(instance.id).await?;
    Ok(instance)
}

/// The tenant and the instance that a list is narrowed to by their names; `own` is the tenant that it is narrowed to
/// anyway.
///
/// # Errors
/// [`Error::NotFound`] for one that the caller may not know of; [`Error::Invalid`] for an instance without its tenant.
pub(crate) async fn narrow(
    db: &mut Connection,
    call: &Call,
    own: Option<TenantId>,
    (tenant, instance): (Option<&str>, Option<&str>),
) -> Result<(Option<TenantId>, Option<InstanceId>), Error> {
    let tenant = match tenant {
        Some(name) => Some(tenant::find(db, call, name).await?.id),
        None => own,
    };
    let Some(name) = instance else {
        return Ok((tenant, None));
    };
    let of = tenant.ok_or_else(|| Error::invalid("instance", "needs its tenant"))?;
    let (_, instance) = find(db, call, &of.to_string(), name).await?;
    Ok((tenant, Some(instance.id)))
}

/// As [`get`], within a transaction, with the tenant.
pub(crate) async fn find(
    db: &mut Connection,
    call: &Call,
    tenant: &str,
    name: &str,
) -> Result<(Tenant, Instance), Error> {
    let tenant = tenant::find(db, call, tenant).await?;
    let found = match name.len() {
        0..=NAME_BYTES_MAX => store::instance::find(db, tenant.id, name).await?,
        _ => None,
    };
    match found {
        Some(instance) => Ok((tenant, instance)),
        None => Err(Error::not_found("instance", name)),
    }
}
