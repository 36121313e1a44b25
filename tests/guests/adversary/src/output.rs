//! Misuse of what leaves the sandbox: logs, bodies, headers, status.

use std::io::{self, Write as _};

use cloudware_sdk::http::{BodyWriter, Request, Response};
use wasip2::{
    http::types::{ErrorCode, Fields, OutgoingBody, OutgoingResponse, ResponseOutparam},
    io::streams::OutputStream,
};

use crate::number;

const LINE: &str = "the adversary floods the log with lines such as this one, again and again\n";

/// Writes a number of bytes to standard output and as many to standard error.
pub fn logs(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(10 << 20);
    for _ in 0..bytes.div_ceil(LINE.len() as u64) {
        print!("{LINE}");
        eprint!("{LINE}");
    }
    Response::text(format!("logged {bytes}"))
}

/// Writes a number of bytes to standard output and as many to standard error, without the end of a line.
pub fn unended_line(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(0);
    let text = "x".repeat(usize::try_from(bytes).unwrap_or(usize::MAX));
    print!("{text}");
    eprint!("{text}");
    // Nothing else would flush what is no whole line.
    match io::stdout().flush() {
        Ok(()) => Response::text(format!("printed {bytes}")),
        Err(error) => Response::text(error.to_string()),
    }
}

/// Streams a number of bytes.
pub fn big_response(request: Request) -> Response {
    let bytes = number(&request, "bytes").unwrap_or(1 << 20);
    Response::stream("application/octet-stream", move |writer| {
        write_zeros(writer, bytes)
    })
}

/// Streams for ever.
pub fn endless_response(_request: Request) -> Response {
    Response::stream("application/octet-stream", |writer| {
        write_zeros(writer, u64::MAX)
    })
}

fn write_zeros(writer: &mut BodyWriter, bytes: u64) -> io::Result<()> {
    const CHUNK: [u8; 16_384] = [b'0'; 16_384];
    let mut left = bytes;
    while left > 0 {
        let count = usize::try_from(left).map_or(CHUNK.len(), |left| left.min(CHUNK.len()));
        writer.write_all(&CHUNK[..count])?;
        left -= count as u64;
    }
    Ok(())
}

/// Answers the host with an error in place of a response.
pub fn error_response(out: ResponseOutparam) {
    let error = ErrorCode::InternalError(Some("the adversary gives an error".into()));
    ResponseOutparam::set(out, Err(error));
}

/// The same with an error of as many bytes as the target says.
pub fn long_error(target: &str, out: ResponseOutparam) {
    let bytes = target.rsplit('=').next().and_then(|bytes| bytes.parse().ok());
    let error = ErrorCode::InternalError(Some("E".repeat(bytes.unwrap_or(0))));
    ResponseOutparam::set(out, Err(error));
}

/// Declares 10 bytes and sends others.
pub fn wrong_length(out: ResponseOutparam, bytes: &[u8]) {
    let headers = Fields::from_list(&[("content-length".into(), b"10".to_vec())])
        .expect("the header is valid");
    let response = OutgoingResponse::new(headers);
    let body = response.body().expect("the body is taken once");
    ResponseOutparam::set(out, Ok(response));
    let stream = body.write().expect("the stream is taken once");
    // The host may refuse what is too much.
    let _ = OutputStream::blocking_write_and_flush(&stream, bytes);
    drop(stream);
    let _ = OutgoingBody::finish(body, None);
}

/// Tries headers that HTTP does not allow and answers, line by line, whether each was refused.
pub fn bad_header(_request: Request) -> Response {
    let tries: [(&str, &[u8]); 6] = [
        ("bad name", b"x"),
        ("", b"x"),
        ("x-newline", b"a\r\nset-cookie: b=c"),
        ("x-nul", b"a\0b"),
        ("connection", b"upgrade"),
        ("transfer-encoding", b"chunked"),
    ];
    let lines = tries.iter().map(|(name, value)| {
        let result = Fields::new().append(name, value);
        let verdict = if result.is_err() { "refused" } else { "taken" };
        format!("{name:?}: {verdict}\n")
    });
    Response::text(lines.collect::<String>())
}

/// Tries status codes that HTTP does not have and answers whether each was refused.
pub fn bad_status(_request: Request) -> Response {
    let lines = [0, 99, 1000, u16::MAX].iter().map(|&code| {
        let result = OutgoingResponse::new(Fields::new()).set_status_code(code);
        let verdict = if result.is_err() { "refused" } else { "taken" };
        format!("{code}: {verdict}\n")
    });
    Response::text(lines.collect::<String>())
}

/// Streams the request body back, piece by piece.
pub fn echo(request: Request) -> Response {
    let content_type = request
        .header("content-type")
        .unwrap_or_else(|| "application/octet-stream".into());
    Response::stream(&content_type, move |writer| {
        let mut reader = request.body_reader().map_err(io::Error::other)?;
        while let Some(chunk) = reader.next_chunk().map_err(io::Error::other)? {
            writer.write_all(&chunk)?;
        }
        Ok(())
    })
}

/// Takes the request body, and whatever became of it, streams for ever.
pub fn drain(request: Request) -> Response {
    if let Ok(mut reader) = request.body_reader() {
        while let Ok(Some(_)) = reader.next_chunk() {}
    }
    endless_response(request)
}

/// Answers what the guest sees of the request: method, target and every header, in order.
pub fn headers(request: Request) -> Response {
    let headers: Vec<(String, String)> = request
        .headers()
        .into_iter()
        .map(|(name, value)| (name, String::from_utf8_lossy(&value).into_owned()))
        .collect();
    Response::json(&serde_json::json!({
        "method": request.method().as_str(),
        "target": request.target(),
        "prefix": request.prefix(),
        "headers": headers,
    }))
}
