//! Keys that sign what is sent to webhooks, as Standard Webhooks writes them: `whsec_` and base64. They must be
//! used, so that they are kept and not hashed; they leave the control plane once, to the one who made them, and
//! with the desired state to the data plane.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use rand::RngExt as _;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Bytes of a key: as many as a SHA-256 has, beyond which HMAC gains nothing.
const KEY_BYTES: usize = 32;

/// A key and when it was made.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SigningKey {
    /// The bytes in base64.
    key: String,
    /// Milliseconds since the Unix epoch.
    created_at: i64,
}

impl SigningKey {
    /// A new key of random bytes.
    pub(crate) fn generate(now: Timestamp) -> Self {
        let mut bytes = [0_u8; KEY_BYTES];
        rand::rng().fill(&mut bytes);
        Self {
            key: STANDARD.encode(bytes),
            created_at: now.millis(),
        }
    }

    /// The key as its owner keeps it.
    pub(crate) fn secret(&self) -> String {
        format!("whsec_{}", self.key)
    }

    /// The bytes that sign; `None` if what is stored is damaged.
    pub(crate) fn bytes(&self) -> Option<Vec<u8>> {
        STANDARD.decode(&self.key).ok()
    }

    /// When it was made.
    pub(crate) fn created_at(&self) -> Timestamp {
        Timestamp::from_millis(self.created_at)
    }
}

impl fmt::Debug for SigningKey {
    /// Without the key: descriptions end up in logs.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey")
            .field("created_at", &self.created_at())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_told_to_its_owner_alone() {
        let key = SigningKey::generate(Timestamp::from_millis(7));
        let secret = key.secret();
        let text = secret.strip_prefix("whsec_").unwrap();
        assert_eq!(STANDARD.decode(text).ok(), key.bytes());
        assert_eq!(key.bytes().map(|bytes| bytes.len()), Some(KEY_BYTES));
        assert!(!format!("{key:?}").contains(text));
        assert_ne!(key, SigningKey::generate(Timestamp::from_millis(7)));
    }
}
