//! Bodies on their way in and out: request bodies counted and bounded, response bodies that drive the
//! guest which writes them, and that end with its time also where nobody reads them.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, Waker, ready},
    time::Duration,
};

use bytes::Bytes;
use cloudware_types::{Class, Dimension, Stop, StopCause};
use http_body::{Body, Frame, SizeHint};
use parking_lot::Mutex;
use tokio::{
    sync::oneshot,
    task::AbortHandle,
    time::{Instant, sleep_until},
};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    task::Task,
    unsent::{Expired, Unsent},
};

/// How long to wait for a body that is being read: as long as a guest has one turn.
const BUSY: Duration = Duration::from_millis(1);

/// A request body that ends with an error at its limit.
pub(crate) struct BoundedBody<B> {
    body: B,
    task: Arc<Task>,
    max: u64,
}

impl<B> BoundedBody<B> {
    /// The body of the request of a run.
    pub(crate) fn new(body: B, task: Arc<Task>, max: u64) -> Self {
        Self { body, task, max }
    }
}

impl<B> Body for BoundedBody<B>
where
    B: Body<Data = Bytes> + Unpin,
{
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        self.task.wants_request(polled.is_pending());
        let frame = match ready!(polled) {
            None => return Poll::Ready(None),
            Some(Ok(frame)) => frame,
            Some(Err(_)) => {
                self.task.caller_left();
                return Poll::Ready(Some(Err(Error::ConnectionTerminated)));
            }
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let progress = self.task.progress();
        let used = progress.add_request_bytes(length);
        if used > self.max {
            progress.stop(StopCause::limit(
                Dimension::RequestBytes,
                Class::Request,
                used,
                self.max,
            ));
            return Poll::Ready(Some(Err(Error::HttpRequestBodySize(Some(self.max)))));
        }
        Poll::Ready(Some(Ok(frame)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

impl<B> Drop for BoundedBody<B> {
    fn drop(&mut self) {
        self.task.wants_request(false);
    }
}

/// A body that says when it has been read to its end, or thrown away.
pub(crate) struct EndSignal {
    body: WasiBody,
    ended: Option<oneshot::Sender<()>>,
}

impl EndSignal {
    pub(crate) fn new(body: WasiBody, ended: oneshot::Sender<()>) -> Self {
        Self {
            body,
            ended: Some(ended),
        }
    }
}

impl Body for EndSignal {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        if frame.is_none() {
            self.ended = None;
        }
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The body of a guest's response.
pub struct GuestBody(Kind);

enum Kind {
    /// Nothing of it is still to be written.
    Whole(Unsent),
    Streamed(Streamed),
}

/// A body whose run may still go on. Whoever reads it drives the run, and may stop reading: what ends the run at its
/// deadline is a timer apart.
struct Streamed {
    shared: Arc<Mutex<Shared>>,
    timer: AbortHandle,
}

struct Shared {
    unsent: Unsent,
    /// Who waits for more of it.
    reader: Option<Waker>,
    /// Why there is no more of it.
    stopped: Option<Box<Stop>>,
}

impl GuestBody {
    /// A body of which no more is written after `deadline`.
    pub(crate) fn new(unsent: Unsent, deadline: Instant) -> Self {
        if unsent.is_whole() {
            return Self(Kind::Whole(unsent));
        }
        let shared = Arc::new(Mutex::new(Shared {
            unsent,
            reader: None,
            stopped: None,
        }));
        // Who throws the body away frees what it holds at once.
        let timed = Arc::downgrade(&shared);
        let timer = tokio::spawn(async move {
            let mut next = Some(deadline);
            while let Some(at) = next {
                sleep_until(at).await;
                next = timed.upgrade().and_then(|shared| Shared::expire(&shared));
            }
        });
        let timer = timer.abort_handle();
        Self(Kind::Streamed(Streamed { shared, timer }))
    }
}

impl Shared {
    /// Does what is due at the deadline. Gives when to look again, if at all.
    fn expire(this: &Mutex<Self>) -> Option<Instant> {
        let Some(mut shared) = this.try_lock() else {
            // Somebody reads, which may mean that the guest runs, and this thread does not wait for it.
            return Some(Instant::now() + BUSY);
        };
        match shared.unsent.expire() {
            Expired::Stopped(stop) => shared.stopped = Some(stop),
            Expired::Left => return None,
            Expired::LookAgain(at) => return Some(at),
        }
        let reader = shared.reader.take();
        drop(shared);
        if let Some(reader) = reader {
            reader.wake();
        }
        None
    }

    fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        if let Some(stop) = self.stopped.take() {
            return Poll::Ready(Some(Err(stop)));
        }
        let frame = self.unsent.poll_frame(cx);
        if frame.is_pending() {
            match &mut self.reader {
                Some(reader) => reader.clone_from(cx.waker()),
                None => self.reader = Some(cx.waker().clone()),
            }
        }
        frame
    }
}

impl Drop for Streamed {
    fn drop(&mut self) {
        self.timer.abort();
    }
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Box<Stop>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        match &mut self.0 {
            Kind::Whole(unsent) => unsent.poll_frame(cx),
            Kind::Streamed(streamed) => streamed.shared.lock().poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match &self.0 {
            Kind::Whole(unsent) => unsent.is_end(),
            Kind::Streamed(streamed) => {
                let shared = streamed.shared.lock();
                shared.stopped.is_none() && shared.unsent.is_end()
            }
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.0 {
            Kind::Whole(unsent) => unsent.size_hint(),
            Kind::Streamed(streamed) => streamed.shared.lock().unsent.size_hint(),
        }
    }
}
