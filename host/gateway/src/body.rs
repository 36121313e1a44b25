//! The body of whatever the gateway answers with.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use cloudware_engine::GuestBody;
use http_body::{Body, Frame, SizeHint};
use http_body_util::{Full, combinators::UnsyncBoxBody};

/// An error in the middle of a body; the connection is closed, so that the client sees it as broken off.
pub type BodyError = Box<dyn std::error::Error + Send + Sync>;

/// A response body.
pub enum GatewayBody {
    /// Written by a guest.
    Guest(GuestBody),
    /// Complete already.
    Whole(Full<Bytes>),
    /// From the platform's own API.
    Platform(UnsyncBoxBody<Bytes, BodyError>),
}

impl Body for GatewayBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        match self.get_mut() {
            Self::Guest(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|stop| BodyError::from(stop.explanation())),
            Self::Whole(body) => Pin::new(body)
                .poll_frame(cx)
                .map_err(|never| match never {}),
            Self::Platform(body) => Pin::new(body).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Guest(body) => body.is_end_stream(),
            Self::Whole(body) => body.is_end_stream(),
            Self::Platform(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Guest(body) => body.size_hint(),
            Self::Whole(body) => body.size_hint(),
            Self::Platform(body) => body.size_hint(),
        }
    }
}
