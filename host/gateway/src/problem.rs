//! Errors of the gateway as problem+json (RFC 9457).

use bytes::Bytes;
use cloudware_types::{Stop, StopCause};
use http::{HeaderValue, Response, StatusCode, header};
use http_body_util::Full;
use serde_json::{Map, Value, json};

use crate::{
    GatewayBody,
    routes::{NotServed, Site},
};

/// One problem, to be sent.
pub(crate) struct Problem {
    kind: &'static str,
    status: StatusCode,
    title: &'static str,
    detail: String,
    members: Map<String, Value>,
    retry_after_seconds: Option<u32>,
}

impl Problem {
    fn new(kind: &'static str, status: StatusCode, title: &'static str, detail: String) -> Self {
        Self {
            kind,
            status,
            title,
            detail,
            members: Map::new(),
            retry_after_seconds: None,
        }
    }

    pub(crate) fn unknown_host(host: Option<&str>) -> Self {
        let (status, detail) = match host {
            Some(host) => (
                StatusCode::NOT_FOUND,
                format!(
                    "No site is served at the host `{}`. Sites have the form <tenant>.<domain>, or the path /t/<tenant>/<instance>/.",
                    shorten(host)
                ),
            ),
            None => (
                StatusCode::BAD_REQUEST,
                "The request names no host: send a Host header (RFC 9112, 3.2).".to_owned(),
            ),
        };
        Self::new("unknown-host", status, "Unknown host", detail)
    }

    pub(crate) fn several_hosts() -> Self {
        Self::new(
            "several-hosts",
            StatusCode::BAD_REQUEST,
            "Several hosts",
            "The request has several Host headers: send one (RFC 9112, 3.2).".to_owned(),
        )
    }

    pub(crate) fn unknown_site(name: &str) -> Self {
        let detail = format!("There is no site `{}`.", shorten(name));
        Self::new(
            "unknown-site",
            StatusCode::NOT_FOUND,
            "Unknown site",
            detail,
        )
    }

    pub(crate) fn unknown_path(site: &Site, path: &str) -> Self {
        let detail = format!(
            "No app of {}/{} answers the path `{}`.",
            site.tenant,
            site.instance,
            shorten(path)
        );
        Self::new("unknown-path", StatusCode::NOT_FOUND, "No app here", detail)
    }

    pub(crate) fn unavailable(site: &Site, why: &str) -> Self {
        let detail = format!("{}/{} is not served: {why}.", site.tenant, site.instance);
        Self {
            retry_after_seconds: Some(60),
            ..Self::new(
                "unavailable",
                StatusCode::SERVICE_UNAVAILABLE,
                "Not served at the moment",
                detail,
            )
        }
    }

    pub(crate) fn not_served(site: &Site, why: &NotServed) -> Self {
        let NotServed::Yanked {
            app,
            version,
            reason,
        } = why
        else {
            return Self::unavailable(
                site,
                "the app can't be started; the operator's log says why",
            );
        };
        let (tenant, instance) = (&site.tenant, &site.instance);
        // Waiting does not help; only people can choose another version.
        Self::new(
            "release-yanked",
            StatusCode::SERVICE_UNAVAILABLE,
            "The release was taken out of service",
            format!(
                "{app} {version} was yanked by its provider ({reason}) and is not served any more. \
                 The data is kept. Whoever manages {tenant}/{instance} can change to another version: \
                 `cloudware install upgrade {tenant}/{instance} {app}`."
            ),
        )
    }

    pub(crate) fn stopped(stop: &Stop) -> Self {
        let status = StatusCode::from_u16(stop.http_status())
            .expect("the table of statuses holds valid ones");
        let (title, retry_after_seconds) = match &stop.cause {
            StopCause::Limit { .. } if stop.is_of_host => ("The host is busy", retry_after(stop)),
            StopCause::Limit { .. } => ("A limit was reached", retry_after(stop)),
            StopCause::Trap { .. } => ("The app failed", None),
            StopCause::NoResponse { .. } => ("The app gave no valid response", None),
            StopCause::Overloaded {
                retry_after_seconds,
            } => ("The host is busy", Some(*retry_after_seconds)),
        };
        let mut members = match serde_json::to_value(stop) {
            Ok(Value::Object(members)) => members,
            _ => Map::new(),
        };
        members.retain(|_, value| !value.is_null());
        if let Some(unit) = stop.unit() {
            members.insert("unit".to_owned(), json!(unit));
        }
        Self {
            members,
            retry_after_seconds,
            ..Self::new(stop.kind(), status, title, stop.explanation())
        }
    }

    pub(crate) fn into_response(self, request_id: &str) -> Response<GatewayBody> {
        let mut document = self.members;
        document.insert("type".to_owned(), json!(format!("/problems/{}", self.kind)));
        document.insert("title".to_owned(), json!(self.title));
        document.insert("status".to_owned(), json!(self.status.as_u16()));
        document.insert("detail".to_owned(), json!(self.detail));
        document.insert("request_id".to_owned(), json!(request_id));
        let body = Bytes::from(Value::Object(document).to_string());
        let mut response = Response::new(GatewayBody::Whole(Full::new(body)));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after_seconds {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

/// Whole seconds until there may be room again; one where it is not known how soon others make room.
fn retry_after(stop: &Stop) -> Option<u32> {
    let resets = stop.resets_in_ms.map(|ms| ms.div_ceil(1_000).max(1));
    let waits = stop.http_status() == 429;
    resets
        .map(|seconds| u32::try_from(seconds).unwrap_or(u32::MAX))
        .or(waits.then_some(1))
}

/// What a stranger sent, short enough to be repeated in an answer.
fn shorten(text: &str) -> String {
    text.chars().take(100).collect()
}
