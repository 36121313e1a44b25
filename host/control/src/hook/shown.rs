//! Looking at hooks: what was chosen for each, how it is called at present, and what was seen of it.

use std::collections::HashMap;

use cloudware_types::{
    Class, DesiredInstance, Dimension, HookId, HookTarget, InstanceId, OnFailure,
};

use super::{Difference, Hook, Observed, find};
use crate::{Call, Control, Error, Page, PageRequest, desired, instance, store};

/// A hook and how it is called.
#[derive(Clone, Debug)]
pub struct HookShown {
    /// The hook.
    pub hook: Hook,
    /// How it is called at present; `None` if it is not: it, its app or its extension is disabled, a release was
    /// yanked, or the instance is suspended.
    pub effect: Option<Effect>,
    /// What was seen of it.
    pub observed: Observed,
    /// Where it differed while it practised, the newest first; empty in lists.
    pub differences: Vec<Difference>,
}

/// How a hook is called: what was chosen, or else what the point's manifest says, within the limits of the
/// extension's install.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effect {
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Wall time of one call in milliseconds.
    pub deadline_ms: u64,
    /// What it may compute with; `None` for webhooks.
    pub sandbox: Option<EffectInSandbox>,
}

/// What one call of an extension may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct EffectInSandbox {
    /// Fuel, whatever the arguments.
    pub fuel: u64,
    /// Further fuel for each element of the lists in the arguments.
    pub fuel_per_item: u64,
    /// Fuel, whatever the arguments and however many elements.
    pub fuel_max: u64,
    /// Memory in bytes.
    pub memory: u64,
}

impl From<Hook> for HookShown {
    /// A hook that is not called.
    fn from(hook: Hook) -> Self {
        Self {
            hook,
            effect: None,
            observed: Observed::default(),
            differences: Vec::new(),
        }
    }
}

/// An instance's hooks, in order of apps, points and positions.
///
/// # Errors
/// [`Error::NotFound`] for tenant or instance; [`Error::Invalid`] for a cursor that leads nowhere any more.
pub async fn list(
    control: &Control,
    call: &Call,
    (tenant, instance): (&str, &str),
    page: &PageRequest,
) -> Result<Page<HookShown>, Error> {
    let mut db = control.store.read().await?;
    let (_, instance) = instance::find(&mut db, call, tenant, instance).await?;
    drop(db);
    let hooks = of_instance(control, instance.id).await?;
    page.page_of(hooks, |shown| shown.hook.id.to_string())
}

/// One hook, by id or `app.point.name`.
///
/// # Errors
/// [`Error::NotFound`].
pub async fn get(
    control: &Control,
    call: &Call,
    (tenant, instance): (&str, &str),
    name: &str,
) -> Result<HookShown, Error> {
    let mut db = control.store.read().await?;
    let (_, instance) = instance::find(&mut db, call, tenant, instance).await?;
    drop(db);
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let hook = find(&mut db, instance.id, name).await?;
    let observed = store::hook_observation::get(&mut db, hook.id).await?;
    let differences = store::hook_observation::differences(&mut db, hook.id).await?;
    drop(db);
    Ok(HookShown {
        effect: effects(control, instance.id).await?.remove(&hook.id),
        hook,
        observed,
        differences,
    })
}

/// All hooks of an instance, in order.
pub(crate) async fn of_instance(
    control: &Control,
    instance: InstanceId,
) -> Result<Vec<HookShown>, Error> {
    control.data_plane.flush_stops().await;
    let mut db = control.store.read().await?;
    let hooks = store::hook::of_instance(&mut db, instance).await?;
    let mut observed = store::hook_observation::of_instance(&mut db, instance).await?;
    drop(db);
    let mut effects = effects(control, instance).await?;
    let shown = hooks.into_iter().map(|hook| HookShown {
        effect: effects.remove(&hook.id),
        observed: observed.remove(&hook.id).unwrap_or_default(),
        differences: Vec::new(),
        hook,
    });
    Ok(shown.collect())
}

/// How the hooks of an instance are called, for those that are.
async fn effects(
    control: &Control,
    instance: InstanceId,
) -> Result<HashMap<HookId, Effect>, Error> {
    let Some(instance) = desired::one(control, instance).await? else {
        return Ok(HashMap::new());
    };
    Ok(effects_in(&instance))
}

fn effects_in(instance: &DesiredInstance) -> HashMap<HookId, Effect> {
    let limits: HashMap<_, _> = instance
        .installs
        .iter()
        .map(|install| (install.id, &install.limits))
        .collect();
    let points = instance.installs.iter().flat_map(|install| &install.points);
    let hooks = points.flat_map(|point| &point.hooks);
    hooks
        .filter_map(|hook| {
            let mut effect = Effect {
                on_failure: hook.on_failure,
                deadline_ms: hook.deadline_ms,
                sandbox: None,
            };
            if let HookTarget::Install(install) = &hook.target {
                let limits = limits.get(install)?;
                let limit = |dimension: Dimension| limits.get(dimension.of(Class::Hook));
                effect.deadline_ms = hook.deadline_ms.min(limit(Dimension::Deadline));
                effect.sandbox = Some(EffectInSandbox {
                    fuel: hook.fuel.min(limit(Dimension::Fuel)),
                    fuel_per_item: hook.fuel_per_item,
                    fuel_max: limit(Dimension::Fuel),
                    memory: hook.memory.map_or(limit(Dimension::Memory), |own| {
                        own.min(limit(Dimension::Memory))
                    }),
                });
            }
            Some((hook.id, effect))
        })
        .collect()
}
