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

const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello";

fn traffic(address: SocketAddr, pace: Pace, failures: Failures) -> Traffic {
    Traffic {
        asks: vec![Ask::get(address, "/", Expected::Body(b"hello".to_vec()))],
        connections: 4,
        pace,
        failures,
    }
}

fn mix(address: SocketAddr, traffic: Vec<Traffic>) -> Mix {
    Mix {
        address,
        traffic,
        warm_up: Duration::from_millis(50),
        duration: Duration::from_millis(500),
        window: Duration::from_millis(100),
    }
}

/// Answers the first request of each connection and hangs up without an answer to the second.
fn serve_once() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut request = [0; 1_024];
                for answer in [ANSWER, b""] {
                    if stream.read(&mut request).is_ok_and(|read| read > 0) {
                        let _ = stream.write_all(answer);
                    }
                }
            });
        }
    });
    address
}

#[test]
fn a_pace_is_kept_and_every_request_that_was_due_counts() {
    let address = serve(ANSWER);
    let paced = traffic(address, Pace::Open(200.0), Failures::Fatal);
    let outcomes = mix(address, vec![paced]).run().unwrap();
    let [outcome] = &outcomes[..] else {
        panic!("{outcomes:?}");
    };
    // Those due at the ends may fall on either side.
    let due = outcome.answers.counted + outcome.unanswered;
    assert!((99..=101).contains(&due), "{outcome:?}");
}

#[test]
fn what_comes_due_while_the_client_itself_does_not_run_counts_with_its_lateness() {
    let address = serve(ANSWER);
    let paced = mix(
        address,
        vec![traffic(address, Pace::Open(200.0), Failures::Fatal)],
    );
    // Nothing ran from the beginning until half a second after the end.
    let late = Duration::from_millis(500);
    let length = paced.warm_up + paced.duration;
    let outcomes = paced.run_since(|| Instant::now() - length - late).unwrap();
    let counted = outcomes[0].answers.counted + outcomes[0].unanswered;
    assert!((99..=101).contains(&counted), "{outcomes:?}");
    let least = outcomes[0].answers.quantile(0.0);
    assert!(least >= 500_000.0, "{least} µs");
    // The first one that counts was due half a second before the last.
    let most = outcomes[0].answers.quantile(1.0);
    assert!(most >= 990_000.0, "{most} µs");
}

#[test]
fn requests_without_an_answer_count_with_the_time_that_they_waited() {
    // Takes connections and says nothing.
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let paced = traffic(address, Pace::Open(100.0), Failures::Counted);
    let outcomes = mix(address, vec![paced]).run().unwrap();
    assert_eq!(outcomes[0].answers.counted, 0);
    // Four found a connection; the others waited for one. All of them wait still.
    assert_eq!(outcomes[0].in_flight, 4);
    assert!((49..=51).contains(&outcomes[0].unanswered), "{outcomes:?}");
    let median = outcomes[0].answers.quantile(0.5);
    assert!(median >= 500_000.0, "{median} µs");
}

#[test]
fn failures_are_counted_where_they_are_expected_and_fatal_elsewhere() {
    let address = serve_once();
    let counted = traffic(address, Pace::Closed, Failures::Counted);
    let outcomes = mix(address, vec![counted]).run().unwrap();
    assert!(outcomes[0].failed > 0);
    assert!(outcomes[0].first_failure.is_some());
    // Each connection that was made anew got its one answer.
    assert!(outcomes[0].answers.all > 4);
    let fatal = traffic(address, Pace::Closed, Failures::Fatal);
    let error = mix(address, vec![fatal]).run().unwrap_err();
    assert!(matches!(error, LoadError::Connection { .. }), "{error}");
}

#[test]
fn slow_clients_do_not_hold_up_others() {
    let address = serve(ANSWER);
    let every = Duration::from_millis(10);
    let mut body = traffic(address, Pace::SlowBody(every), Failures::Counted);
    body.asks = vec![Ask::begin_post(address, "/", 1 << 20)];
    let reader = traffic(address, Pace::SlowReader(every), Failures::Counted);
    let closed = traffic(address, Pace::Closed, Failures::Fatal);
    let outcomes = mix(address, vec![body, reader, closed]).run().unwrap();
    assert!(outcomes[2].answers.counted > 0);
    assert_eq!(outcomes[2].in_flight, 4);
    assert_eq!(outcomes[1].answers.all, 0);
}

#[test]
fn load_that_makes_no_sense_is_refused() {
    let here = "127.0.0.1:1".parse().unwrap();
    let nothing = Traffic {
        asks: Vec::new(),
        ..traffic(here, Pace::Closed, Failures::Fatal)
    };
    let stopped = traffic(here, Pace::Open(0.0), Failures::Fatal);
    for wrong in [vec![], vec![nothing], vec![stopped]] {
        assert!(matches!(mix(here, wrong).run(), Err(LoadError::Bounds(_))));
    }
    let elsewhere = "192.0.2.1:80".parse().unwrap();
    let away = traffic(elsewhere, Pace::Closed, Failures::Fatal);
    let refused = mix(elsewhere, vec![away]).run();
    assert!(matches!(refused, Err(LoadError::NotLoopback(_))));
}
