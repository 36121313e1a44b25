//! Reads the canonical text of a type back into its parts, so that two types can be compared place by place.

/// Levels that are read; the texts that this crate writes have fewer.
const LEVELS_MAX: usize = 2 * crate::limits::TYPE_NESTING_MAX;

/// A type: `list<u8>` has the head `list` and one part, `record { a: u8 }` one part with a label.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Type<'a> {
    pub(super) text: &'a str,
    pub(super) head: &'a str,
    pub(super) parts: Vec<Part<'a>>,
}

/// A field, a case, a flag or an argument.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Part<'a> {
    /// The whole part as it is written.
    pub(super) text: &'a str,
    /// The name of a field, case or flag.
    pub(super) label: Option<&'a str>,
    /// The type, where it has one.
    pub(super) ty: Option<Type<'a>>,
}

/// The type that a text is, if it is one as this crate writes them.
pub(super) fn read(text: &str) -> Option<Type<'_>> {
    let mut cursor = Cursor { text, at: 0 };
    let ty = cursor.ty(0)?;
    cursor.rest().is_empty().then_some(ty)
}

struct Cursor<'a> {
    text: &'a str,
    at: usize,
}

impl<'a> Cursor<'a> {
    fn rest(&self) -> &'a str {
        &self.text[self.at..]
    }

    fn skip(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    fn word(&mut self) -> Option<&'a str> {
        let rest = self.rest();
        let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
        let end = rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        self.at += end;
        (end > 0).then(|| &rest[..end])
    }

    fn ty(&mut self, level: usize) -> Option<Type<'a>> {
        if level > LEVELS_MAX {
            return None;
        }
        let start = self.at;
        let head = self.word()?;
        let parts = if self.skip(" { ") {
            let has_types = matches!(head, "record" | "variant");
            self.parts(" }", |cursor| cursor.labelled(has_types, level))?
        } else if self.skip("<") {
            self.parts(">", |cursor| cursor.argument(level))?
        } else {
            Vec::new()
        };
        Some(Type {
            text: &self.text[start..self.at],
            head,
            parts,
        })
    }

    fn parts(
        &mut self,
        end: &str,
        part: impl Fn(&mut Self) -> Option<Part<'a>>,
    ) -> Option<Vec<Part<'a>>> {
        let mut parts = Vec::new();
        loop {
            parts.push(part(self)?);
            if self.skip(end) {
                return Some(parts);
            }
            if !self.skip(", ") {
                return None;
            }
        }
    }

    /// `name: T`, `name(T)` or `name`.
    fn labelled(&mut self, has_types: bool, level: usize) -> Option<Part<'a>> {
        let start = self.at;
        let label = self.word()?;
        let ty = if has_types && self.skip(": ") {
            Some(self.ty(level + 1)?)
        } else if has_types && self.skip("(") {
            let ty = self.ty(level + 1)?;
            self.skip(")").then_some(())?;
            Some(ty)
        } else {
            None
        };
        Some(Part {
            text: &self.text[start..self.at],
            label: Some(label),
            ty,
        })
    }

    /// `T` or `_`.
    fn argument(&mut self, level: usize) -> Option<Part<'a>> {
        let ty = self.ty(level + 1)?;
        Some(Part {
            text: ty.text,
            label: None,
            ty: (ty.text != "_").then_some(ty),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::read;

    #[test]
    fn what_is_written_is_read() {
        let text = "result<tuple<u8, list<record { a-b: u8, list: option<string> }>>, variant { none, some(enum { x, y }) }>";
        let ty = read(text).unwrap();
        assert_eq!((ty.head, ty.text, ty.parts.len()), ("result", text, 2));
        let tuple = ty.parts[0].ty.as_ref().unwrap();
        assert_eq!((tuple.head, tuple.parts.len()), ("tuple", 2));
        let record = tuple.parts[1].ty.as_ref().unwrap().parts[0].ty.as_ref();
        let fields = &record.unwrap().parts;
        assert_eq!(
            (fields[0].label, fields[1].label),
            (Some("a-b"), Some("list"))
        );
        assert_eq!(fields[1].ty.as_ref().unwrap().text, "option<string>");
        let variant = ty.parts[1].ty.as_ref().unwrap();
        assert_eq!(variant.parts[0].text, "none");
        assert_eq!(variant.parts[1].text, "some(enum { x, y })");
    }

    #[test]
    fn an_absent_argument_has_no_type() {
        let ty = read("result<_, string>").unwrap();
        assert!(ty.parts[0].ty.is_none() && ty.parts[1].ty.is_some());
    }

    #[test]
    fn other_texts_are_no_types() {
        let deep = format!("{}u8{}", "list<".repeat(10_000), ">".repeat(10_000));
        for text in [
            "",
            "list<",
            "list<u8",
            "record { a: }",
            "record { a",
            "u8>",
            "a b",
            &deep,
        ] {
            assert!(read(text).is_none(), "{text}");
        }
    }
}
