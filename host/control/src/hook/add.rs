//! Adding a hook by hand: a webhook, or an extension whose hook was removed before.

use cloudware_packages::PointShape;
use cloudware_types::{HookId, HookMode, Slug};

use super::{
    Hook, HookFields, HookKeyed, PAYLOAD_VERSIONS, SigningKey, Target, Webhook,
    change::move_to,
    check::{check_mode, check_payload_version, check_policy, check_url},
    register::place,
};
use crate::{
    Call, Control, Error, Instance, Timestamp,
    composition::{Composition, Fit, Member, fit},
    instance,
    store::{self, StoreError, hook::WebhookParts},
};

/// What a new hook is made from.
#[derive(Clone, Debug)]
pub struct HookNew {
    /// The app that asks, by name.
    pub app: Slug,
    /// Its extension point.
    pub point: Slug,
    /// What is called.
    pub target: TargetNew,
    /// Its place among the hooks of the point, from 1; the end if absent.
    pub position: Option<u32>,
    /// Whether it is called.
    pub is_enabled: bool,
    /// Whether its result is used.
    pub mode: HookMode,
    /// What is chosen for it.
    pub fields: HookFields,
}

/// What a new hook calls.
#[derive(Clone, Debug)]
pub enum TargetNew {
    /// An extension that is enabled in the instance, by its app's name.
    Extension(Slug),
    /// An HTTP endpoint.
    Webhook {
        /// What the hook is called.
        name: Slug,
        /// Where it is called.
        url: String,
        /// Version of the payload that it was written for; the newest if absent.
        payload_version: Option<u32>,
    },
}

/// Adds a hook to an extension point of an app that is enabled in the instance.
///
/// # Errors
/// [`Error::NotFound`] for instance, app, point or extension; [`Error::Invalid`] for what is chosen;
/// [`Error::Conflict`] if the extension does not fit the point (`point-mismatch`), there is such a hook already, or
/// the instance has too many.
pub async fn add(
    control: &Control,
    call: &Call,
    (tenant, name): (&str, &str),
    new: HookNew,
) -> Result<HookKeyed, Error> {
    let mut db = control.store.write().await?;
    let (tenant, instance) = instance::find(&mut db, call, tenant, name).await?;
    call.may_change(&tenant)?;
    let composition = Composition::read(&mut db, instance.id).await?;
    let (app, point) = find_point(&composition, &instance, &new.app, &new.point)?;
    check(control, &new, point)?;
    let now = Timestamp::now();
    let (name, target) = target(&composition, &instance, &new, (app, point), now)?;
    let mut hook = Hook {
        id: HookId::generate(),
        instance_id: instance.id,
        instance: instance.slug.clone(),
        tenant_id: instance.tenant_id,
        tenant: instance.tenant.clone(),
        app_install: app.install,
        app: app.app.clone(),
        point: point.name.clone(),
        name,
        position: 0,
        target,
        is_enabled: new.is_enabled,
        mode: new.mode,
        fields: new.fields,
        created_at: now,
        revision: 1,
    };
    place(&mut db, &mut hook).await?;
    let key = match &hook.target {
        Target::Webhook(_) => Some(SigningKey::generate(now)),
        Target::Extension(_) => None,
    };
    let parts = key.as_ref().map(|key| WebhookParts {
        keys: std::slice::from_ref(key),
        written_for: point,
    });
    store::hook::insert(&mut db, &hook, parts).await?;
    if let Some(position) = new.position {
        move_to(&mut db, &mut hook, position).await?;
        store::hook::update(&mut db, &hook).await?;
    }
    hook.draft(call, "hook.add")
        .after(hook.describe())
        .write(&mut db)
        .await?;
    db.commit().await.map_err(StoreError::from)?;
    control.apply_in_turn(instance.id).await?;
    Ok(HookKeyed {
        hook,
        secret: key.map(|key| key.secret()),
    })
}

/// The app and the point, if they are there to be hooked on.
fn find_point<'a>(
    composition: &'a Composition,
    instance: &Instance,
    app: &Slug,
    point: &Slug,
) -> Result<(&'a Member, &'a PointShape), Error> {
    let member = composition
        .app(app)
        .ok_or_else(|| not_enabled(app, instance))?;
    let found = member.shapes.point(point);
    let found = found.ok_or_else(|| {
        let names: Vec<_> = member
            .shapes
            .points
            .iter()
            .map(|p| p.name.as_str())
            .collect();
        let names = match names.as_slice() {
            [] => "it has none".to_owned(),
            names => format!("it has {}", names.join(", ")),
        };
        Error::invalid(
            "point",
            format!("is no extension point of {app} {}: {names}", member.version),
        )
    })?;
    Ok((member, found))
}

fn not_enabled(app: &Slug, instance: &Instance) -> Error {
    Error::conflict(
        "not-enabled",
        format!(
            "{app} is not enabled in {}: enable it first",
            instance.path()
        ),
    )
}

fn check(control: &Control, new: &HookNew, point: &PointShape) -> Result<(), Error> {
    new.fields.check()?;
    check_policy(point.kind, new.fields.on_failure)?;
    check_mode(point.kind, new.mode)?;
    if let TargetNew::Webhook {
        url,
        payload_version,
        ..
    } = &new.target
    {
        new.fields.check_webhook()?;
        check_url(control, url)?;
        check_payload_version(*payload_version)?;
    }
    Ok(())
}

/// The hook's name and what it calls.
fn target(
    composition: &Composition,
    instance: &Instance,
    new: &HookNew,
    (app, point): (&Member, &PointShape),
    now: Timestamp,
) -> Result<(Slug, Target), Error> {
    let name = match &new.target {
        TargetNew::Extension(name) => name,
        TargetNew::Webhook {
            name,
            url,
            payload_version,
        } => {
            let webhook = Webhook {
                url: url.clone(),
                payload_version: payload_version.unwrap_or(*PAYLOAD_VERSIONS.end()),
                keys: vec![now],
            };
            return Ok((name.clone(), Target::Webhook(webhook)));
        }
    };
    let extension = composition
        .app(name)
        .ok_or_else(|| not_enabled(name, instance))?;
    if extension.install == app.install {
        return Err(Error::invalid(
            "extension",
            "is the app itself: an extension point is for others",
        ));
    }
    let difference = match fit(app, &point.name, extension) {
        Fit::Fits => return Ok((name.clone(), Target::Extension(extension.install))),
        Fit::Mismatch(difference) => difference,
        Fit::NoPoint | Fit::Other => format!(
            "{name} {} does not implement {}.",
            extension.version, point.interface
        ),
    };
    Err(Error::conflict(
        "point-mismatch",
        format!(
            "{name} does not fit {}/{}: {difference}",
            new.app, new.point
        ),
    ))
}
