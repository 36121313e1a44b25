//! An answer on its way out: what of it is ready, the run that writes the rest, and what it must wait for.

use std::{
    collections::VecDeque,
    convert::Infallible,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time,
};

use bytes::{Bytes, BytesMut};
use cloudware_types::{Class, Dimension, Meter, Meters, Stop, StopCause};
use http::{HeaderMap, StatusCode, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt as _, Empty};
use tokio::time::{Instant, Sleep, sleep};
use wasmtime_wasi_http::{Error, WasiBody};

use crate::{
    BoundInstall,
    admission::Permit,
    behind::{Behind, Unread},
    limits::{ANSWER_BURST_BYTES, TAKEN_WITHIN},
    near::{Near, is_near},
    pace::Turn,
    serve::{Conversation, RequestId, content_length},
    socket_work,
    stop::{is_late_in_no_call, stop},
    task::{Task, Wait},
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
    /// The run counts as running until its answer is sent or its deadline has passed. None where another app asks.
    permit: Option<Permit>,
    /// The instance has sent more than its rate allows: nothing leaves before then.
    pause: Option<Pin<Box<Sleep>>>,
    /// Whether nothing was there when the guest was asked for more of it last.
    is_starved: bool,
    /// Bytes that were given since the last turn.
    burst: u64,
    /// The turn that it waits for.
    turn: Option<Arc<Turn>>,
    request_id: RequestId,
    /// The run that answers, or has answered.
    task: Arc<Task>,
    /// Where its head alone is sent: what the head says of the body's length.
    head_alone: Option<SizeHint>,
    /// Bytes that the head says the body has.
    declared: Option<u64>,
}

/// A body that is still being written.
pub(crate) struct Streaming {
    pub(crate) body: WasiBody,
    /// The run that writes it; gone when it has ended before its body was read.
    pub(crate) conversation: Option<Conversation>,
    /// Whether all of the body has been had.
    pub(crate) is_read: bool,
}

impl Unsent {
    pub(crate) fn new(
        install: Arc<BoundInstall>,
        permit: Option<Permit>,
        request_id: RequestId,
        task: Arc<Task>,
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
            is_starved: false,
            burst: 0,
            turn: None,
            request_id,
            task,
            metered: 0,
            head_alone: None,
            declared: None,
        }
    }

    /// Whether all of it is ready, and leaves in one piece.
    pub(crate) fn is_whole(&self) -> bool {
        self.rest.is_none()
            && self.ready.len() <= 1
            && self.ready_bytes() <= self.install.admission.piece_max()
    }

    /// Keeps the head from having a body behind it. What the guest still writes is read, and goes nowhere.
    pub(crate) fn send_head_alone(
        &mut self,
        status: StatusCode,
        headers: &mut HeaderMap,
        cx: &mut Context<'_>,
    ) {
        if status == StatusCode::NO_CONTENT {
            // RFC 9110, section 8.6.
            headers.remove(CONTENT_LENGTH);
        }
        // Whoever sends it would put a length that it knows in place of the one that the guest gave.
        self.head_alone = match self.rest.is_some() || headers.contains_key(CONTENT_LENGTH) {
            true => Some(SizeHint::default()),
            false => Some(SizeHint::with_exact(self.ready_bytes())),
        };
        self.ready.clear();
        if let Some(rest) = self.rest.take() {
            self.go_on(*rest, cx);
        }
    }

    /// Lets a run go on that nobody waits for any more.
    fn go_on(&mut self, rest: Streaming, cx: &mut Context<'_>) {
        let Some(mut conversation) = rest.conversation else {
            return;
        };
        // One that runs for the request of another app had none, and is on its own now. So is one whose answer is held back,
        // which keeps its place.
        let permit = self.permit.take_if(|_| self.ready.is_empty());
        let mut permit = permit.unwrap_or_else(|| self.install.admission.occupy());
        permit.step_behind();
        conversation.permit = Some(permit);
        let left = self.max.saturating_sub(self.sent);
        let unread = (!rest.is_read).then(|| Unread::new(rest.body, left));
        Behind::new(conversation, unread).go_on(cx);
    }

    /// Looks whether a run whose body is complete has ended too: then all is known of it before anything is sent.
    ///
    /// # Errors
    /// The stop that ended it, recorded.
    pub(crate) fn settle(&mut self, cx: &mut Context<'_>) -> Result<(), Box<Stop>> {
        let rest = self.rest.as_mut().filter(|rest| rest.is_read);
        let Some(conversation) = rest.and_then(|rest| rest.conversation.as_mut()) else {
            return Ok(());
        };
        match conversation.poll_run(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.rest = None;
                Ok(())
            }
            Poll::Ready(Err(mut stop)) => {
                conversation.record(&mut stop);
                Err(stop)
            }
        }
    }

    /// Whether the head says that there is no body, and the run still goes on.
    pub(crate) fn is_declared_empty(&self) -> bool {
        self.declared == Some(0) && self.rest.is_some()
    }

    /// Whether what is ready, and what the guest has announced, may be sent: a client that has nothing of the answer yet can
    /// be told why it gets none.
    ///
    /// # Errors
    /// The limit, or that the answer is complete and has another length than its head says: a client would take what is too
    /// much for the answer to its next request, or wait for what is missing.
    pub(crate) fn check_length(&mut self, headers: &HeaderMap) -> Result<(), StopCause> {
        let ready = self.ready_bytes();
        self.declared = content_length(headers);
        let announced = self.declared.unwrap_or(ready);
        let is_complete = self.rest.as_ref().is_none_or(|rest| rest.is_read);
        if ready > announced || (is_complete && ready < announced) {
            return Err(wrong_length(announced, ready));
        }
        let length = ready.max(announced);
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
                        rest.body = nothing();
                        rest.is_read = true;
                        self.rest = Some(Box::new(rest));
                    }
                    return Ok(());
                }
                Poll::Ready(Some(Err(error))) => {
                    rest.body = nothing();
                    self.rest = Some(Box::new(rest));
                    return Err(broken(&error));
                }
                Poll::Pending => {
                    self.is_starved = true;
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

    /// So much of a frame as may leave in one piece; the rest is the next.
    fn piece(&mut self, frame: Frame<Bytes>) -> Frame<Bytes> {
        let max = usize::try_from(self.install.admission.piece_max()).unwrap_or(usize::MAX);
        match frame.into_data() {
            Ok(mut data) if data.len() > max => {
                let rest = data.split_off(max);
                self.ready.push_front(Frame::data(rest));
                Frame::data(data)
            }
            Ok(data) => Frame::data(data),
            Err(trailers) => trailers,
        }
    }

    fn count(
        &mut self,
        frame: Frame<Bytes>,
        cx: &mut Context<'_>,
    ) -> Result<Frame<Bytes>, Box<Stop>> {
        let length = |frame: &Frame<Bytes>| frame.data_ref().map_or(0, |data| data.len() as u64);
        let whole = self.sent + length(&frame);
        if let Some(declared) = self.declared.filter(|&declared| whole > declared) {
            return Err(self.stopped(wrong_length(declared, whole)));
        }
        let frame = self.piece(frame);
        let bytes = length(&frame);
        let was_near = is_near(self.sent, self.max);
        let sent = self.sent + bytes;
        if !was_near
            && let Some(near) = Near::of(Dimension::ResponseBytes, sent, &self.install.limits)
        {
            self.install.observe_near(&near);
        }
        if sent <= self.max {
            self.sent = sent;
            self.burst += bytes;
            // Metered before the client can have it, so that a crash loses nothing that was answered.
            self.meter();
            let admission = &self.install.admission;
            let wait = admission.send(bytes);
            self.pause = wait.map(|wait| Box::pin(sleep(wait)));
            if let Some(near) = admission.near_egress() {
                self.install.observe_near(&near);
            }
            // Who sends it to a client asks for no more than the head has announced; another app reads to the end. A run whose
            // complete answer leaves in pieces is not kept waiting for that.
            let left = self.ready_bytes();
            let is_held_back = left > 0 && self.rest.as_ref().is_some_and(|rest| rest.is_read);
            if self.declared == Some(self.sent + left) || is_held_back {
                self.let_go(cx);
            }
            return Ok(frame);
        }
        // What does not leave is not metered.
        let cause = self.too_long(sent);
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
    pub(crate) fn end(&mut self, cause: StopCause, started: time::Instant) -> Box<Stop> {
        let mut stop = stop(&self.install.identity, cause, started);
        self.end_with(&mut stop);
        stop
    }

    fn end_with(&mut self, stop: &mut Stop) {
        self.install.record(&self.task, stop, &self.request_id);
        self.rest = None;
        self.ready.clear();
    }

    fn stopped(&mut self, cause: StopCause) -> Box<Stop> {
        let stop = self.end(cause, time::Instant::now());
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

    /// Polls the run that writes it.
    ///
    /// # Errors
    /// It was stopped, and the answer is broken off.
    fn drive(&mut self, cx: &mut Context<'_>) -> Result<(), Box<Stop>> {
        let Some(conversation) = self.conversation() else {
            return Ok(());
        };
        match conversation.poll_run(cx) {
            Poll::Pending => Ok(()),
            Poll::Ready(Ok(())) => {
                self.run_ended();
                Ok(())
            }
            Poll::Ready(Err(stop)) => Err(self.broke_off(stop)),
        }
    }

    /// The run that writes it, while that goes on.
    fn conversation(&mut self) -> Option<&mut Conversation> {
        self.rest.as_mut()?.conversation.as_mut()
    }

    /// The run that writes it has ended by itself; what it has written is still to be read.
    fn run_ended(&mut self) {
        let rest = self.rest.as_mut();
        if let Some(ended) = rest.and_then(|rest| rest.conversation.take()) {
            ended.tell_near();
        }
    }

    /// The next frame that the guest has written, where it goes on; `None` at the end.
    fn poll_written(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        let Some(rest) = &mut self.rest else {
            return Poll::Ready(None);
        };
        let polled = Pin::new(&mut rest.body).poll_frame(cx);
        self.is_starved = polled.is_pending();
        match ready!(polled) {
            Some(Ok(frame)) => Poll::Ready(Some(Ok(frame))),
            // The guest was stopped since it was looked at; its outcome, which wakes this task, says why.
            None | Some(Err(_)) if rest.conversation.is_some() && self.task.broke_off() => {
                rest.body = nothing();
                Poll::Pending
            }
            Some(Err(error)) => Poll::Ready(Some(Err(self.stopped(broken(&error))))),
            None => {
                rest.body = nothing();
                rest.is_read = true;
                let length = self.sent + self.ready_bytes();
                if let Some(declared) = self.declared.filter(|&declared| length < declared) {
                    let short = wrong_length(declared, length);
                    return Poll::Ready(Some(Err(self.stopped(short))));
                }
                Poll::Ready(None)
            }
        }
    }

    /// Lets the run go on while the instance may send nothing, and takes a little of what it writes: neither the end of the
    /// answer nor that of the run waits for what leaves slowly.
    fn read_ahead(&mut self, cx: &mut Context<'_>) -> Result<(), Box<Stop>> {
        self.drive(cx)?;
        while self.rest.as_ref().is_some_and(|rest| !rest.is_read)
            && self.ready_bytes() < ANSWER_BURST_BYTES
            && let Poll::Ready(frame) = self.poll_written(cx)
        {
            match frame {
                Some(frame) => self.ready.push_back(frame?),
                None => self.let_go(cx),
            }
        }
        Ok(())
    }

    /// Lets the run go on by itself whose answer is complete. One that runs for another app's request is driven by that.
    fn let_go(&mut self, cx: &mut Context<'_>) {
        if self.permit.is_some()
            && let Some(rest) = self.rest.take()
        {
            self.go_on(*rest, cx);
        }
    }

    fn poll_rest(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        if let Err(stop) = self.drive(cx) {
            return Poll::Ready(Some(Err(stop)));
        }
        match ready!(self.poll_written(cx)) {
            Some(Ok(frame)) => Poll::Ready(Some(self.count(frame, cx))),
            Some(Err(stop)) => Poll::Ready(Some(Err(stop))),
            None => {
                if let Some(rest) = self.rest.take() {
                    self.go_on(*rest, cx);
                }
                Poll::Ready(None)
            }
        }
    }

    /// Until when the instance itself keeps the answer back. Who takes it is woken when the pause is over, and may be a little
    /// late.
    fn held_until(&self) -> Option<Instant> {
        let pause = self.pause.as_ref()?;
        let end = pause.deadline() + TAKEN_WITHIN;
        (end > Instant::now()).then_some(end)
    }

    /// The run that writes it was stopped.
    fn broke_off(&mut self, mut stop: Box<Stop>) -> Box<Stop> {
        if is_late_in_no_call(&stop) && self.task.waited_for() == Wait::Other && !self.is_starved {
            let place = match self.held_until() {
                Some(_) => Stop::EGRESS_RATE,
                None => Stop::RESPONSE_BODY,
            };
            stop.host_call = Some(place.to_owned());
        }
        self.end_with(&mut stop);
        self.note(&stop);
        stop
    }

    /// Does from the deadline of the run on what nobody does who reads the answer, because nobody reads it: ends a run that
    /// goes on. The client may take the rest of one that has ended as slowly as it likes; the instance's place is free for
    /// others, unless the instance itself keeps the answer back, because it has sent too much.
    pub(crate) fn expire(&mut self) -> Expired {
        if let Some(conversation) = self.conversation() {
            match conversation.expire() {
                Ok(()) => self.run_ended(),
                Err(stop) => {
                    self.permit = None;
                    return Expired::Stopped(self.broke_off(stop));
                }
            }
        }
        match self.held_until() {
            Some(end) => Expired::LookAgain(end),
            None => {
                self.permit = None;
                Expired::Left
            }
        }
    }

    /// As [`http_body::Body::poll_frame`].
    pub(crate) fn poll_frame(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Box<Stop>>>> {
        if self.head_alone.is_some() {
            return Poll::Ready(None);
        }
        socket_work::is_for(&self.install.queue, &self.install.admission);
        if let Some(pause) = &mut self.pause {
            if pause.as_mut().poll(cx).is_pending() {
                return match self.read_ahead(cx) {
                    Ok(()) => Poll::Pending,
                    Err(stop) => Poll::Ready(Some(Err(stop))),
                };
            }
            self.pause = None;
        }
        ready!(self.poll_turn(cx));
        if let Some(frame) = self.ready.pop_front() {
            return Poll::Ready(Some(self.count(frame, cx)));
        }
        self.poll_rest(cx)
    }

    /// As [`http_body::Body::is_end_stream`].
    pub(crate) fn is_end(&self) -> bool {
        match &self.head_alone {
            None => self.ready.is_empty() && self.rest.is_none(),
            Some(length) => length.exact() == Some(0),
        }
    }

    /// As [`http_body::Body::size_hint`].
    pub(crate) fn size_hint(&self) -> SizeHint {
        match (&self.head_alone, &self.rest) {
            (Some(length), _) => *length,
            (None, None) => SizeHint::with_exact(self.ready_bytes()),
            (None, Some(_)) => SizeHint::default(),
        }
    }
}

/// What became of an answer at the deadline of its run.
pub(crate) enum Expired {
    /// The run was stopped.
    Stopped(Box<Stop>),
    /// The run had ended; the client takes the rest in its own time.
    Left,
    /// The run had ended, and the instance keeps the rest back until then.
    LookAgain(Instant),
}

fn nothing() -> WasiBody {
    let nothing = Empty::new().map_err(|never: Infallible| match never {});
    nothing.boxed_unsync()
}

fn wrong_length(declared: u64, bytes: u64) -> StopCause {
    StopCause::NoResponse {
        message: format!("the response declares a body of {declared} bytes and has {bytes}"),
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
