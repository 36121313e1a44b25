//! Typed ids: a UUIDv7 (RFC 9562) behind a prefix that names what it identifies, for example
//! `ten_0192f0c1a2b37c4d8e9fa0b1c2d3e4f5`. Sortable by creation time; unique without coordination.

use std::{fmt, hash::Hash, marker::PhantomData, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// What an [`Id`] identifies; implemented by the marker types of this module only.
pub trait IdKind: Copy + Eq + Ord + Hash + fmt::Debug + Send + Sync + 'static {
    /// The text before the underscore, three letters.
    const PREFIX: &'static str;
}

/// An id of one kind. Displays as `<prefix>_<32 hex digits>`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Id<K: IdKind>(Uuid, PhantomData<K>);

/// Why a text is not an id of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not an id of the form {prefix}_<32 hexadecimal digits>")]
pub struct IdError {
    text: String,
    prefix: &'static str,
}

impl<K: IdKind> Id<K> {
    /// A new id that sorts after every id generated earlier on this host.
    #[must_use]
    pub fn generate() -> Self {
        Self(Uuid::now_v7(), PhantomData)
    }

    /// The id from the bytes that [`Self::to_bytes`] gave.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes), PhantomData)
    }

    /// The id without its prefix, for records of fixed size.
    #[must_use]
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }
}

impl<K: IdKind> fmt::Display for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}_{}", K::PREFIX, self.0.as_simple())
    }
}

impl<K: IdKind> fmt::Debug for Id<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl<K: IdKind> FromStr for Id<K> {
    type Err = IdError;

    fn from_str(text: &str) -> Result<Self, IdError> {
        let wrong = || IdError {
            text: text.chars().take(64).collect(),
            prefix: K::PREFIX,
        };
        let hex = text
            .strip_prefix(K::PREFIX)
            .and_then(|rest| rest.strip_prefix('_'))
            .filter(|hex| hex.len() == 32 && !hex.contains('-'))
            .ok_or_else(wrong)?;
        let uuid = Uuid::try_parse(hex).map_err(|_| wrong())?;
        Ok(Self(uuid, PhantomData))
    }
}

impl<K: IdKind> Serialize for Id<K> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de, K: IdKind> Deserialize<'de> for Id<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

macro_rules! id_kinds {
    ($($(#[$doc:meta])* $kind:ident = $prefix:literal => $alias:ident;)*) => {
        /// The marker types behind the id aliases.
        pub mod kind {
            $(
                #[doc = concat!("Marker of ids with the prefix `", $prefix, "_`.")]
                #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
                pub struct $kind;
                impl super::IdKind for $kind {
                    const PREFIX: &'static str = $prefix;
                }
            )*
        }
        $($(#[$doc])* pub type $alias = Id<kind::$kind>;)*
    };
}

id_kinds! {
    /// Id of a provider (an organisation that publishes products).
    Provider = "prv" => ProviderId;
    /// Id of a product (a provider's line of apps).
    Product = "prd" => ProductId;
    /// Id of a tenant (a customer organisation).
    Tenant = "ten" => TenantId;
    /// Id of a plan (a named set of quotas).
    Plan = "pln" => PlanId;
    /// Id of an app (one independently versioned component package).
    App = "app" => AppId;
    /// Id of a release (an immutable version of an app).
    Release = "rel" => ReleaseId;
    /// Id of an instance (a tenant's running copy of a product).
    Instance = "ins" => InstanceId;
    /// Id of an install (one app enabled in one instance).
    Install = "inl" => InstallId;
    /// Id of a hook (one implementation registered on an extension point of an instance).
    Hook = "hok" => HookId;
    /// Id of a delivery (what one hook is owed of one call of an observe point).
    Delivery = "dlv" => DeliveryId;
    /// Id of a recording (invocations of an install, to be run again elsewhere).
    Recording = "rec" => RecordingId;
    /// Id of an access token; not a secret.
    Token = "tok" => TokenId;
    /// Id of an audit entry.
    Audit = "aud" => AuditId;
    /// Id of a record of stops.
    Stop = "stp" => StopId;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_survives_text() {
        let id = TenantId::generate();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(TenantId::from_bytes(id.to_bytes()), id);
    }

    #[test]
    fn an_id_of_another_kind_is_refused() {
        let id = ProviderId::generate().to_string();
        assert!(id.parse::<TenantId>().is_err());
        assert!("ten_".parse::<TenantId>().is_err());
        assert!("ten_xyz".parse::<TenantId>().is_err());
    }

    #[test]
    fn later_ids_sort_later() {
        let (a, b) = (TenantId::generate(), TenantId::generate());
        assert!(a < b && a.to_string() < b.to_string());
    }
}
