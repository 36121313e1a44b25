//! Extension points and hooks: typed functions that an app calls and others fill. The kinds are data: what
//! each may do, when it runs and what happens when it fails is told by [`PointKind`] and [`OnFailure`].

use std::{fmt, str::FromStr, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{HookId, InstallId, Slug};

macro_rules! words {
    ($(#[$doc:meta])* $name:ident $what:literal { $($(#[$variant_doc:meta])* $variant:ident $word:literal,)* }) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum $name { $($(#[$variant_doc])* $variant,)* }

        impl $name {
            /// Every one, in order.
            pub const ALL: &'static [Self] = &[$(Self::$variant),*];

            /// The word in manifests, APIs and commands.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),* }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }

        impl FromStr for $name {
            type Err = UnknownWord;

            fn from_str(text: &str) -> Result<Self, UnknownWord> {
                Self::ALL.iter().copied().find(|one| one.name() == text).ok_or_else(|| UnknownWord {
                    what: $what,
                    text: text.chars().take(64).collect(),
                    known: &[$($word),*],
                })
            }
        }
    };
}

pub(crate) use words;

/// A text is none of the words that may stand there.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: use one of {}", known.join(", "))]
pub struct UnknownWord {
    pub(crate) what: &'static str,
    pub(crate) text: String,
    pub(crate) known: &'static [&'static str],
}

words! {
    /// What an extension point is for; decides what its functions look like, how several hooks on it work
    /// together, and what may happen when one fails.
    PointKind "kind of extension point" {
        /// Before a change is committed: allows or refuses. Every function returns `result<_, string>`, and the
        /// first refusal wins.
        Guard "guard",
        /// Gives a value. Every function returns `option<T>`; the first hook that gives one wins, and `none` means
        /// that the app uses its own default.
        Decide "decide",
        /// Changes a value. Every function takes it as the first parameter, of type `T`, and returns
        /// `result<T, string>`; hooks are chained, each is given what the one before made.
        Transform "transform",
        /// Is told after the commit. Functions return nothing; each hook is told on its own, later, at least
        /// once.
        Observe "observe",
    }
}

words! {
    /// What happens to the call of an extension point when a hook on it fails.
    OnFailure "policy for failures" {
        /// The call is refused, with a message that names the hook. For guards and transforms.
        Refuse "refuse",
        /// As if the hook were not there.
        Skip "skip",
        /// The app uses its own default, and no further hook is asked. For decisions.
        Default "default",
        /// It is told again later, with growing pauses, and then kept as a dead letter. For observers.
        Retry "retry",
    }
}

words! {
    /// Whether a hook decides or only practises.
    HookMode "mode of a hook" {
        /// Its result is used.
        Active "active",
        /// It runs beside the others on the same arguments; its result is compared, and used for nothing.
        Shadow "shadow",
    }
}

impl PointKind {
    /// What may happen when a hook on such a point fails; the first is what holds where nobody chose.
    #[must_use]
    pub fn policies(self) -> &'static [OnFailure] {
        match self {
            Self::Guard | Self::Transform => &[OnFailure::Refuse, OnFailure::Skip],
            Self::Decide => &[OnFailure::Default, OnFailure::Skip],
            Self::Observe => &[OnFailure::Retry, OnFailure::Skip],
        }
    }
}

/// An extension point of an install, with the hooks that the instance has on it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredPoint {
    /// The point's name in the app's manifest, for example `allocation`.
    pub name: Slug,
    /// The interface that the app imports and hooks export: `inventory:stock/allocation@1.0.0`.
    pub interface: Arc<str>,
    /// What it is for.
    pub kind: PointKind,
    /// The hooks that are enabled, in the order in which they are asked.
    pub hooks: Vec<DesiredHook>,
}

/// One hook as it should be called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredHook {
    /// The hook.
    pub id: HookId,
    /// What people call it: the extension's app name, or the webhook's own name.
    pub name: Arc<str>,
    /// What is called.
    pub target: HookTarget,
    /// Whether its result is used.
    pub mode: HookMode,
    /// What happens when it fails.
    pub on_failure: OnFailure,
    /// Wall time of one call, in milliseconds; the class limit `hook-deadline` of the install bounds it too.
    pub deadline_ms: u64,
    /// Fuel of one call, whatever its arguments; the class limit `hook-fuel` bounds the sum.
    pub fuel: u64,
    /// Further fuel for each element of the lists in the arguments.
    pub fuel_per_item: u64,
    /// Memory of one call in bytes, where somebody has set it; the class limit `hook-memory` bounds it too, or alone.
    pub memory: Option<u64>,
}

/// What a hook calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HookTarget {
    /// A component: another install of the same instance, which exports the interface.
    Install(InstallId),
    /// An HTTP endpoint of the tenant's.
    Webhook(Arc<Webhook>),
}

/// An HTTP endpoint that fills an extension point.
#[derive(Clone, PartialEq, Eq)]
pub struct Webhook {
    /// Where it is called; `https`, or `http` where the operator allows it.
    pub url: String,
    /// Keys that sign what is sent, the newest first, without `whsec_` and decoded (Standard Webhooks).
    pub keys: Vec<Vec<u8>>,
    /// Version of the payload that the endpoint was written for.
    pub payload_version: u32,
}

impl fmt::Debug for Webhook {
    /// Without the keys: descriptions end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("url", &self.url)
            .field("payload_version", &self.payload_version)
            .finish_non_exhaustive()
    }
}

/// An interface that an install imports from another app of the instance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DesiredCall {
    /// The interface as the install imports it.
    pub interface: Arc<str>,
    /// The install that exports it.
    pub install: InstallId,
}

words! {
    /// Whether a hook is called, by how it did before.
    BreakerState "state of a hook" {
        /// It is called.
        Active "active",
        /// Too many of its last calls failed: it is not called, and its policy for failures holds.
        Tripped "tripped",
        /// It was tripped, and some calls try whether it works again.
        Probing "probing",
    }
}

/// How a call of a hook ended.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum HookOutcome {
    /// With a value that is used.
    Answered,
    /// With a refusal, as guards and transforms may.
    Refused,
    /// With `none`: it has nothing to say.
    Abstained,
    /// Not at all: it trapped, reached a limit, gave an invalid value or could not be reached.
    Failed,
    /// It was not called: it was tripped, or the request's budget for hooks was used up.
    NotCalled,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_lead_back() {
        for &kind in PointKind::ALL {
            assert_eq!(kind.name().parse(), Ok(kind));
            assert!(!kind.policies().is_empty());
        }
        let error = "guards".parse::<PointKind>().unwrap_err().to_string();
        assert_eq!(
            error,
            "`guards` is no kind of extension point: use one of guard, decide, transform, observe"
        );
    }

    #[test]
    fn keys_are_not_described() {
        let webhook = Webhook {
            url: "https://example.com/hook".into(),
            keys: vec![b"secret-key".to_vec()],
            payload_version: 1,
        };
        assert!(!format!("{webhook:?}").contains("115"), "{webhook:?}");
    }
}
