//! Answers every request with `hello`, HEAD with the length of that, seven hundred times where the path begins with `/long`, and traps a
//! moment after its answer where it ends with `/trap-later`, and where it begins with `/upload` when it has read the request's body to its
//! end, as a component of WASI 0.3 (`wasi:http/handler`). `/names/N` makes a request with a method and an authority of N bytes, and changes a
//! list of headers; it answers with what was refused. `/copy/N` hands the same N bytes on through a stream of its own for ever, and waits for nothing.

use std::{
    future::Future,
    pin::pin,
    task::{Context, Poll, Waker},
};

use wasip3::{
    clocks::monotonic_clock,
    http::types::{ErrorCode, Fields, Method, Request, Response},
    wit_bindgen, wit_future, wit_stream,
};

wasip3::http::service::export!(Hello);

const CONTENT_TYPE: &[u8] = b"text/plain; charset=utf-8";
/// Nanoseconds.
const MOMENT: u64 = 20_000_000;
const HELLO: &[u8] = b"hello\n";

struct Hello;

/// What was refused of names of so many bytes, and how many values a list has after some were taken out.
fn names(length: usize) -> String {
    let long = "X".repeat(length);
    let (trailers, no_trailers) = wit_future::new(|| Ok(None));
    drop(trailers);
    let (request, _sent) = Request::new(Fields::new(), None, no_trailers, None);
    let method = request.set_method(&Method::Other(long.clone()));
    let authority = request.set_authority(Some(&long));
    let told = [method, authority].map(|taken| if taken.is_ok() { "taken" } else { "refused" });
    let fields = Fields::new();
    let value = |text: &str| text.as_bytes().to_vec();
    let set = fields.set("x-many", &[value("1"), value("2"), value("3")]);
    let fewer = fields.set("x-many", &[value("4")]);
    let other = fields.append("x-other", &value("5"));
    let gone = fields.get_and_delete("x-other").map(|values| values.len());
    let deleted = fields.delete("x-none");
    let all_well = set.is_ok() && fewer.is_ok() && other.is_ok() && deleted.is_ok();
    let left = fields.copy_all().len();
    format!("{} {} {all_well} {gone:?} {left}", told[0], told[1])
}

/// Has the engine copy so many bytes for ever, and never waits for it: a write that has begun is read at once, and has ended when it is
/// to be cancelled.
fn copy(length: usize) {
    let (mut from, mut to) = wit_stream::new::<u8>();
    let (mut written, mut read) = (vec![b'x'; length], Vec::with_capacity(length));
    let mut context = Context::from_waker(Waker::noop());
    loop {
        let mut writing = pin!(from.write(written));
        assert!(writing.as_mut().poll(&mut context).is_pending());
        let Poll::Ready((_, copied)) = pin!(to.read(read)).poll(&mut context) else {
            panic!("what is written is not read");
        };
        let (_, empty) = writing.cancel();
        (written, read) = (copied, empty.into_vec());
        read.clear();
    }
}

impl wasip3::exports::http::handler::Guest for Hello {
    async fn handle(request: Request) -> Result<Response, ErrorCode> {
        let content_type = ("content-type".to_owned(), CONTENT_TYPE.to_vec());
        let headers = Fields::from_list(&[content_type]).expect("the header is valid");
        if matches!(request.get_method(), Method::Head) {
            let length = HELLO.len().to_string().into_bytes();
            let set = headers.set("content-length", &[length]);
            set.expect("the header is valid");
            let (trailers, no_trailers) = wit_future::new(|| Ok(None));
            drop(trailers);
            return Ok(Response::new(headers, None, no_trailers).0);
        }
        let path = request.get_path_with_query().unwrap_or_default();
        if let Some(length) = path.strip_prefix("/names/") {
            let told = names(length.parse().unwrap_or(0));
            headers.set("x-names", &[told.into_bytes()]).expect("the header is valid");
        }
        if let Some(length) = path.strip_prefix("/copy/") {
            copy(length.parse().unwrap_or(0));
        }
        let is_trap = path.ends_with("/trap-later");
        let times = if path.starts_with("/long") { 700 } else { 1 };
        if path.starts_with("/upload") {
            let (done, result) = wit_future::new(|| Ok(()));
            drop(done);
            let (body, _trailers) = Request::consume_body(request, result);
            body.collect().await;
        }
        let (mut body, contents) = wit_stream::new();
        let (trailers, no_trailers) = wit_future::new(|| Ok(None));
        drop(trailers);
        let (response, _sent) = Response::new(headers, Some(contents), no_trailers);
        wit_bindgen::spawn_local(async move {
            // A peer that has gone away leaves a rest; nobody is left to be told.
            body.write_all(HELLO.repeat(times)).await;
            drop(body);
            if is_trap {
                monotonic_clock::wait_for(MOMENT).await;
                panic!("the guest traps because it was asked to");
            }
        });
        Ok(response)
    }
}
