//! Bodies on their way in and out: request bodies counted and bounded, response bodies that drive the
//! guest which writes them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use cloudware_capability::Progress;
use cloudware_types::{Class, Dimension, Meter, Meters, Stop, StopCause};
use http_body::{Body, Frame, SizeHint};
use tokio::{
    sync::oneshot,
    time::{Sleep, sleep},
};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    BoundInstall,
    admission::Permit,
    limits::ANSWER_BURST_BYTES,
    pace::Turn,
    serve::{Conversation, RequestId},
};

/// A request body that ends with an error at its limit.
pub(crate) struct BoundedBody<B> {
    body: B,
    progress: Arc<Progress>,
    max: u64,
}

impl<B> BoundedBody<B> {
    pub(crate) fn new(body: B, progress: Arc<Progress>, max: u64) -> Self {
        Self {
            body,
            progress,
            max,
        }
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
        let frame = match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            None => return Poll::Ready(None),
            Some(Ok(frame)) => frame,
            Some(Err(_)) => return Poll::Ready(Some(Err(Error::ConnectionTerminated))),
        };
        let length = frame.data_ref().map_or(0, |data| data.len() as u64);
        let used = self.progress.add_request_bytes(length);
        if used > self.max {
            self.progress.stop(StopCause::limit(
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
pub struct GuestBody {
    /// Frames that were ready before the response head was sent.
    ready: VecDeque<Frame<Bytes>>,
    /// What the guest has still to write, if anything.
    rest: Option<Box<Streaming>>,
    /// Why the body broke off while it was filled; said after what was ready.
    broken: Option<String>,
    sent: u64,
    /// How much of what was sent is metered.
    metered: u64,
    max: u64,
    install: Arc<BoundInstall>,
    /// The run counts as running until its answer is sent.
    permit: Option<Permit>,
    /// The instance has sent more than its rate allows: nothing leaves before then.
    pause: Option<Pin<Box<Sleep>>>,
    /// Bytes that were given since the last turn.
    burst: u64,
    /// The turn that it waits for.
    turn: Option<Arc<Turn>>,
    request_id: RequestId,
}

/// A body that is still being written.
pub(crate) struct Streaming {
    pub(crate) body: WasiBody,
    /// The run that writes it; gone when it has ended before its body was read.
    pub(crate) conversation: Option<Conversation>,
}

impl Streaming {
    /// Whether the run that writes it was stopped, and has not been seen to end.
    fn broke_off(&self) -> bool {
        let conversation = self.conversation.as_ref();
        conversation.is_some_and(Conversation::broke_off)
    }
}

impl GuestBody {
    pub(crate) fn new(
        install: Arc<BoundInstall>,
        permit: Option<Permit>,
        request_id: RequestId,
    ) -> Self {
        let wait = install.admission.send(0);
        Self {
            ready: VecDeque::new(),
            rest: None,
            broken: None,
            sent: 0,
            max: install.limits.get(Dimension::ResponseBytes),
            install,
            permit,
            pause: wait.map(|wait| Box::pin(sleep(wait))),
            burst: 0,
            turn: None,
            request_id,
            metered: 0,
        }
    }

    /// The id of the request that it answers.
    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Why the body broke off while it was filled, if it did.
    pub(crate) fn take_broken(&mut self) -> Option<String> {
        self.broken.take()
    }

    /// Takes what can be had of the body without waiting. A body that ends within that is sent with
    /// its length, in one piece.
    pub(crate) fn fill(&mut self, mut rest: Streaming, cx: &mut Context<'_>) {
        let mut data = BytesMut::new();
        let mut only: Option<Bytes> = None;
        loop {
            match Pin::new(&mut rest.body).poll_frame(cx) {
                Poll::Ready(Some(Ok(frame))) => match frame.into_data() {
                    Ok(bytes) if only.is_none() && data.is_empty() => only = Some(bytes),
                    Ok(bytes) => {
                        if let Some(first) = only.take() {
                            data.extend_from_slice(&first);
                        }
                        data.extend_from_slice(&bytes);
                    }
                    Err(trailers) => {
                        self.push_data(only.take(), &mut data);
                        self.ready.push_back(trailers);
                    }
                },
                Poll::Ready(None) => {
                    self.push_data(only.take(), &mut data);
                    if rest.conversation.is_some() {
                        self.rest = Some(Box::new(rest));
                    }
                    return;
                }
                Poll::Ready(Some(Err(error))) => {
                    self.push_data(only.take(), &mut data);
                    self.broken = Some(broken(&error));
                    return;
                }
                Poll::Pending => {
                    self.push_data(only.take(), &mut data);
                    self.rest = Some(Box::new(rest));
                    return;
                }
            }
        }
    }

    fn push_data(&mut self, only: Option<Bytes>, data: &mut BytesMut) {
        let bytes = only.unwrap_or_else(|| data.split().freeze());
        if !bytes.is_empty() {
            self.ready.push_back(Frame::data(bytes));
        }
    }

    fn count(&mut self, frame: Frame<Bytes>) -> Result<Frame<Bytes>, Box<Stop>> {
        let bytes = frame.data_ref().map_or(0, |data| data.len() as u64);
        self.sent += bytes;
        self.burst += bytes;
        if self.sent <= self.max {
            // Metered before the client can have it, so that a crash loses nothing that was answered.
            if self.ready.is_empty() {
                self.meter();
            }
            let wait = self.install.admission.send(bytes);
            self.pause = wait.map(|wait| Box::pin(sleep(wait)));
            return Ok(frame);
        }
        let cause = StopCause::limit(
            Dimension::ResponseBytes,
            Class::Request,
            self.sent,
            self.max,
        );
        self.rest = None;
        self.ready.clear();
        Err(self.stopped(cause))
    }

    /// Waits for a turn where a burst has been given.
    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.burst < ANSWER_BURST_BYTES {
            return Poll::Ready(());
        }
        let install = &self.install;
        let ask = || install.queue.pace().ask(install.identity.instance);
        ready!(self.turn.get_or_insert_with(ask).poll(cx));
        self.turn = None;
        self.burst = 0;
        Poll::Ready(())
    }

    fn meter(&mut self) {
        let sent = self.sent - std::mem::replace(&mut self.metered, self.sent);
        if sent > 0 {
            let mut meters = Meters::default();
            meters[Meter::ResponseBytes] = sent;
            self.install.usage.add(&meters);
        }
    }

    fn stopped(&self, cause: StopCause) -> Box<Stop> {
        let mut stop = crate::stop::stop(&self.install.identity, cause, std::time::Instant::now());
        self.note(&mut stop);
        stop
    }

    fn note(&self, stop: &mut Stop) {
        self.install.observe(stop, &self.request_id);
        let identity = &self.install.identity;
        tracing::info!(
            target: "cloudware::stop",
            tenant = %identity.tenant_slug, instance = %identity.instance_slug,
            "{}, after its response had begun", stop.explanation()
        );
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        if let Some(conversation) = &mut rest.conversation {
            match conversation.poll(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => rest.conversation = None,
                Poll::Ready(Err(mut stop)) => {
                    self.rest = None;
                    self.note(&mut stop);
                    return Poll::Ready(Some(Err(stop)));
                }
            }
        }
        match ready!(Pin::new(&mut rest.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(self.count(frame))),
            Some(Err(error)) => {
                self.rest = None;
                let message = broken(&error);
                Poll::Ready(Some(Err(self.stopped(StopCause::NoResponse { message }))))
            }
            // The guest was stopped since the look above; its outcome, which wakes this task, says why.
            None if rest.broke_off() => Poll::Pending,
            None => {
                // The client has its answer; what the guest does after it may take until its deadline.
                let still = self.rest.take().and_then(|rest| rest.conversation);
                if let Some(mut conversation) = still {
                    conversation.permit = self.permit.take();
                    tokio::spawn(conversation.finish());
                }
                Poll::Ready(None)
            }
        }
    }
}

fn broken(error: &Error) -> String {
    format!("the response body broke off: {error:?}")
}

impl Body for GuestBody {
    type Data = Bytes;
    type Error = Box<Stop>;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        ready!(self.poll_turn(cx));
        if let Some(frame) = self.ready.pop_front() {
            return Poll::Ready(Some(self.count(frame)));
        }
        if let Some(message) = self.broken.take() {
            return Poll::Ready(Some(Err(self.stopped(StopCause::NoResponse { message }))));
        }
        self.poll_rest(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none() && self.broken.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let ready: u64 = self
            .ready
            .iter()
            .filter_map(|frame| frame.data_ref())
            .map(|data| data.len() as u64)
            .sum();
        match (&self.rest, &self.broken) {
            (None, None) => SizeHint::with_exact(ready),
            _ => SizeHint::default(),
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        self.meter();
    }
}
