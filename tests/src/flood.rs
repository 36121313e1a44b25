//! Requests for a site that there is not, more of them than a host can answer at once: work for the threads that serve
//! sockets and for no instance, whose share could say who has to wait.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    task::JoinHandle,
};

use crate::{Options, Platform};

const CONNECTIONS: usize = 128;

/// Requests that are on their way on one connection.
const PIPELINED: usize = 32;

/// A flood that lasts until it is ended.
pub struct Flood {
    stop: Arc<AtomicBool>,
    connections: Vec<JoinHandle<()>>,
}

impl Flood {
    /// A platform that a flood overloads, however many processors there are: one thread serves its sockets.
    #[must_use]
    pub fn victim() -> Options {
        Options {
            variables: vec![("TOKIO_WORKER_THREADS".to_owned(), "1".to_owned())],
            ..Options::default()
        }
    }

    /// Begins to ask.
    #[must_use]
    pub fn of(platform: &Platform) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let ask = || tokio::spawn(ask_on(platform.socket(), Arc::clone(&stop)));
        let connections = (0..CONNECTIONS).map(|_| ask()).collect();
        Self { stop, connections }
    }

    /// Ends it.
    ///
    /// # Panics
    /// Where a request was not answered, or not with 404.
    pub async fn end(self) {
        self.stop.store(true, Ordering::Relaxed);
        for connection in self.connections {
            connection.await.expect("each request is answered");
        }
    }
}

async fn ask_on(address: SocketAddr, stop: Arc<AtomicBool>) {
    let requests = "GET / HTTP/1.1\r\nhost: nobody.localhost\r\n\r\n".repeat(PIPELINED);
    let mut connection = TcpStream::connect(address).await.expect("it is there");
    let mut answers = Vec::new();
    while !stop.load(Ordering::Relaxed) {
        let written = connection.write_all(requests.as_bytes()).await;
        written.expect("it goes on");
        answers.clear();
        while answered(&answers) < PIPELINED {
            let read = connection.read_buf(&mut answers).await;
            assert_ne!(read.expect("it goes on"), 0, "each is answered");
        }
    }
}

fn answered(answers: &[u8]) -> usize {
    let status = b"HTTP/1.1 404";
    let starts = answers.windows(status.len());
    starts.filter(|window| window == status).count()
}
