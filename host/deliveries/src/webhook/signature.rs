//! Signatures as Standard Webhooks says: an endpoint that knows a key knows that a message is ours, whole, and of
//! now.

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

use crate::limits::SIGNATURES_MAX;

/// The value of the header `webhook-signature`: one signature for each key, so that an endpoint can change
/// its key without a gap. `timestamp` is that of the header `webhook-timestamp`, in seconds.
#[must_use]
pub fn sign(keys: &[Vec<u8>], id: &str, timestamp: u64, body: &[u8]) -> String {
    let signatures = keys.iter().take(SIGNATURES_MAX).map(|key| {
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("a key of any length will do");
        mac.update(format!("{id}.{timestamp}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    });
    signatures.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The secret of the specification's example, behind `whsec_`.
    const SECRET: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

    #[test]
    fn a_signature_is_that_of_the_specification() {
        let keys = [STANDARD.decode(SECRET).unwrap()];
        let (id, timestamp) = ("msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330);
        assert_eq!(
            sign(&keys, id, timestamp, br#"{"test": 2432232314}"#),
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn every_key_signs_up_to_a_bound() {
        let keys: Vec<_> = (0..SIGNATURES_MAX as u8 + 3).map(|n| vec![n; 24]).collect();
        let signatures = sign(&keys, "msg_1", 1, b"{}");
        let signatures: Vec<_> = signatures.split(' ').collect();
        assert_eq!(signatures.len(), SIGNATURES_MAX);
        for (key, signature) in keys.iter().zip(signatures) {
            assert_eq!(
                sign(std::slice::from_ref(key), "msg_1", 1, b"{}"),
                signature
            );
        }
    }
}
