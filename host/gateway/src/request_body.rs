//! The body of a request on its way in. A connection whose request was answered before all of a long body had come is
//! closed behind the answer, and the client is to know it beforehand: else it may have sent its next request already
//! (RFC 9112, section 9.6). A short one has come with its head, and is thrown away where nobody took it.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, header};
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::limits::SHORT_BYTES_MAX;

/// A request's body, which notes when all of it has come.
#[derive(Debug)]
pub struct RequestBody {
    body: Incoming,
    /// None where nothing is to come, or so little that it has come.
    coming: Option<Arc<AtomicBool>>,
}

/// Whether more of a request's body is to come.
#[derive(Debug)]
pub(crate) struct Coming(Option<Arc<AtomicBool>>);

/// The request with a body that is watched.
pub(crate) fn watch(request: Request<Incoming>) -> (Request<RequestBody>, Coming) {
    let body = request.body();
    let is_short = body
        .size_hint()
        .upper()
        .is_some_and(|bytes| bytes <= SHORT_BYTES_MAX);
    let coming = match is_short || body.is_end_stream() {
        true => None,
        false => Some(Arc::new(AtomicBool::new(true))),
    };
    let watched = coming.clone();
    let request = request.map(|body| RequestBody {
        body,
        coming: watched,
    });
    (request, Coming(coming))
}

impl Coming {
    /// Tells the client that the connection ends with this answer, where it does.
    pub(crate) fn tell(&self, answer: &mut HeaderMap) {
        let coming = self.0.as_ref();
        if coming.is_some_and(|coming| coming.load(Ordering::Relaxed)) {
            answer.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if let Some(coming) = &self.coming
            && (frame.is_none() || self.body.is_end_stream())
        {
            coming.store(false, Ordering::Relaxed);
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
