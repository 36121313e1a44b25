//! What goes on behind an answer: the run of an app whose client has all that it waits for, and that still does something.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use http_body::Body as _;
use tokio::time::{Sleep, sleep};
use wasmtime_wasi_http::WasiBody;

use crate::{limits::UNREAD_TIME_MAX, serve::Conversation};

/// How often what is unread is taken, and the guest let on, before others have a turn: a mebibyte in all.
const ROUNDS: u32 = 8;

/// A run that nobody waits for any more. It may take until its deadline.
pub(crate) struct Behind {
    conversation: Conversation,
    unread: Option<Unread>,
}

/// A body that nobody reads, and that is taken from the guest all the same for a while: most guests write all of it
/// also where the head alone is wanted. One that has no end finds its stream closed then, as with a client that leaves.
pub(crate) struct Unread {
    body: WasiBody,
    /// Bytes that are still taken.
    left: u64,
    end: Pin<Box<Sleep>>,
}

/// What was had of a body that nobody reads.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Taken {
    Nothing,
    Some,
    /// No more is to be taken.
    All,
}

impl Unread {
    pub(crate) fn new(body: WasiBody, bytes_max: u64) -> Self {
        Self {
            body,
            left: bytes_max,
            end: Box::pin(sleep(UNREAD_TIME_MAX)),
        }
    }

    /// Takes what is there.
    fn take(&mut self, cx: &mut Context<'_>) -> Taken {
        let mut taken = Taken::Nothing;
        while let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) {
            let Some(Ok(frame)) = frame else {
                return Taken::All;
            };
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = match self.left.checked_sub(length) {
                Some(left) => left,
                None => return Taken::All,
            };
            taken = Taken::Some;
        }
        match self.end.as_mut().poll(cx) {
            Poll::Ready(()) => Taken::All,
            Poll::Pending => taken,
        }
    }
}

impl Behind {
    pub(crate) fn new(conversation: Conversation, unread: Option<Unread>) -> Self {
        Self {
            conversation,
            unread,
        }
    }

    /// Lets it go on. Most have nothing left to do: they end here, so that their place is free before the client, who gets the
    /// last of his answer now, can ask again.
    pub(crate) fn go_on(self, cx: &mut Context<'_>) {
        let mut behind = Box::pin(self);
        if behind.as_mut().poll(cx).is_pending() {
            tokio::spawn(behind);
        }
    }
}

impl Future for Behind {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        for _ in 0..ROUNDS {
            let taken = match &mut self.unread {
                Some(unread) => unread.take(cx),
                None => Taken::Nothing,
            };
            if taken == Taken::All {
                self.unread = None;
            }
            if let Poll::Ready(ended) = self.conversation.poll(cx) {
                self.conversation.conclude(ended);
                return Poll::Ready(());
            }
            if taken != Taken::Some {
                return Poll::Pending;
            }
        }
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}
