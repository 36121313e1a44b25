//! Bounds on what a request may bring, each with its reason.

use std::time::Duration;

/// Bytes of a JSON body. The largest is an install's configuration, which is bounded to 64 KiB.
pub(crate) const JSON_BYTES_MAX: usize = 256 << 10;

/// Archives that are received or checked at the same time; each is held in memory while it is.
pub(crate) const UPLOADS_AT_ONCE_MAX: usize = 4;

/// Archives of one provider at the same time: half, so that slow uploads of one leave room for others.
pub(crate) const UPLOADS_OF_PROVIDER_MAX: usize = UPLOADS_AT_ONCE_MAX / 2;

/// When one whose upload was not taken is told to try again, in seconds. Most uploads take less.
pub(crate) const UPLOAD_RETRY_SECONDS: u32 = 10;

/// How long an upload may take. A full archive needs 110 kB/s; slower senders would keep others out.
pub(crate) const UPLOAD_TIME_MAX: Duration = Duration::from_secs(600);

/// How long an upload may pause. A slow line sends something in this time; an idle one gives its
/// place to others.
pub(crate) const UPLOAD_PAUSE_MAX: Duration = Duration::from_secs(30);

/// Bytes of the text of an error that a library found, which becomes the detail of a problem.
pub(crate) const DETAIL_BYTES_MAX: usize = 4_096;

/// Characters of what was refused that an error repeats: enough to find it again in a request.
pub(crate) const GIVEN_CHARACTERS_MAX: usize = 64;
