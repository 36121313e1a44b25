//! Serving one request, top to bottom: admit, sandbox, call, answer. The guest runs on the task of its
//! connection, so that a short answer costs no switch between threads.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::{Duration, Instant},
};

use bytes::Bytes;
use cloudware_types::{Class, Dimension, Limit, Stop, StopCause};
use http::{HeaderMap, HeaderValue, Method, Request, Response, header};
use http_body::Body;
use http_body_util::{BodyExt as _, Empty};
use tokio::time::{Sleep, sleep_until};
use wasmtime_wasi_http::WasiBody;

use crate::{
    BoundInstall, GuestBody, Sandbox,
    admission::Permit,
    bodiless::has_no_body,
    body::BoundedBody,
    hook::{CallContext, Composition},
    install::Admitted,
    near::{self, Near},
    run::{Asked, Run, RunParts, no_response},
    sandbox::Setup,
    socket_work,
    stop::{self, Attach as _},
    task::{Interruption, Task, Wait},
    unsent::{Streaming, Unsent},
};

/// A run in progress, from its caller's side.
pub(crate) struct Conversation {
    install: Arc<BoundInstall>,
    task: Arc<Task>,
    timer: Option<Pin<Box<Sleep>>>,
    started: Instant,
    /// Names the request for whoever looks into a stop.
    request_id: RequestId,
    /// Whether the answer's head alone is wanted.
    is_head: bool,
    /// Held until the answer is sent or the run's deadline has passed, so that what waits for a slow client counts as
    /// running, and by a run behind its answer until it ends.
    pub(crate) permit: Option<Permit>,
}

impl BoundInstall {
    /// Begins to answer a request with the guest's response, which may still be written while it is sent. What the
    /// request needs is taken at once, and refused at once; the guest runs when the answer is waited for.
    pub fn serve<B>(self: &Arc<Self>, request: Request<B>) -> Serving
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        socket_work::is_for(&self.queue, &self.admission);
        let request_id = RequestId::of(&request);
        let begun = self.begin(request, &request_id);
        self.serving(begun, &request_id)
    }

    fn serving(&self, begun: Result<Conversation, Box<Stop>>, request_id: &RequestId) -> Serving {
        match begun {
            Ok(conversation) => Serving(State::Running(Some(conversation))),
            Err(mut stop) => {
                self.observe(&mut stop, request_id);
                Serving(State::Refused(Some(stop)))
            }
        }
    }

    /// Adds the plans that would fit to a stop, and tells the observer of it.
    pub(crate) fn observe(&self, stop: &mut Stop, request_id: &RequestId) {
        self.observe_within(stop, request_id, |_| None);
    }

    /// As [`Self::observe`], where `own` tells what binds beside a limit of the instance's. No plan helps where that was lower, or
    /// would be as soon as the plan gives more.
    pub(crate) fn observe_within(
        &self,
        stop: &mut Stop,
        request_id: &RequestId,
        own: impl FnOnce(Limit) -> Option<u64>,
    ) {
        if let StopCause::Limit { limit, used, max } = stop.cause
            && max >= self.limits.get(limit)
            && own(limit).is_none_or(|own| own > used)
        {
            stop.fits = self.other_plans.fitting(limit, used, max);
        }
        self.observer
            .stopped(&self.identity, stop, request_id.as_str());
    }

    /// Ends a run where it stands, and records its stop, once: in the ledger, and with the observer, who is told of other
    /// limits that it had nearly used up as well. Where its caller has broken off the request, an app that gave no valid
    /// response is not to blame, and nothing is recorded.
    pub(crate) fn record(&self, task: &Task, stop: &mut Stop, request_id: &RequestId) {
        // What it has used is known when its sandbox is gone.
        task.cancel();
        let is_no_response = matches!(stop.cause, StopCause::NoResponse { .. });
        if (is_no_response && task.has_caller_left()) || !task.claim_stop() {
            return;
        }
        self.count_stop();
        self.observe(stop, request_id);
        for near in task.take_near() {
            if !stop.is_for(near.limit) {
                self.observe_near(&near);
            }
        }
    }

    /// Tells the observer of a limit that is nearly used up.
    pub(crate) fn observe_near(&self, near: &Near) {
        let Near { limit, used, max } = *near;
        self.observer.near_limit(&self.identity, limit, used, max);
    }

    fn begin<B>(
        self: &Arc<Self>,
        request: Request<B>,
        request_id: &RequestId,
    ) -> Result<Conversation, Box<Stop>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let started = Instant::now();
        let admitted = self.admit(started)?;
        let request_max = self.limits.get(Dimension::RequestBytes);
        if let Some(length) =
            content_length(request.headers()).filter(|&length| length > request_max)
        {
            let cause =
                StopCause::limit(Dimension::RequestBytes, Class::Request, length, request_max);
            return Err(self.refuse(cause, started));
        }
        let context = self.context(&request, request_id);
        let setup = Setup::request(self, context.clone());
        let sandbox = match admitted.sandbox {
            Some(mut warm) => warm.renew(setup).map(|()| warm),
            None => Sandbox::new(self, setup),
        }
        .map_err(|error| {
            let message = error.to_string();
            self.refuse(StopCause::Trap { message }, started)
        })?;
        let run = Admitted {
            sandbox: Some(sandbox),
            ..admitted
        };
        Ok(self.converse(request, request_id, started, (run, context)))
    }

    /// What a request's run needs to call others, where the instance has hooks or apps that call each other.
    fn context<B>(
        self: &Arc<Self>,
        request: &Request<B>,
        request_id: &RequestId,
    ) -> Option<Arc<CallContext>> {
        // Whoever asks keeps the site alive, and the site the peers.
        let peers = self.peers.get()?.upgrade()?;
        let budget = Duration::from_millis(self.limits.get(Dimension::ExtensionTime));
        let call = format!("{} {}", request.method(), request.uri().path());
        let composition = Composition::begin(
            self,
            request_id.clone(),
            call.into(),
            (budget, Class::Request),
        );
        Some(CallContext::first(self, peers, composition, None))
    }

    /// Begins to answer a request that another app sends within a request of its own, which was admitted.
    pub(crate) fn serve_within<B>(
        self: &Arc<Self>,
        request: Request<B>,
        context: Arc<CallContext>,
    ) -> Serving
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let request_id = RequestId::of(&request);
        let begun = self.begin_within(request, &request_id, context);
        self.serving(begun, &request_id)
    }

    fn begin_within<B>(
        self: &Arc<Self>,
        request: Request<B>,
        request_id: &RequestId,
        context: Arc<CallContext>,
    ) -> Result<Conversation, Box<Stop>>
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let started = Instant::now();
        let place = self.place_for_request(started)?;
        let setup = Setup::request(self, Some(Arc::clone(&context)));
        let sandbox = Sandbox::new(self, setup).map_err(|error| {
            let message = error.to_string();
            self.refuse(StopCause::Trap { message }, started)
        })?;
        let run = Admitted {
            permit: None,
            place,
            sandbox: Some(sandbox),
        };
        Ok(self.converse(request, request_id, started, (run, Some(context))))
    }

    /// Sets up the run of a handler.
    fn converse<B>(
        self: &Arc<Self>,
        request: Request<B>,
        request_id: &RequestId,
        started: Instant,
        (admitted, context): (Admitted, Option<Arc<CallContext>>),
    ) -> Conversation
    where
        B: Body<Data = Bytes> + Send + Unpin + 'static,
    {
        let request_max = self.limits.get(Dimension::RequestBytes);
        let is_head = request.method() == Method::HEAD;
        let mut sandbox = admitted.sandbox.expect("the caller has made it");
        sandbox.store.data_mut().set_head(is_head);
        let task = Task::new(
            Arc::clone(sandbox.store.data().progress()),
            Arc::clone(&self.admission),
            Arc::clone(&self.queue),
            Some(Arc::clone(&self.usage)),
            started,
            self.bounds(Class::Request),
        );
        let asked = if request.body().is_end_stream() {
            // There is nothing to count and to bound, and this body takes no memory.
            let nothing = Empty::new().map_err(|never: Infallible| match never {});
            Asked::new(self, &mut sandbox, request.map(|_| nothing))
        } else {
            let bounded = |body| BoundedBody::new(body, Arc::clone(&task), request_max);
            Asked::new(self, &mut sandbox, request.map(bounded))
        };
        let run = Run::new(RunParts {
            install: Arc::clone(self),
            task: Arc::clone(&task),
            sandbox,
            place: admitted.place,
            started,
            request_id: request_id.clone(),
            context,
        });
        task.begin(Box::pin(run.handle(asked)));
        Conversation {
            install: Arc::clone(self),
            task,
            timer: None,
            started,
            request_id: request_id.clone(),
            is_head,
            permit: admitted.permit,
        }
    }
}

/// A request that is being answered. Dropping it ends the run where it stands.
#[must_use = "a guest runs only while its answer is waited for"]
pub struct Serving(State);

/// Each is taken when it gives the outcome.
enum State {
    Refused(Option<Box<Stop>>),
    Running(Option<Conversation>),
}

impl Future for Serving {
    /// The answer, or the stop that ended the run before it answered, explained and counted.
    type Output = Result<Response<GuestBody>, Box<Stop>>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.get_mut().0 {
            State::Refused(stop) => {
                let stop = stop.take().expect("not polled after it was ready");
                Poll::Ready(Err(stop))
            }
            State::Running(conversation) => Conversation::poll_response(conversation, cx),
        }
    }
}

/// The id that the gateway gave the request, empty where it came from elsewhere. Shares the header's bytes.
#[derive(Clone, Default)]
pub(crate) struct RequestId(Option<HeaderValue>);

impl RequestId {
    /// An id that comes from elsewhere than a request's head.
    pub(crate) fn new(id: &str) -> Self {
        Self(HeaderValue::from_str(id).ok())
    }

    fn of<B>(request: &Request<B>) -> Self {
        Self(request.headers().get("x-request-id").cloned())
    }

    pub(crate) fn as_str(&self) -> &str {
        let text = self.0.as_ref().and_then(|id| id.to_str().ok());
        text.unwrap_or_default()
    }
}

/// The length of the body that a head announces.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    let value = headers.get(header::CONTENT_LENGTH)?;
    value.to_str().ok()?.parse().ok()
}

impl Conversation {
    /// Polls until the guest has set a response, or ended without one.
    fn poll_response(
        this: &mut Option<Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Response<GuestBody>, Box<Stop>>> {
        let conversation = this.as_mut().expect("not polled after it was ready");
        let ended = match conversation.poll(cx) {
            Poll::Ready(Err(stop)) => return Poll::Ready(Err(conversation.observed(stop))),
            Poll::Ready(Ok(())) => true,
            // Its outcome, which wakes this task, says why; the answer would seem to break off by itself.
            Poll::Pending if conversation.task.broke_off() => return Poll::Pending,
            Poll::Pending => false,
        };
        let response = conversation.task.take_answer();
        if response.is_some()
            && let Some(cause) = conversation.task.progress().stop_cause()
        {
            // What the guest answers is that it was stopped, and the caller is told by whom and why.
            let stop = conversation.interrupted(Interruption::Ended {
                cause,
                resets_in: None,
            });
            return Poll::Ready(Err(conversation.observed(stop)));
        }
        match response {
            // An interim status would leave the client waiting for the real one.
            Some(Ok(response)) if response.status().is_informational() => {
                let code = format!("status {}", response.status().as_u16());
                Poll::Ready(Err(conversation.fail(Some(code))))
            }
            Some(Ok(response)) => {
                let conversation = this.take().expect("it was there above");
                Poll::Ready(conversation.answer(response, Progressing::from(ended), cx))
            }
            Some(Err(code)) => Poll::Ready(Err(conversation.fail(Some(code)))),
            None if ended => Poll::Ready(Err(conversation.fail(None))),
            None => Poll::Pending,
        }
    }

    /// The answer, with as much of its body as is ready. A body that breaks off before anything was
    /// sent is a failure that the client can still be told of.
    fn answer(
        mut self,
        response: Response<WasiBody>,
        progressing: Progressing,
        cx: &mut Context<'_>,
    ) -> Result<Response<GuestBody>, Box<Stop>> {
        let mut unsent = Unsent::new(
            Arc::clone(&self.install),
            self.permit.take(),
            self.request_id.clone(),
            Arc::clone(&self.task),
        );
        let (install, started) = (Arc::clone(&self.install), self.started);
        let task = Arc::clone(&self.task);
        let (mut parts, rest) = response.into_parts();
        let is_bodiless = has_no_body(self.is_head, parts.status);
        let conversation = (progressing == Progressing::Still).then_some(self);
        let filled = unsent.fill(
            Streaming {
                body: rest,
                conversation,
                is_read: false,
            },
            cx,
        );
        if !is_bodiless {
            if let Err(failed) = filled {
                return Err(unsent.end(failed, started));
            }
            unsent.settle(cx)?;
            if let Err(failed) = unsent.check_length(&parts.headers) {
                return Err(unsent.end(failed, started));
            }
        }
        if is_bodiless || unsent.is_declared_empty() {
            // Whoever sends it throws the body away unread, and the run with it.
            unsent.send_head_alone(parts.status, &mut parts.headers, cx);
        }
        let so_far = (!unsent.is_whole()).then(|| task.near_so_far(&install.limits));
        let of_run = task.take_near().into_iter();
        let of_run = of_run.chain(so_far.into_iter().flatten());
        let near = of_run.chain(install.admission.near());
        let near = near.chain(unsent.near().filter(|_| !is_bodiless));
        let near = near.inspect(|near| install.observe_near(near));
        near::announce(&mut parts.headers, near);
        let body = GuestBody::new(unsent, task.deadline().into());
        Ok(Response::from_parts(parts, body))
    }

    /// Polls the run once. Its deadline is looked at while the guest computes only: who waits for it has to know the time
    /// from elsewhere.
    pub(crate) fn poll_run(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Stop>>> {
        let ended = ready!(self.task.poll(cx));
        Poll::Ready(ended.map_err(|interruption| self.interrupted(interruption)))
    }

    /// Polls the run once, and ends it at its deadline.
    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Box<Stop>>> {
        if let Poll::Ready(ended) = self.poll_run(cx) {
            return Poll::Ready(ended);
        }
        let deadline = self.task.deadline();
        let timer = self
            .timer
            .get_or_insert_with(|| Box::pin(sleep_until(deadline.into())));
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(self.expire())
    }

    /// Ends the run at its deadline, unless it has ended: then this is how.
    pub(crate) fn expire(&mut self) -> Result<(), Box<Stop>> {
        let ended = self.task.expire();
        ended.map_err(|interruption| self.interrupted(interruption))
    }

    fn interrupted(&self, interruption: Interruption) -> Box<Stop> {
        match interruption {
            Interruption::Stopped(stop) => stop,
            Interruption::Ended { cause, resets_in } => {
                let mut stop = self.stop(cause).seen_in(self.task.progress());
                if stop::is_late_in_no_call(&stop) && self.task.waited_for() == Wait::Request {
                    stop.host_call = Some(Stop::REQUEST_BODY.to_owned());
                }
                stop.resetting(resets_in)
            }
        }
    }

    /// Tells how a run ended whose client has its answer.
    pub(crate) fn conclude(&self, ended: Result<(), Box<Stop>>) {
        match ended {
            Ok(()) => self.tell_near(),
            Err(stop) => {
                let stop = self.observed(stop);
                tracing::info!(target: "cloudware::stop", "{}, after its response", stop.explanation());
            }
        }
    }

    /// The stop for a run that gave no response.
    fn fail(&self, code: Option<String>) -> Box<Stop> {
        self.observed(self.stop(no_response(code)))
    }

    fn observed(&self, mut stop: Box<Stop>) -> Box<Stop> {
        self.record(&mut stop);
        stop
    }

    /// As [`BoundInstall::record`].
    pub(crate) fn record(&self, stop: &mut Stop) {
        self.install.record(&self.task, stop, &self.request_id);
    }

    /// Tells of limits that a run had nearly used up which ended after the head of its answer had left.
    pub(crate) fn tell_near(&self) {
        for near in self.task.take_near() {
            self.install.observe_near(&near);
        }
    }

    fn stop(&self, cause: StopCause) -> Box<Stop> {
        stop::stop(&self.install.identity, cause, self.started)
    }
}

/// Who goes away ends the run where it stands, and that is no stop: the ledger would count what is explained nowhere.
impl Drop for Conversation {
    fn drop(&mut self) {
        // It may have ended by itself before, and nobody has looked.
        if let Some(Err(interruption)) = self.task.leave() {
            self.record(&mut self.interrupted(interruption));
        }
    }
}

/// Whether the guest still runs when its response is sent.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Progressing {
    Still,
    Ended,
}

impl From<bool> for Progressing {
    fn from(ended: bool) -> Self {
        if ended { Self::Ended } else { Self::Still }
    }
}
