//! A reader of SQL's words: enough to say what a statement begins with, what it mainly does and
//! which names its text contains. What a statement may *touch* is decided by the authorizer, which sees what
//! SQLite understood; this only sorts out early what can never be right.

/// What a statement mainly does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    /// SELECT or VALUES.
    Read,
    /// INSERT or REPLACE.
    Insert,
    /// UPDATE or DELETE.
    Change,
    /// CREATE, ALTER or DROP.
    Define,
}

/// One word, name, text or sign.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token<'a> {
    /// A keyword or a bare name.
    Word(&'a str),
    /// What stands between quotation marks, brackets or backticks, or in a text literal: all of them can
    /// be names. Doubled marks are left as they are.
    Quoted(&'a str),
    /// Any other character.
    Sign(char),
}

/// The tokens of a text, comments left out.
pub(crate) struct Tokens<'a> {
    rest: &'a str,
}

/// Reads a text.
pub(crate) fn tokens(text: &str) -> Tokens<'_> {
    Tokens { rest: text }
}

impl<'a> Tokens<'a> {
    fn skip_blank(&mut self) {
        loop {
            // As SQLite does: other blanks of Unicode are parts of names, and a mark of the byte order is a blank
            // where a token begins.
            self.rest = self
                .rest
                .trim_start_matches(|c: char| c.is_ascii_whitespace() || c == '\u{feff}');
            if self.rest.starts_with("--") {
                self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
            } else if let Some(comment) = self.rest.strip_prefix("/*") {
                self.rest = comment.split_once("*/").map_or("", |(_, rest)| rest);
            } else {
                return;
            }
        }
    }

    fn quoted(&mut self, close: char) -> Token<'a> {
        let inner = &self.rest[1..];
        let mut end = 0;
        loop {
            match inner[end..].find(close) {
                None => {
                    self.rest = "";
                    return Token::Quoted(inner);
                }
                // A doubled mark stands for itself; brackets can't be doubled.
                Some(at) if close != ']' && inner[end + at + 1..].starts_with(close) => {
                    end += at + 2;
                }
                Some(at) => {
                    end += at;
                    self.rest = &inner[end + 1..];
                    return Token::Quoted(&inner[..end]);
                }
            }
        }
    }
}

impl<'a> Iterator for Tokens<'a> {
    type Item = Token<'a>;

    fn next(&mut self) -> Option<Token<'a>> {
        self.skip_blank();
        let first = self.rest.chars().next()?;
        Some(match first {
            '\'' | '"' | '`' => self.quoted(first),
            '[' => self.quoted(']'),
            c if is_word(c) => {
                let end = self.rest.find(|c| !is_word(c)).unwrap_or(self.rest.len());
                let (word, rest) = self.rest.split_at(end);
                self.rest = rest;
                Token::Word(word)
            }
            sign => {
                self.rest = &self.rest[sign.len_utf8()..];
                Token::Sign(sign)
            }
        })
    }
}

/// Where common table expressions can be put in front of those that the statement has of its own, where it has some:
/// behind `WITH` or `WITH RECURSIVE`.
pub(crate) fn behind_with(statement: &str) -> Option<usize> {
    let at = |tokens: &Tokens<'_>| statement.len() - tokens.rest.len();
    let mut tokens = tokens(statement);
    match tokens.next() {
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("with") => {}
        _ => return None,
    }
    let first = at(&tokens);
    match tokens.next() {
        Some(Token::Word(word)) if word.eq_ignore_ascii_case("recursive") => Some(at(&tokens)),
        _ => Some(first),
    }
}

/// Whether a name is written with the schema before it: `main.x`, however it is quoted.
pub(crate) fn has_qualified_name(text: &str) -> bool {
    let mut is_schema = false;
    for token in tokens(text) {
        match token {
            Token::Sign('.') if is_schema => return true,
            Token::Word(name) | Token::Quoted(name) => {
                is_schema = ["main", "temp"]
                    .iter()
                    .any(|schema| name.eq_ignore_ascii_case(schema));
            }
            Token::Sign(_) => is_schema = false,
        }
    }
    false
}

/// Whether a statement, or the definition of a table, replaces rows that are in the way: `REPLACE INTO`,
/// `OR REPLACE`, `ON CONFLICT REPLACE`, and not the function `replace()`.
pub(crate) fn replaces_rows(text: &str) -> bool {
    let mut is_replace = false;
    for token in tokens(text) {
        if is_replace && token != Token::Sign('(') {
            return true;
        }
        is_replace = matches!(token, Token::Word(word) if word.eq_ignore_ascii_case("replace"));
    }
    is_replace
}

fn is_word(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == '$' || !c.is_ascii()
}

/// What the statement mainly does; `None` where it is nothing that an app may run, or no statement at all.
pub(crate) fn verb(statement: &str) -> Option<Verb> {
    let mut tokens = tokens(statement);
    let Some(Token::Word(first)) = tokens.next() else {
        return None;
    };
    if !first.eq_ignore_ascii_case("with") {
        return verb_of(first);
    }
    // The verb after WITH is the first one outside the parentheses of the common table expressions.
    let mut depth = 0_usize;
    for token in tokens {
        match token {
            Token::Sign('(') => depth += 1,
            Token::Sign(')') => depth = depth.saturating_sub(1),
            Token::Word(word) if depth == 0 => {
                if let Some(verb) = verb_of(word) {
                    return Some(verb);
                }
            }
            _ => {}
        }
    }
    None
}

fn verb_of(word: &str) -> Option<Verb> {
    const VERBS: [(&str, Verb); 9] = [
        ("select", Verb::Read),
        ("values", Verb::Read),
        ("insert", Verb::Insert),
        ("replace", Verb::Insert),
        ("update", Verb::Change),
        ("delete", Verb::Change),
        ("create", Verb::Define),
        ("alter", Verb::Define),
        ("drop", Verb::Define),
    ];
    VERBS
        .iter()
        .find(|(name, _)| word.eq_ignore_ascii_case(name))
        .map(|(_, verb)| *verb)
}

/// The first name in the text that begins with one of `prefixes` (lower case), however it is written.
pub(crate) fn name_with_prefix<'a>(text: &'a str, prefixes: &[&str]) -> Option<&'a str> {
    tokens(text).find_map(|token| match token {
        Token::Word(name) | Token::Quoted(name) => prefixes
            .iter()
            .any(|prefix| begins_with(name, prefix))
            .then_some(name),
        Token::Sign(_) => None,
    })
}

/// Whether `name` begins with `prefix` as SQLite compares names: ASCII letters without case.
pub(crate) fn begins_with(name: &str, prefix: &str) -> bool {
    name.as_bytes()
        .get(..prefix.len())
        .is_some_and(|head| head.eq_ignore_ascii_case(prefix.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn verbs_are_found_behind_comments_and_common_tables() {
        for (statement, expected) in [
            ("select 1", Some(Verb::Read)),
            ("-- note\n/* x */ SELECT 1", Some(Verb::Read)),
            (
                "with a as (select 1) insert into t select * from a",
                Some(Verb::Insert),
            ),
            (
                "with a(update_) as (delete) update t set x = 1",
                Some(Verb::Change),
            ),
            ("values (1)", Some(Verb::Read)),
            ("create table t (x)", Some(Verb::Define)),
            ("pragma user_version", None),
            ("attach 'x' as y", None),
            ("begin", None),
            ("explain select 1", None),
            ("", None),
            ("/* unfinished", None),
            ("(select 1)", None),
        ] {
            assert_eq!(verb(statement), expected, "{statement}");
        }
    }

    #[test]
    fn names_are_found_however_they_are_quoted() {
        for text in [
            "select * from sqlite_master",
            "select * from \"SQLite_Master\"",
            "select * from [sqlite_schema]",
            "select * from `sqlite_schema`",
            "select * from 'sqlite_schema'",
            "select 1 /* */ from/**/sqlite_schema",
        ] {
            assert!(name_with_prefix(text, &["sqlite_"]).is_some(), "{text}");
        }
        assert_eq!(
            name_with_prefix("select 1 -- sqlite_master", &["sqlite_"]),
            None
        );
        assert_eq!(name_with_prefix("select my_sqlite_x", &["sqlite_"]), None);
    }

    #[test]
    fn schemas_before_names_are_seen_however_they_are_written() {
        for text in [
            "select * from main.t",
            "select * from MAIN . t",
            "select * from \"Main\"/**/.t",
            "select * from [temp].t",
            "select `main`--\n.t.x from t",
            "select * from \u{feff}main.t",
        ] {
            assert!(has_qualified_name(text), "{text}");
        }
        for text in [
            "select domain.x from t domain",
            "select 'main', t.x from t",
            "select 'main.t'",
        ] {
            assert!(!has_qualified_name(text), "{text}");
        }
    }

    #[test]
    fn replacing_rows_is_told_from_the_function() {
        for text in [
            "replace into t values (1)",
            "insert or replace into t values (1)",
            "update or/**/REPLACE t set x = 1",
            "insert or \u{feff}REPLACE into t values (1)",
            "create table t (x unique on conflict replace)",
        ] {
            assert!(replaces_rows(text), "{text}");
        }
        assert!(!replaces_rows(
            "update t set x = replace (x, 'a', 'replace into')"
        ));
    }

    #[test]
    fn the_place_behind_with_is_found() {
        for (text, before) in [
            ("with a as (select 1) select 1", "with"),
            (
                "/* with */ WITH/**/Recursive a as (select 1) select 1",
                "/* with */ WITH/**/Recursive",
            ),
        ] {
            assert_eq!(behind_with(text), Some(before.len()), "{text}");
        }
        assert_eq!(behind_with("select 1"), None);
    }

    #[test]
    fn doubled_marks_stay_inside() {
        let all: Vec<_> = tokens("'it''s' x").collect();
        assert_eq!(all, [Token::Quoted("it''s"), Token::Word("x")]);
    }
}
