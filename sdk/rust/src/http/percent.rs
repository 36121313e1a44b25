//! Percent-encoding of paths, and the pairs of queries and forms.

use std::borrow::Cow;

/// Decodes `%xx`. A `%` that two hexadecimal digits don't follow stays as it is; bytes that are not
/// UTF-8 become replacement characters.
#[must_use]
pub fn decode(text: &str) -> Cow<'_, str> {
    if !text.contains('%') {
        return Cow::Borrowed(text);
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let escaped = (bytes[at] == b'%')
            .then(|| Some((hex(*bytes.get(at + 1)?)?, hex(*bytes.get(at + 2)?)?)))
            .flatten();
        match escaped {
            Some((high, low)) => {
                decoded.push(high << 4 | low);
                at += 3;
            }
            None => {
                decoded.push(bytes[at]);
                at += 1;
            }
        }
    }
    Cow::Owned(String::from_utf8_lossy(&decoded).into_owned())
}

fn hex(digit: u8) -> Option<u8> {
    // A hexadecimal digit is below 16.
    char::from(digit).to_digit(16).map(|value| value as u8)
}

/// Encodes a text as one segment of a path or one part of a query: everything but letters, digits
/// and `-._~` becomes `%XX`.
#[must_use]
pub fn encode_segment(text: &str) -> String {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            encoded.push(char::from(DIGITS[usize::from(byte >> 4)]));
            encoded.push(char::from(DIGITS[usize::from(byte & 15)]));
        }
    }
    encoded
}

/// The decoded pairs of a query or of an `application/x-www-form-urlencoded` body, in order. A part
/// without `=` has an empty value.
#[must_use]
pub fn parse_pairs(text: &str) -> Vec<(String, String)> {
    let decode_part = |part: &str| decode(&part.replace('+', " ")).into_owned();
    text.split('&')
        .filter(|part| !part.is_empty())
        .map(|part| {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            (decode_part(name), decode_part(value))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_decoded_and_all_else_is_kept() {
        assert_eq!(decode("a%20b%C3%A4"), "a bä");
        assert_eq!(decode("100%"), "100%");
        assert_eq!(decode("%2"), "%2");
        assert_eq!(decode("%zz%+1"), "%zz%+1");
        assert_eq!(decode("%ff"), "\u{fffd}");
        assert_eq!(decode("a+b"), "a+b");
    }

    #[test]
    fn an_encoded_segment_decodes_to_itself() {
        for text in ["A-1", "a b/c?d=e&f%", "ä€", ""] {
            let encoded = encode_segment(text);
            assert!(!encoded.contains(['/', '?', '&', ' ', '#']), "{encoded}");
            assert_eq!(decode(&encoded), text);
        }
    }

    #[test]
    fn pairs_of_a_query() {
        let pairs = parse_pairs("sku=A%261&&empty=&flag&text=a+b%2B");
        let expected = [
            ("sku", "A&1"),
            ("empty", ""),
            ("flag", ""),
            ("text", "a b+"),
        ];
        assert_eq!(pairs, expected.map(|(n, v)| (n.to_owned(), v.to_owned())));
    }
}
