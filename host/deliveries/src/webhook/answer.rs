//! What an endpoint answers: status, headers and body of a stranger.

use std::time::{Duration, SystemTime};

use chrono::DateTime;
use http::{HeaderMap, StatusCode, header};
use serde_json::{Map, Value};

use super::WebhookFailure;

/// What a status says.
///
/// # Errors
/// [`WebhookFailure`] for everything but success.
pub(crate) fn check_status(status: StatusCode, headers: &HeaderMap) -> Result<(), WebhookFailure> {
    if status.is_success() {
        return Ok(());
    }
    Err(match status {
        StatusCode::GONE => WebhookFailure::Gone,
        _ if status.is_redirection() => WebhookFailure::Redirect(status),
        _ => WebhookFailure::Status {
            status,
            retry_after: retry_after(headers, SystemTime::now()),
        },
    })
}

/// The result in the body of an answer: the member `result` of a JSON object.
///
/// # Errors
/// [`WebhookFailure::Answer`] says what is there instead.
pub(crate) fn result(body: &[u8]) -> Result<Value, WebhookFailure> {
    const EXPECTED: &str = r#"answer {"result": …} in JSON"#;
    let mut object: Map<String, Value> = serde_json::from_slice(body).map_err(|error| {
        WebhookFailure::Answer(format!("{EXPECTED}; it is no JSON object: {error}"))
    })?;
    object.remove("result").ok_or_else(|| {
        WebhookFailure::Answer(format!("{EXPECTED}; the object has no member `result`"))
    })
}

/// How long the endpoint wants to be left alone: in seconds or until a date (RFC 9110).
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = SystemTime::from(DateTime::parse_from_rfc2822(text).ok()?);
    Some(date.duration_since(now).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    fn asked(text: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(header::RETRY_AFTER, HeaderValue::from_str(text).unwrap());
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        retry_after(&headers, now)
    }

    #[test]
    fn a_pause_is_asked_for_in_seconds_or_by_a_date() {
        let seconds = |seconds| Some(Duration::from_secs(seconds));
        assert_eq!(asked("120"), seconds(120));
        assert_eq!(asked("Sun, 06 Nov 1994 08:50:37 GMT"), seconds(60));
        assert_eq!(asked("Sun, 06 Nov 1994 08:00:00 GMT"), seconds(0));
        for nonsense in ["", "soon", "-1", "1e9", "99999999999999999999999"] {
            assert_eq!(asked(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn a_result_may_be_null_and_must_be_there() {
        let body = br#"{"result": null, "trace": 7}"#;
        assert_eq!(result(body), Ok(Value::Null));
        for (body, word) in [
            (&b"{}"[..], "no member"),
            (b"", "no JSON object"),
            (b"[1]", "no JSON object"),
            (b"<html>", "no JSON object"),
            (b"{\"result\": 1} x", "no JSON object"),
            (b"\xff\xfe", "no JSON object"),
        ] {
            let error = result(body).unwrap_err().to_string();
            assert!(
                error.contains(word) && error.contains("{\"result\": …}"),
                "{error}"
            );
        }
        let deep = [b"{\"result\":".to_vec(), vec![b'['; 100_000]].concat();
        assert!(result(&deep).is_err());
    }

    proptest! {
        #[test]
        fn no_answer_breaks_the_host(body: Vec<u8>, text: String) {
            let _ = result(&body);
            let _ = result(text.as_bytes());
            if let Ok(value) = HeaderValue::from_str(&text) {
                let mut headers = HeaderMap::new();
                headers.insert(header::RETRY_AFTER, value);
                let _ = retry_after(&headers, SystemTime::now());
            }
        }
    }
}
