//! Reads one HTTP/1.1 answer and compares it with the expected one.

use httparse::Status;

/// Headers of one answer.
const HEADERS_MAX: usize = 64;

/// Bytes of a wrong answer that are shown.
const SHOWN_BYTES_MAX: usize = 500;

/// What an answer must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::bench) enum Expected {
    /// Status 200 with this body.
    Body(Vec<u8>),
    /// Any status of success, with any body.
    Success,
}

/// True if `bytes` are one whole answer and the expected one; false if more bytes are needed to know.
///
/// # Errors
/// What is wrong with the answer, in words.
pub(super) fn check(bytes: &[u8], expected: &Expected) -> Result<bool, String> {
    let mut headers = [httparse::EMPTY_HEADER; HEADERS_MAX];
    let mut head = httparse::Response::new(&mut headers);
    let body_at = match head.parse(bytes) {
        Ok(Status::Complete(length)) => length,
        Ok(Status::Partial) => return Ok(false),
        Err(error) => return Err(format!("its head is not HTTP: {error}")),
    };
    let status = head.code.unwrap_or(0);
    let rest = &bytes[body_at..];
    let is_success = match expected {
        Expected::Body(_) => status == 200,
        Expected::Success => (200..300).contains(&status),
    };
    if !is_success {
        return Err(format!("its status is {status}: {}", shown(rest)));
    }
    let framing = Framing::of(head.headers)?;
    match framing {
        Framing::Length(length) if rest.len() < length => Ok(false),
        Framing::Length(length) if rest.len() > length => {
            Err("bytes follow it that nobody asked for".to_owned())
        }
        Framing::Length(_) => compare(rest, expected),
        Framing::Chunked => match chunks(rest)? {
            Some(body) => compare(&body, expected),
            None => Ok(false),
        },
    }
}

/// How the end of a body is told.
enum Framing {
    Length(usize),
    Chunked,
}

impl Framing {
    fn of(headers: &[httparse::Header<'_>]) -> Result<Self, String> {
        let value = |name: &str| {
            let header = headers.iter().find(|h| h.name.eq_ignore_ascii_case(name))?;
            std::str::from_utf8(header.value).ok()
        };
        if value("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Err("it closes the connection, which would be measured too".to_owned());
        }
        if value("transfer-encoding").is_some_and(|value| value.eq_ignore_ascii_case("chunked")) {
            return Ok(Self::Chunked);
        }
        let length = value("content-length").and_then(|length| length.trim().parse().ok());
        let length = length.ok_or("it has neither a content-length nor chunks")?;
        Ok(Self::Length(length))
    }
}

/// The body that chunks carry, if all of them are there.
fn chunks(mut bytes: &[u8]) -> Result<Option<Vec<u8>>, String> {
    let mut body = Vec::new();
    loop {
        let (start, size) = match httparse::parse_chunk_size(bytes) {
            Ok(Status::Complete((start, size))) => (start, size),
            Ok(Status::Partial) => return Ok(None),
            Err(_) => return Err("the size of a chunk is not a number".to_owned()),
        };
        let size = usize::try_from(size).map_err(|_| "a chunk is too large".to_owned())?;
        // A chunk and, after the last one, the trailers end with an empty line.
        let Some(end) = start.checked_add(size).filter(|end| end + 2 <= bytes.len()) else {
            return Ok(None);
        };
        if &bytes[end..end + 2] != b"\r\n" {
            return Err("a chunk does not end where it says".to_owned());
        }
        if size == 0 {
            return Ok(Some(body));
        }
        body.extend_from_slice(&bytes[start..end]);
        bytes = &bytes[end + 2..];
    }
}

fn compare(body: &[u8], expected: &Expected) -> Result<bool, String> {
    match expected {
        Expected::Body(expected) if body != expected => {}
        _ => return Ok(true),
    }
    Err(format!("its body is {}", shown(body)))
}

fn shown(bytes: &[u8]) -> String {
    let part = &bytes[..bytes.len().min(SHOWN_BYTES_MAX)];
    format!("{:?}", String::from_utf8_lossy(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn body(text: &str) -> Expected {
        Expected::Body(text.as_bytes().to_vec())
    }

    /// The verdict on every beginning of an answer must be "more is needed", until it is whole.
    fn whole(answer: &str, expected: &str) {
        let bytes = answer.as_bytes();
        for length in 0..bytes.len() {
            assert_eq!(
                check(&bytes[..length], &body(expected)),
                Ok(false),
                "{length} bytes"
            );
        }
        assert_eq!(check(bytes, &body(expected)), Ok(true));
    }

    #[test]
    fn an_answer_is_whole_at_its_last_byte() {
        whole("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", "hello");
        whole(
            "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n",
            "hello",
        );
        whole("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "");
    }

    #[test]
    fn wrong_answers_are_named() {
        let refused = |answer: &str| check(answer.as_bytes(), &body("hello")).unwrap_err();
        let cases = [
            (
                "HTTP/1.1 429 Too Many\r\ncontent-length: 4\r\n\r\nslow",
                "429",
            ),
            ("HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nHELLO", "HELLO"),
            (
                "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello!",
                "follow",
            ),
            ("HTTP/1.1 200 OK\r\n\r\nhello", "content-length"),
            (
                "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 5\r\n\r\nhello",
                "closes",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n",
                "size",
            ),
            (
                "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhello",
                "end",
            ),
            ("nonsense\r\n\r\n", "HTTP"),
        ];
        for (answer, word) in cases {
            let reason = refused(answer);
            assert!(reason.contains(word), "{answer:?} gave {reason:?}");
        }
    }

    #[test]
    fn any_success_is_one_where_the_body_does_not_matter() {
        let created = b"HTTP/1.1 201 Created\r\ncontent-length: 2\r\n\r\n{}";
        assert_eq!(check(created, &Expected::Success), Ok(true));
        assert!(check(created, &body("{}")).is_err());
        let refused = b"HTTP/1.1 429 Too Many\r\ncontent-length: 0\r\n\r\n";
        assert!(check(refused, &Expected::Success).is_err());
    }

    #[test]
    fn a_chunk_of_absurd_size_does_not_overflow() {
        let answer = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nffffffffffffffff\r\nx";
        assert_eq!(check(answer, &body("hello")), Ok(false));
    }
}
