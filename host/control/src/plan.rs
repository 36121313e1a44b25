//! Plans: named sets of quotas, of which a tenant has at most one. What a plan sets is a level of quotas
//! of its own, below the tenant.

use cloudware_types::{PlanId, Slug};
use serde_json::{Value, json};

use crate::{
    Call, Caller, Control, Error, Page, PageRequest, Timestamp,
    audit::Draft,
    error::{check_optional_text, check_text},
    limits::{NAME_BYTES_MAX, PLANS_MAX, REASON_CHARS_MAX, TITLE_CHARS_MAX},
    store::{self, Connection, StoreError},
};

/// A plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Its id.
    pub id: PlanId,
    /// Its name, unique on the platform.
    pub slug: Slug,
    /// Its name for people.
    pub title: String,
    /// How many tenants have it; for operators only.
    pub tenants: Option<u64>,
    /// Since when it is here.
    pub created_at: Timestamp,
}

impl Plan {
    /// The name as people write it where other things have names, too: `plan/pro`.
    #[must_use]
    pub fn path(&self) -> String {
        format!("plan/{}", self.slug)
    }
}

/// What a new plan is made from.
#[derive(Clone, Debug)]
pub struct PlanNew {
    /// Its name, unique on the platform.
    pub slug: Slug,
    /// Its name for people; the slug if absent.
    pub title: Option<String>,
}

/// Creates a plan that sets nothing yet. For operators.
///
/// # Errors
/// [`Error::Conflict`] if the name is taken or there are [`PLANS_MAX`]; [`Error::Invalid`] for the
/// title.
pub async fn create(control: &Control, call: &Call, new: PlanNew) -> Result<Plan, Error> {
    call.operator("create plans")?;
    let title = match &new.title {
        Some(title) => check_text("title", title, TITLE_CHARS_MAX)?,
        None => new.slug.to_string(),
    };
    let plan = Plan {
        id: PlanId::generate(),
        slug: new.slug,
        title,
        tenants: Some(0),
        created_at: Timestamp::now(),
    };
    let mut db = control.store.write().await?;
    if store::plan::find(&mut db, plan.slug.as_str())
        .await?
        .is_some()
    {
        return Err(Error::conflict(
            "already-exists",
            format!("there is a plan `{}` already", plan.slug),
        ));
    }
    if store::plan::count(&mut db).await? >= PLANS_MAX {
        return Err(Error::conflict(
            "too-many",
            format!("there are {PLANS_MAX} plans already: delete one that no tenant has"),
        ));
    }
    store::plan::insert(&mut db, &plan).await?;
    Draft::new(call, "plan.create", plan.id, plan.path())
        .after(json!({ "slug": plan.slug, "title": plan.title }))
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.refresh_plans().await?;
    Ok(plan)
}

/// Deletes a plan that no tenant has. For operators.
///
/// # Errors
/// [`Error::Conflict`] while a tenant has it; [`Error::NotFound`].
pub async fn delete(
    control: &Control,
    call: &Call,
    name: &str,
    reason: Option<&str>,
) -> Result<Plan, Error> {
    let mut db = control.store.write().await?;
    let plan = find(&mut db, call, name).await?;
    call.operator("delete plans")?;
    let reason = check_optional_text("reason", reason, REASON_CHARS_MAX)?;
    let tenants = plan.tenants.unwrap_or(0);
    if tenants > 0 {
        return Err(Error::conflict(
            "in-use",
            format!(
                "plan {} is the plan of {tenants} tenant{}: give them another one first, or none",
                plan.slug,
                if tenants == 1 { "" } else { "s" },
            ),
        ));
    }
    let rows = store::quota::of_subject(&mut db, &plan.id.to_string()).await?;
    let quotas = rows.iter().map(|row| (row.limit.name(), row.value));
    let quotas: serde_json::Map<String, Value> = quotas
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    store::plan::delete(&mut db, plan.id).await?;
    Draft::new(call, "plan.delete", plan.id, plan.path())
        .before(json!({ "slug": plan.slug, "title": plan.title, "quotas": quotas }))
        .reason(reason.as_deref())
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.refresh_plans().await?;
    Ok(plan)
}

/// Plans in order of names. For operators and tenants.
///
/// # Errors
/// [`Error::Forbidden`] for providers.
pub async fn list(control: &Control, call: &Call, page: &PageRequest) -> Result<Page<Plan>, Error> {
    call.authenticated()?;
    if !sees_plans(call) {
        return Err(Error::Forbidden(
            "only operators and tenants may list plans".to_owned(),
        ));
    }
    let mut db = control.store.read().await?;
    let rows = store::plan::list(&mut db, page).await?;
    let rows = rows.into_iter().map(|plan| shown(call, plan)).collect();
    Ok(page.page(rows, |plan: &Plan| plan.slug.to_string()))
}

/// One plan, by id or name. For operators and tenants.
///
/// # Errors
/// [`Error::NotFound`], also for providers.
pub async fn get(control: &Control, call: &Call, name: &str) -> Result<Plan, Error> {
    let mut db = control.store.read().await?;
    find(&mut db, call, name).await
}

/// As [`get`], within a transaction.
pub(crate) async fn find(db: &mut Connection, call: &Call, name: &str) -> Result<Plan, Error> {
    call.authenticated()?;
    let found = match name.len() {
        0..=NAME_BYTES_MAX => store::plan::find(db, name).await?,
        _ => None,
    };
    found
        .filter(|_| sees_plans(call))
        .map(|plan| shown(call, plan))
        .ok_or_else(|| Error::not_found("plan", name))
}

/// How many others have a plan is no tenant's business.
fn shown(call: &Call, mut plan: Plan) -> Plan {
    if call.caller != Caller::Operator {
        plan.tenants = None;
    }
    plan
}

/// The list of plans is what the platform sells, open to those who may buy.
fn sees_plans(call: &Call) -> bool {
    matches!(call.caller, Caller::Operator | Caller::Tenant(_))
}
