//! Hooks as callers see them. Keys of webhooks are not among what is shown.

use cloudware_control::{
    Hook, HookShown, Timestamp,
    hook::{Effect, Target},
};
use serde::Serialize;
use utoipa::ToSchema;

/// What fills an extension point of an app in an instance.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookView {
    /// Its id.
    id: String,
    /// The tenant.
    tenant: String,
    /// The instance.
    instance: String,
    /// The app that asks.
    app: String,
    /// Its extension point.
    point: String,
    /// The hook's name, unique on its point: the extension's app, or the webhook's own name.
    name: String,
    /// Its place among the hooks of the point, from 1.
    position: u32,
    /// `extension` or `webhook`.
    target: &'static str,
    /// The endpoint that is called, for webhooks.
    #[serde(skip_serializing_if = "Option::is_none")]
    webhook: Option<WebhookView>,
    /// Whether it is to be called.
    enabled: bool,
    /// `active`, or `shadow`: it runs beside the others, its result is compared and used for nothing.
    mode: &'static str,
    /// What was chosen for it; what is absent is what the point says.
    #[serde(flatten)]
    chosen: ChosenView,
    /// How it is called at present; absent if it is not: it, its app or its extension is disabled, a release was
    /// yanked, or the instance is suspended.
    #[serde(skip_serializing_if = "Option::is_none")]
    effect: Option<EffectView>,
    /// `active`; `tripped`, because too many of its last calls failed: it is not called, and its policy for failures
    /// holds; or `probing`: some calls try whether it works again.
    state: &'static str,
    /// Since when (RFC 3339); absent for one that was never anything else.
    #[serde(skip_serializing_if = "Option::is_none")]
    state_since: Option<String>,
    /// Calls that failed since its extension is at its release.
    failures: u64,
    /// The last of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_failure: Option<LastFailureView>,
    /// How it compared while it practised; absent for one that never did.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowView>,
    /// When it was registered (RFC 3339).
    created_at: String,
    /// Counts its changes; also its `ETag`.
    pub(super) revision: u64,
}

/// The last call that failed.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct LastFailureView {
    /// When (RFC 3339).
    at: String,
    /// Why.
    reason: String,
}

impl From<(Timestamp, String)> for LastFailureView {
    fn from((at, reason): (Timestamp, String)) -> Self {
        Self {
            at: at.to_string(),
            reason,
        }
    }
}

/// How the results of a hook compare with what was used.
#[derive(Debug, Serialize, ToSchema)]
struct ShadowView {
    /// How often they were compared.
    compared: u64,
    /// How often they differed.
    different: u64,
    /// Some of the differences, the newest first; empty in lists.
    differences: Vec<DifferenceView>,
}

/// A result that differs from what was used.
#[derive(Debug, Serialize, ToSchema)]
struct DifferenceView {
    /// When (RFC 3339).
    at: String,
    /// What was called.
    call: String,
    /// The arguments by the names of their parameters.
    arguments: serde_json::Value,
    /// What was used.
    expected: serde_json::Value,
    /// What the hook said. Of values that are very large, only the beginning is kept, as text.
    got: serde_json::Value,
}

/// What was chosen for a hook.
#[derive(Debug, Serialize, ToSchema)]
struct ChosenView {
    /// What happens when it fails: `refuse`, `skip`, `default` or `retry`.
    #[serde(skip_serializing_if = "Option::is_none")]
    on_failure: Option<&'static str>,
    /// Wall time of one call in milliseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    deadline_ms: Option<u64>,
    /// Fuel of one call, whatever its arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    /// Further fuel for each element of the lists in the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel_per_item: Option<u64>,
    /// Memory of one call in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
}

/// An HTTP endpoint that fills an extension point.
#[derive(Debug, Serialize, ToSchema)]
struct WebhookView {
    /// Where it is called.
    url: String,
    /// Version of the payload that it is sent.
    payload_version: u32,
    /// When each of its valid keys was made (RFC 3339), the newest first.
    keys: Vec<String>,
}

/// How a hook is called: what was chosen, or else what the point says, within the limits of the extension's install.
#[derive(Debug, Serialize, ToSchema)]
struct EffectView {
    /// What happens when it fails: `refuse`, `skip`, `default` or `retry`.
    on_failure: &'static str,
    /// Wall time of one call in milliseconds.
    deadline_ms: u64,
    /// Fuel of one call, whatever its arguments; absent for webhooks, which compute elsewhere.
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel: Option<u64>,
    /// Further fuel for each element of the lists in the arguments.
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel_per_item: Option<u64>,
    /// Fuel of one call at most, however many elements there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    fuel_max: Option<u64>,
    /// Memory of one call in bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    memory: Option<u64>,
}

/// A hook that was given a key.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct HookKeyedView {
    /// What is known of it from now on.
    #[serde(flatten)]
    pub(super) hook: HookView,
    /// The key that signs what the webhook is sent, as Standard Webhooks writes it. It is shown this once. Absent for
    /// extensions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) secret: Option<String>,
}

impl From<HookShown> for HookView {
    fn from(shown: HookShown) -> Self {
        let Hook { fields, target, .. } = shown.hook;
        let observed = shown.observed;
        let differences = shown
            .differences
            .into_iter()
            .map(|difference| DifferenceView {
                at: difference.at.to_string(),
                call: difference.call,
                arguments: difference.arguments,
                expected: difference.expected,
                got: difference.got,
            });
        let (kind, webhook) = match target {
            Target::Extension(_) => ("extension", None),
            Target::Webhook(webhook) => ("webhook", Some(webhook)),
        };
        Self {
            id: shown.hook.id.to_string(),
            tenant: shown.hook.tenant.to_string(),
            instance: shown.hook.instance.to_string(),
            app: shown.hook.app.to_string(),
            point: shown.hook.point.to_string(),
            name: shown.hook.name.to_string(),
            position: shown.hook.position,
            target: kind,
            webhook: webhook.map(|webhook| WebhookView {
                url: webhook.url,
                payload_version: webhook.payload_version,
                keys: webhook.keys.iter().map(ToString::to_string).collect(),
            }),
            enabled: shown.hook.is_enabled,
            mode: shown.hook.mode.name(),
            chosen: ChosenView {
                on_failure: fields.on_failure.map(|policy| policy.name()),
                deadline_ms: fields.deadline_ms,
                fuel: fields.fuel,
                fuel_per_item: fields.fuel_per_item,
                memory: fields.memory,
            },
            effect: shown.effect.map(EffectView::from),
            state: observed.state.name(),
            state_since: observed.changed_at.map(|time| time.to_string()),
            failures: observed.failures,
            last_failure: observed.last_failure.map(LastFailureView::from),
            shadow: (observed.compared > 0).then(|| ShadowView {
                compared: observed.compared,
                different: observed.different,
                differences: differences.collect(),
            }),
            created_at: shown.hook.created_at.to_string(),
            revision: shown.hook.revision,
        }
    }
}

impl From<Effect> for EffectView {
    fn from(effect: Effect) -> Self {
        let sandbox = effect.sandbox;
        Self {
            on_failure: effect.on_failure.name(),
            deadline_ms: effect.deadline_ms,
            fuel: sandbox.map(|sandbox| sandbox.fuel),
            fuel_per_item: sandbox.map(|sandbox| sandbox.fuel_per_item),
            fuel_max: sandbox.map(|sandbox| sandbox.fuel_max),
            memory: sandbox.map(|sandbox| sandbox.memory),
        }
    }
}
