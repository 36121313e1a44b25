//! A request that is under way for as long as a test wants.

use bytes::Bytes;
use futures_util::stream;
use http::Method;
use tokio::sync::mpsc;

use crate::{Http, Pending};

/// The first piece of the body.
const FIRST: &[u8] = b"first ";

/// A request to an app that streams the body back (`POST /echo` of the adversary).
pub struct InFlight {
    body: mpsc::UnboundedSender<Bytes>,
    answer: Pending,
}

impl InFlight {
    /// Begins, and returns once the guest has answered the first piece of the body.
    ///
    /// # Panics
    /// Where it does not.
    pub async fn begin(site: &Http) -> Self {
        let begun = Self::try_begin(site).await;
        begun.expect("the guest answers the first piece")
    }

    /// As [`InFlight::begin`]; `None` where the request is refused. A server that refuses a request while its
    /// body is still sent closes the connection, which may reach the client before the answer does.
    pub async fn try_begin(site: &Http) -> Option<Self> {
        let (body, pieces) = mpsc::unbounded_channel();
        let _ = body.send(Bytes::from_static(FIRST));
        let pieces = stream::unfold(pieces, |mut pieces| async {
            let piece = pieces.recv().await?;
            Some((Ok::<_, std::io::Error>(piece), pieces))
        });
        let request = site
            .request(Method::POST, "/echo")
            .body(reqwest::Body::wrap_stream(pieces));
        let mut answer = site.try_open(request).await.ok()?;
        let begun = answer.status() == 200
            && matches!(answer.chunk().await, Ok(Some(first)) if first == FIRST);
        begun.then_some(Self { body, answer })
    }

    /// Sends the rest of the body, and gets it back.
    ///
    /// # Panics
    /// Where it does not come back, whole.
    pub async fn finish(self) {
        let Self { body, answer } = self;
        let sent = body.send(Bytes::from_static(b"last"));
        sent.expect("the request is under way");
        drop(body);
        let rest = answer.try_finish().await.expect("the body ends well");
        assert_eq!(rest.text(), "last");
    }

    /// Sends the rest of the body, which is more than the answer may have, and gives the bytes that were answered before.
    ///
    /// # Panics
    /// Where the answer looks whole.
    pub async fn overflow(self) -> u64 {
        let Self { body, answer } = self;
        let sent = body.send(Bytes::from_static(b"last"));
        sent.expect("the request is under way");
        let ended = answer.try_finish().await;
        assert!(ended.is_err(), "the answer has no room for the rest");
        FIRST.len() as u64
    }

    /// Waits until the server ends it without the rest of the body.
    ///
    /// # Panics
    /// Where the answer looks whole.
    pub async fn cut_off(self) {
        let ended = self.answer.try_finish().await;
        assert!(
            ended.is_err(),
            "a client can tell that the answer is not whole"
        );
    }
}
