//! The load generator against real servers.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use super::*;

fn load(address: SocketAddr) -> Load<'static> {
    Load {
        address,
        path: "/",
        expected: b"hello",
        connections: 3,
        warm_up: Duration::from_millis(20),
        duration: Duration::from_millis(200),
    }
}

/// Answers every request on every connection with the same bytes.
fn serve(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 1_024];
                while stream.read(&mut request).is_ok_and(|read| read > 0) {
                    if stream.write_all(answer).is_err() {
                        return;
                    }
                }
            });
        }
    });
    address
}

#[test]
fn answers_are_counted_and_timed() {
    let address = serve(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello");
    let answers = load(address).run().unwrap();
    assert!(answers.counted > 0);
    // The answers of the warm-up and the last ones do not count.
    assert!(answers.all > answers.counted);
    assert!(answers.rate() > 0.0);
    assert!(answers.quantile(0.5) > 0.0);
    assert!(answers.quantile(0.99) >= answers.quantile(0.5));
    assert!(answers.quantile(1.0) <= 220_000.0 + SILENCE_MAX.as_micros() as f64);
}

#[test]
fn one_wrong_answer_fails_the_run() {
    let address = serve(b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\n\r\n");
    let error = load(address).run().unwrap_err();
    assert!(matches!(error, LoadError::Answer { .. }), "{error}");
}

#[test]
fn a_server_that_hangs_up_fails_the_run() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || listener.incoming().for_each(drop));
    let error = load(address).run().unwrap_err();
    assert!(matches!(error, LoadError::Connection { .. }), "{error}");
}

#[test]
fn load_stays_on_this_machine_and_within_bounds() {
    let elsewhere = "192.0.2.1:80".parse().unwrap();
    assert!(matches!(
        load(elsewhere).run(),
        Err(LoadError::NotLoopback(_))
    ));
    let here = "127.0.0.1:1".parse().unwrap();
    let none = Load {
        connections: 0,
        ..load(here)
    };
    let long = Load {
        duration: TIME_MAX * 2,
        ..load(here)
    };
    for outside in [none, long] {
        assert!(matches!(outside.run(), Err(LoadError::Bounds(_))));
    }
}
