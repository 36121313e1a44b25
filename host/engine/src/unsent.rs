//! An answer on its way out: what of it is ready, the run that writes the rest, and what it must wait for.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Instant,
};

use bytes::{Bytes, BytesMut};
use cloudware_types::{Class, Dimension, Meter, Meters, Stop, StopCause};
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    BoundInstall,
    admission::Permit,
    limits::ANSWER_BURST_BYTES,
    near::{Near, is_near},
    pace::Turn,
    serve::{Conversation, RequestId},
    stop::stop,
    task::Task,
};

/// What of a guest's answer has not been sent.
pub(crate) struct Unsent {
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
    /// Whether there is more of it than is sent, because its head alone is.
    is_cut: bool,
}

/// A body that is still being written.
pub(crate) struct Streaming {
    pub(crate) body: WasiBody,
    /// The run that writes it; gone when it has ended before its body was read.
    pub(crate) conversation: Option<Conversation>,
    pub(crate) task: Arc<Task>,
}

impl Streaming {
    /// Whether the run that writes it was stopped, and has not been seen to end.
    fn has_broken_off(&self) -> bool {
        self.conversation.is_some() && self.task.broke_off()
    }
}

impl Unsent {
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
            is_cut: false,
        }
    }

    /// Whether all of it is ready.
    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_none()
    }

    /// Keeps the head from having a body behind it. What the guest still writes is read, and goes nowhere.
    pub(crate) fn send_head_alone(&mut self, headers: &HeaderMap) {
        // Whoever sends it would put the length of what is ready in place of the one that the guest gave.
        self.is_cut = headers.contains_key(CONTENT_LENGTH);
        let Some(rest) = self.rest.take() else {
            return;
        };
        let Streaming {
            body, conversation, ..
        } = *rest;
        self.is_cut = true;
        if let Some(conversation) = conversation {
            self.finish(conversation, Some(body));
        }
    }

    /// Lets a run go on that the client does not wait for any more; it may take until its deadline.
    fn finish(&mut self, mut conversation: Conversation, unread: Option<WasiBody>) {
        conversation.permit = self.permit.take();
        tokio::spawn(conversation.finish(unread));
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
                    let nothing = Empty::new().map_err(|never: Infallible| match never {});
                    rest.body = nothing.boxed_unsync();
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

    /// Ends the answer where it stands, and the run with it. Gives the stop, which is recorded.
    pub(crate) fn end(&mut self, cause: StopCause, started: Instant) -> Box<Stop> {
        let mut stop = stop(&self.install.identity, cause, started);
        let rest = self.rest.take();
        let has_caller_left = rest
            .as_ref()
            .is_some_and(|rest| rest.task.has_caller_left());
        match rest.and_then(|rest| rest.conversation) {
            Some(conversation) => conversation.record(&mut stop),
            None if has_caller_left => {}
            // It was metered as a success.
            None => {
                self.install.count_stop();
                self.install.observe(&mut stop, &self.request_id);
            }
        }
        stop
    }

    fn stopped(&mut self, cause: StopCause) -> Box<Stop> {
        let stop = self.end(cause, Instant::now());
        self.note(&stop);
        stop
    }

    fn note(&self, stop: &Stop) {
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
            match conversation.poll_run(cx) {
                Poll::Pending => {}
                Poll::Ready(Ok(())) => {
                    conversation.tell_near();
                    rest.conversation = None;
                }
                Poll::Ready(Err(stop)) => return Poll::Ready(Some(Err(self.broke_off(stop)))),
            }
        }
        match ready!(Pin::new(&mut rest.body).poll_frame(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(self.count(frame))),
            Some(Err(error)) => Poll::Ready(Some(Err(self.stopped(broken(&error))))),
            // The guest was stopped since the look above; its outcome, which wakes this task, says why.
            None if rest.has_broken_off() => Poll::Pending,
            None => {
                let still = self.rest.take().and_then(|rest| rest.conversation);
                if let Some(conversation) = still {
                    self.finish(conversation, None);
                }
                Poll::Ready(None)
            }
        }
    }

    /// The run that writes it was stopped.
    fn broke_off(&mut self, mut stop: Box<Stop>) -> Box<Stop> {
        if let Some(conversation) = self.rest.take().and_then(|rest| rest.conversation) {
            conversation.record(&mut stop);
        }
        self.ready.clear();
        self.note(&stop);
        stop
    }

    /// Does at the deadline of the run what nobody does who reads the answer, because nobody reads it: gives the stop of a
    /// run that goes on. The client may take the rest of one that has ended as slowly as it likes; the instance's place is
    /// free for others, unless the instance itself keeps the answer back, because it has sent too much.
    pub(crate) fn expire(&mut self) -> Option<Box<Stop>> {
        let rest = self.rest.as_mut()?;
        if let Some(conversation) = &mut rest.conversation {
            match conversation.expire() {
                Ok(()) => {
                    conversation.tell_near();
                    rest.conversation = None;
                }
                Err(stop) => {
                    self.permit = None;
                    return Some(self.broke_off(stop));
                }
            }
        }
        if self.pause.is_none() {
            self.permit = None;
        }
        None
    }

    /// As [`http_body::Body::poll_frame`].
    pub(crate) fn poll_frame(
        &mut self,
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

    /// As [`http_body::Body::is_end_stream`].
    pub(crate) fn is_end(&self) -> bool {
        self.ready.is_empty() && self.rest.is_none() && !self.is_cut
    }

    /// As [`http_body::Body::size_hint`].
    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.rest.is_some() || self.is_cut {
            false => SizeHint::with_exact(self.ready_bytes()),
            true => SizeHint::default(),
        }
    }
}

fn broken(error: &Error) -> StopCause {
    StopCause::NoResponse {
        message: format!("the response body broke off: {error:?}"),
    }
}

impl Drop for Unsent {
    fn drop(&mut self) {
        self.meter();
    }
}
