//! Key-value data as the request asks for it.

use cloudware_sdk::{
    http::{IntoResponse, Problem, Request, Response, Status},
    kv::{self, Bucket, Change, Expected},
};
use serde_json::json;

use crate::{number, refusal, statements::storage_kind};

/// The most bytes of a value that the guest reads from a request.
const VALUE_BYTES_MAX: usize = 16 << 20;

/// What a key operation ends with when it is not answered.
enum Failed {
    Request(Problem),
    Refused(kv::Error),
}

impl From<kv::Error> for Failed {
    fn from(error: kv::Error) -> Self {
        Self::Refused(error)
    }
}

impl IntoResponse for Failed {
    fn into_response(self) -> Response {
        let error = match self {
            Self::Request(problem) => return problem.into_response(),
            Self::Refused(error) => error,
        };
        let kind = match &error {
            kv::Error::InvalidName(_) => "invalid-name",
            kv::Error::ValueTooLarge { .. } => "value-too-large",
            kv::Error::Conflict { .. } => "conflict",
            kv::Error::NotANumber => "not-a-number",
            kv::Error::Storage(failure) => storage_kind(*failure),
            _ => "other",
        };
        refusal(kind, error.to_string())
    }
}

fn bucket(request: &Request) -> Result<Bucket, Failed> {
    Ok(Bucket::open(request.param("bucket"))?)
}

/// Answers the value as the body and the version as `ETag`.
pub fn get(request: Request) -> impl IntoResponse {
    match bucket(&request)?.get(request.param("key"))? {
        Some(entry) => Ok(Response::new(Status::OK)
            .with_header("etag", format!("\"{}\"", entry.version))
            .with_body(entry.value)),
        None => Err(Failed::Request(Problem::new(
            Status::NOT_FOUND,
            "no-such-key",
        ))),
    }
}

/// Sets the key to the body; by compare-and-set where `If-Match` gives a version.
pub fn set(request: Request) -> impl IntoResponse {
    let value = request
        .body(VALUE_BYTES_MAX)
        .map_err(|error| Failed::Request(error.into()))?;
    let expected = request
        .header("if-match")
        .and_then(|version| version.trim_matches('"').parse().ok());
    let (bucket, key) = (bucket(&request)?, request.param("key"));
    let version = match expected {
        None => bucket.set(key, &value)?,
        Some(0) => bucket.compare_and_set(key, Expected::Absent, &value)?,
        Some(version) => bucket.compare_and_set(key, Expected::Version(version), &value)?,
    };
    Ok::<_, Failed>(Response::json(&json!({"version": version})))
}

/// Removes the key.
pub fn delete(request: Request) -> impl IntoResponse {
    let existed = bucket(&request)?.delete(request.param("key"))?;
    Ok::<_, Failed>(Response::json(&json!({"existed": existed})))
}

/// Adds to the number at the key.
pub fn increment(request: Request) -> impl IntoResponse {
    let by = request
        .query("by")
        .and_then(|by| by.parse().ok())
        .unwrap_or(1);
    let sum = bucket(&request)?.increment(request.param("key"), by)?;
    Ok::<_, Failed>(Response::json(&json!({"value": sum})))
}

/// Lists keys.
pub fn list(request: Request) -> impl IntoResponse {
    let limit = number(&request, "limit").unwrap_or(100);
    let page = bucket(&request)?.list_keys(
        &request.query("prefix").unwrap_or_default(),
        request.query("after").as_deref(),
        u32::try_from(limit).unwrap_or(u32::MAX),
    )?;
    Ok::<_, Failed>(Response::json(
        &json!({"keys": page.keys, "next": page.next}),
    ))
}

/// Writes ever more keys, one after the other or several at once.
pub fn flood(request: Request) -> impl IntoResponse {
    let count = number(&request, "count").unwrap_or(u64::MAX);
    let bytes = number(&request, "bytes").unwrap_or(1_024);
    let at_once = number(&request, "at-once").unwrap_or(1).max(1);
    let value = vec![b'x'; usize::try_from(bytes).unwrap_or(usize::MAX)];
    let bucket = bucket(&request)?;
    for first in (0..count).step_by(usize::try_from(at_once).unwrap_or(usize::MAX)) {
        if at_once == 1 {
            bucket.set(&format!("flood-{first}"), &value)?;
            continue;
        }
        let last = first.saturating_add(at_once).min(count);
        let change = |index| Change::Set {
            key: format!("flood-{index}"),
            value: value.clone(),
        };
        bucket.write_many((first..last).map(change).collect())?;
    }
    Ok::<_, Failed>(Response::json(&json!({"written": count})))
}

/// Calls a host function again and again.
pub fn host_calls(request: Request) -> impl IntoResponse {
    let count = number(&request, "count").unwrap_or(u64::MAX);
    let bucket = Bucket::open("calls")?;
    for _ in 0..count {
        bucket.exists("absent")?;
    }
    Ok::<_, Failed>(Response::json(&json!({"called": count})))
}

/// Sets a key and gets it.
pub fn set_and_get() {
    let bucket = Bucket::open("counted").expect("a bucket");
    bucket.set("key", b"value").expect("the key is set");
    drop(bucket.get("key").expect("the key is read"));
}
