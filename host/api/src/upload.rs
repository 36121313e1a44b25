//! Receiving an archive: bounded before it is buffered, in a place that no provider can take from all others, and
//! given up when it stalls.

use std::{
    collections::{HashMap, hash_map::Entry},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use axum::body::Body;
use base64::{Engine, engine::general_purpose::STANDARD};
use bytes::{Bytes, BytesMut};
use cloudware_control::{Error, Provider};
use cloudware_packages::limits::ARCHIVE_BYTES_MAX;
use cloudware_types::{Digest, ProviderId};
use futures_util::StreamExt;
use http::{HeaderMap, HeaderName, header};

use crate::{
    limits::{UPLOAD_PAUSE_MAX, UPLOAD_TIME_MAX, UPLOADS_AT_ONCE_MAX, UPLOADS_OF_PROVIDER_MAX},
    problem::ApiError,
};

/// Digests of the body (RFC 9530).
const CONTENT_DIGEST: HeaderName = HeaderName::from_static("content-digest");

/// An archive that was received. It keeps its place among the uploads for as long as it exists, so
/// that archives that wait for being checked are bounded too.
pub(crate) struct Upload {
    pub(crate) archive: Bytes,
    _place: Place,
}

/// The uploads that are under way.
#[derive(Default)]
pub(crate) struct Uploads {
    /// How many each provider has; those with none are left out.
    by_provider: Mutex<HashMap<ProviderId, usize>>,
}

/// One of the places for uploads.
struct Place {
    uploads: Arc<Uploads>,
    provider: ProviderId,
}

impl Uploads {
    /// A place, or else a refusal at once: a body that waits would hold its connection.
    fn take(self: &Arc<Self>, provider: &Provider) -> Result<Place, ApiError> {
        let mut by_provider = self.lock();
        let own = by_provider.get(&provider.id).copied().unwrap_or_default();
        if own >= UPLOADS_OF_PROVIDER_MAX {
            return Err(ApiError::UploadsBusy(format!(
                "{own} uploads of the provider `{}` are under way, and it may have {UPLOADS_OF_PROVIDER_MAX} at the \
                 same time: push again when one has ended",
                provider.slug
            )));
        }
        let all: usize = by_provider.values().sum();
        if all >= UPLOADS_AT_ONCE_MAX {
            return Err(ApiError::UploadsBusy(format!(
                "{all} uploads of other providers are under way, which is all that the platform takes at the same \
                 time: push again when one has ended"
            )));
        }
        by_provider.insert(provider.id, own + 1);
        Ok(Place {
            uploads: Arc::clone(self),
            provider: provider.id,
        })
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ProviderId, usize>> {
        self.by_provider
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut by_provider = self.uploads.lock();
        if let Entry::Occupied(mut own) = by_provider.entry(self.provider) {
            *own.get_mut() -= 1;
            if *own.get() == 0 {
                own.remove();
            }
        }
    }
}

/// Reads a body of at most [`ARCHIVE_BYTES_MAX`] bytes. A longer one is refused at once where its
/// length is announced, and otherwise as soon as it is exceeded.
pub(crate) async fn receive(
    uploads: &Arc<Uploads>,
    provider: &Provider,
    headers: &HeaderMap,
    body: Body,
) -> Result<Upload, ApiError> {
    let announced = headers
        .get(header::CONTENT_LENGTH)
        .and_then(|value| value.to_str().ok()?.parse::<u64>().ok());
    if announced.is_some_and(|length| length > ARCHIVE_BYTES_MAX) {
        return Err(too_large());
    }
    let place = uploads.take(provider)?;
    let received = tokio::time::timeout(UPLOAD_TIME_MAX, read(body)).await;
    let archive = received.map_err(|_| {
        let seconds = UPLOAD_TIME_MAX.as_secs();
        ApiError::Upload(format!("it took longer than {seconds} s"))
    })??;
    Ok(Upload {
        archive,
        _place: place,
    })
}

async fn read(body: Body) -> Result<Bytes, ApiError> {
    let mut received = BytesMut::new();
    let mut chunks = body.into_data_stream();
    loop {
        let next = tokio::time::timeout(UPLOAD_PAUSE_MAX, chunks.next()).await;
        let chunk = next.map_err(|_| {
            let seconds = UPLOAD_PAUSE_MAX.as_secs();
            ApiError::Upload(format!("nothing arrived for {seconds} s"))
        })?;
        let Some(chunk) = chunk else {
            return Ok(received.freeze());
        };
        let chunk = chunk.map_err(|error| ApiError::Upload(error.to_string()))?;
        // What a stranger sends is bounded here, before it is kept.
        if (received.len() + chunk.len()) as u64 > ARCHIVE_BYTES_MAX {
            return Err(too_large());
        }
        received.extend_from_slice(&chunk);
    }
}

fn too_large() -> ApiError {
    ApiError::TooLarge {
        bytes_max: ARCHIVE_BYTES_MAX,
    }
}

/// The SHA-256 that the sender declares, if any; other algorithms are passed over.
pub(crate) fn declared_digest(headers: &HeaderMap) -> Result<Option<Digest>, ApiError> {
    let wrong = || {
        Error::invalid(
            "content-digest",
            "must have the form `sha-256=:<base64 of 32 bytes>:`",
        )
    };
    let Some(value) = headers.get(CONTENT_DIGEST) else {
        return Ok(None);
    };
    let value = value.to_str().map_err(|_| wrong())?;
    for member in value.split(',') {
        let (algorithm, digest) = member.trim().split_once('=').ok_or_else(wrong)?;
        if !algorithm.eq_ignore_ascii_case("sha-256") {
            continue;
        }
        let base64 = digest
            .strip_prefix(':')
            .and_then(|text| text.strip_suffix(':'));
        let bytes = base64.and_then(|text| STANDARD.decode(text).ok());
        let bytes: [u8; 32] = bytes.and_then(|b| b.try_into().ok()).ok_or_else(wrong)?;
        return Ok(Some(Digest::from_bytes(bytes)));
    }
    Ok(None)
}
