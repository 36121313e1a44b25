//! Text that comes in pieces, cut into lines.

use crate::limits::LINE_BYTES_MAX;

/// What has no line break yet.
#[derive(Default)]
pub(crate) struct Lines {
    pending: Vec<u8>,
}

impl Lines {
    /// Takes a piece, and gives each line that is complete now. Empty ones are left out, and one that is too long is
    /// several.
    pub(crate) fn take(&mut self, bytes: &[u8], mut line: impl FnMut(&str)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            let room = LINE_BYTES_MAX.saturating_sub(self.pending.len());
            for chunk in split_first_at(piece, room) {
                self.pending.extend_from_slice(chunk);
                if self.pending.len() >= LINE_BYTES_MAX {
                    self.end(&mut line);
                }
            }
            if piece.ends_with(b"\n") {
                self.end(&mut line);
            }
        }
    }

    /// Gives what has no line break as a line.
    pub(crate) fn end(&mut self, mut line: impl FnMut(&str)) {
        let text = String::from_utf8_lossy(&self.pending);
        let text = text.trim_end_matches(['\n', '\r']);
        if !text.is_empty() {
            line(text);
        }
        self.pending.clear();
    }
}

/// `bytes` in pieces: the first of at most `room` bytes, the others of at most a line's length.
fn split_first_at(bytes: &[u8], room: usize) -> impl Iterator<Item = &[u8]> {
    let (first, rest) = bytes.split_at(room.min(bytes.len()));
    std::iter::once(first).chain(rest.chunks(LINE_BYTES_MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn taken(lines: &mut Lines, bytes: &[u8]) -> Vec<String> {
        let mut taken = Vec::new();
        lines.take(bytes, |line| taken.push(line.to_owned()));
        taken
    }

    #[test]
    fn lines_are_cut_at_breaks_and_where_they_are_too_long() {
        let mut lines = Lines::default();
        assert_eq!(taken(&mut lines, b"a\r\n\nb\nc"), ["a", "b"]);
        assert_eq!(taken(&mut lines, b"d\n"), ["cd"]);
        let long = [b'x'; LINE_BYTES_MAX + 1];
        assert_eq!(taken(&mut lines, &long), ["x".repeat(LINE_BYTES_MAX)]);
        let mut last = Vec::new();
        lines.end(|line| last.push(line.to_owned()));
        lines.end(|line| last.push(line.to_owned()));
        assert_eq!(last, ["x"]);
    }
}
