//! Answers every request with `hello`, HEAD with the length of that, seven hundred times where the path begins with `/long`, and traps a
//! moment after its answer where it ends with `/trap-later`, and where it begins with `/upload` when it has read the request's body to its
//! end, as a component of WASI 0.3 (`wasi:http/handler`).

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
