//! Bodies on their way in and out: request bodies counted and bounded, response bodies that drive the
//! guest which writes them.

use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use cloudware_capability::Progress;
use cloudware_types::{Class, Dimension, Meter, Meters, Stop, StopCause};
use http::{HeaderMap, header::CONTENT_LENGTH};
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
    near::{Near, is_near},
    pace::Turn,
    serve::{Conversation, RequestId},
    stop::stop,
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

    /// Whether what is ready, or what the guest has announced, may be sent: a client that has nothing of the answer yet can
    /// be told why it gets none.
    ///
    /// # Errors
    /// The limit.
    pub(crate) fn check_length(&self, headers: &HeaderMap) -> Result<(), StopCause> {
        let ready = self.ready_bytes();
        let announced = headers.get(CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse().ok());
        // An answer to HEAD announces what is not sent.
        let length = match ready {
            0 => 0,
            _ => ready.max(announced.unwrap_or(0)),
        };
        if length <= self.max {
            return Ok(());
        }
        Err(self.too_long(length))
    }

    fn too_long(&self, length: u64) -> StopCause {
        StopCause::limit(Dimension::ResponseBytes, Class::Request, length, self.max)
    }

    /// The limit of the answer's length, where what is ready comes near it.
    pub(crate) fn near(&self) -> Option<Near> {
        Near::of(
            Dimension::ResponseBytes,
            self.ready_bytes(),
            &self.install.limits,
        )
    }

    fn ready_bytes(&self) -> u64 {
        self.ready
            .iter()
            .filter_map(|frame| frame.data_ref())
            .map(|data| data.len() as u64)
            .sum()
    }

    /// Takes what can be had of the body without waiting. A body that ends within that is sent with
    /// its length, in one piece.
    ///
    /// # Errors
    /// It broke off; the run that wrote it is kept until this body goes.
    pub(crate) fn fill(
        &mut self,
        mut rest: Streaming,
        cx: &mut Context<'_>,
    ) -> Result<(), StopCause> {
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
                    return Ok(());
                }
                Poll::Ready(Some(Err(error))) => {
                    self.rest = Some(Box::new(rest));
                    return Err(broken(&error));
                }
                Poll::Pending => {
                    self.push_data(only.take(), &mut data);
                    self.rest = Some(Box::new(rest));
                    return Ok(());
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
        let was_near = is_near(self.sent, self.max);
        self.sent += bytes;
        self.burst += bytes;
        if !was_near
            && let Some(near) = Near::of(Dimension::ResponseBytes, self.sent, &self.install.limits)
        {
            self.install.observe_near(&near);
        }
        if self.sent <= self.max {
            // Metered before the client can have it, so that a crash loses nothing that was answered.
            if self.ready.is_empty() {
                self.meter();
            }
            let wait = self.install.admission.send(bytes);
            self.pause = wait.map(|wait| Box::pin(sleep(wait)));
            return Ok(frame);
        }
        let cause = self.too_long(self.sent);
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

    /// Ends the answer where it stands, and the run with it. Gives the stop, which is counted.
    pub(crate) fn end(&mut self, cause: StopCause, started: Instant) -> Box<Stop> {
        match self.rest.take().and_then(|rest| rest.conversation) {
            Some(conversation) => conversation.count_stop(),
            // It was metered as a success.
            None => self.install.count_stop(),
        }
        stop(&self.install.identity, cause, started)
    }

    fn stopped(&mut self, cause: StopCause) -> Box<Stop> {
        let mut stop = self.end(cause, Instant::now());
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
                Poll::Ready(Ok(())) => {
                    conversation.tell_near();
                    rest.conversation = None;
                }
                Poll::Ready(Err(mut stop)) => {
                    conversation.count_stop();
                    self.rest = None;
                    self.note(&mut stop);
                    return Poll::Ready(Some(Err(stop)));
                }
            }
        }
        match ready!(Pin::new(&mut rest.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(self.count(frame))),
            Some(Err(error)) => Poll::Ready(Some(Err(self.stopped(broken(&error))))),
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

fn broken(error: &Error) -> StopCause {
    StopCause::NoResponse {
        message: format!("the response body broke off: {error:?}"),
    }
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
        self.poll_rest(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match &self.rest {
            None => SizeHint::with_exact(self.ready_bytes()),
            Some(_) => SizeHint::default(),
        }
    }
}

impl Drop for GuestBody {
    fn drop(&mut self) {
        self.meter();
    }
}
