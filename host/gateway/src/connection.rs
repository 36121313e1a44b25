//! A connection of a client: what its requests share, and how long the client may let the server wait for the head
//! of the next one. One timer watches a connection for as long as it is open; requests only note when they begin
//! and when they have been answered.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use cloudware_engine::count_socket_work;
use http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, sleep};

use crate::{BodyError, Gateway, GatewayBody};

/// A request is being answered, and no head waited for.
const ANSWERING: u64 = u64::MAX;

/// A connection.
pub(crate) struct Connection {
    pub(crate) gateway: Arc<Gateway>,
    /// The client's address.
    pub(crate) client: HeaderValue,
    began: Instant,
    /// Since when a head is waited for, in nanoseconds after `began`, or [`ANSWERING`].
    waiting_since: AtomicU64,
}

impl Connection {
    pub(crate) fn new(gateway: Arc<Gateway>, client: HeaderValue) -> Arc<Self> {
        Arc::new(Self {
            gateway,
            client,
            began: Instant::now(),
            waiting_since: AtomicU64::new(0),
        })
    }

    /// Notes that a head has come. What is returned is kept until its answer has been handed over.
    pub(crate) fn answering(self: &Arc<Self>) -> Answering {
        self.waiting_since.store(ANSWERING, Ordering::Relaxed);
        Answering(Arc::clone(self))
    }

    /// How long a head has been waited for.
    fn waited(&self) -> Duration {
        match self.waiting_since.load(Ordering::Relaxed) {
            ANSWERING => Duration::ZERO,
            since => self
                .began
                .elapsed()
                .saturating_sub(Duration::from_nanos(since)),
        }
    }

    /// Drives the connection to its end. `None` where it is given up, because no head came within `head_time_max`.
    pub(crate) async fn drive<F: Future>(
        &self,
        connection: F,
        head_time_max: Duration,
    ) -> Option<F::Output> {
        let mut connection = pin!(connection);
        let mut timer = pin!(sleep(head_time_max));
        poll_fn(|cx| {
            let polled = count_socket_work(|| connection.as_mut().poll(cx));
            if let Poll::Ready(ended) = polled {
                return Poll::Ready(Some(ended));
            }
            loop {
                ready!(timer.as_mut().poll(cx));
                let left = head_time_max.saturating_sub(self.waited());
                if left.is_zero() {
                    return Poll::Ready(None);
                }
                timer.as_mut().reset(Instant::now() + left);
            }
        })
        .await
    }
}

/// A request of a connection that is being answered.
pub(crate) struct Answering(Arc<Connection>);

impl Answering {
    pub(crate) fn connection(&self) -> &Connection {
        &self.0
    }

    /// Keeps it until the body has been handed over, or thrown away.
    pub(crate) fn until_sent(self, response: Response<GatewayBody>) -> Response<SentBody> {
        response.map(|body| SentBody {
            body,
            _answering: self,
        })
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let since = u64::try_from(self.0.began.elapsed().as_nanos()).unwrap_or(ANSWERING - 1);
        self.0.waiting_since.store(since, Ordering::Relaxed);
    }
}

/// The body of a response on its way out.
pub(crate) struct SentBody {
    body: GatewayBody,
    _answering: Answering,
}

impl Body for SentBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::future::pending;

    use http_body_util::Full;

    use super::*;
    use crate::{GatewayConfig, RouteTable};

    const HEAD_TIME_MAX: Duration = Duration::from_millis(40);

    fn connection() -> Arc<Connection> {
        let platform = |_| unreachable!("nothing is asked");
        let routes = Arc::new(RouteTable::default());
        let gateway = Gateway::new(GatewayConfig::default(), routes, Arc::new(platform));
        Connection::new(Arc::new(gateway), HeaderValue::from_static("127.0.0.1"))
    }

    #[tokio::test]
    async fn a_connection_without_a_head_is_given_up() {
        let connection = connection();
        let began = Instant::now();
        let ended = connection.drive(pending::<()>(), HEAD_TIME_MAX).await;
        assert_eq!(ended, None);
        assert!(began.elapsed() >= HEAD_TIME_MAX);
    }

    #[tokio::test]
    async fn the_time_for_a_head_begins_when_the_answer_before_has_been_handed_over() {
        let connection = connection();
        let answer = Response::new(GatewayBody::Whole(Full::default()));
        let sent = connection.answering().until_sent(answer);
        let began = Instant::now();
        let mut sent_at = began;
        let answering = async {
            sleep(3 * HEAD_TIME_MAX).await;
            sent_at = Instant::now();
            drop(sent);
            pending::<()>().await;
        };
        let ended = connection.drive(answering, HEAD_TIME_MAX).await;
        assert_eq!(ended, None);
        assert!(sent_at - began >= 3 * HEAD_TIME_MAX);
        assert!(sent_at.elapsed() >= HEAD_TIME_MAX);
    }

    #[tokio::test]
    async fn a_connection_that_ends_by_itself_has_its_outcome() {
        let connection = connection();
        let ended = connection.drive(async { 7 }, HEAD_TIME_MAX).await;
        assert_eq!(ended, Some(7));
    }
}
