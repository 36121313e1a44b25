//! Names of WIT interfaces as components import and export them, and when one stands for another.

use std::{fmt, str::FromStr};

use semver::Version;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// `namespace:package/interface@version`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct InterfaceName {
    /// `namespace:package/interface`, without the version.
    pub path: String,
    /// The version, which packages that are not published leave out.
    pub version: Option<Version>,
}

/// A text is no name of an interface.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is not the name of an interface, which looks like `namespace:package/name@1.0.0`"
)]
pub struct InterfaceNameError {
    text: String,
}

impl InterfaceName {
    /// `namespace:package`, without the interface and the version.
    #[must_use]
    pub fn package(&self) -> &str {
        self.path
            .split_once('/')
            .map_or(self.path.as_str(), |(package, _)| package)
    }

    /// True if both are the same interface, whatever their versions.
    pub(crate) fn is_version_of(&self, other: &Self) -> bool {
        self.path == other.path
    }

    /// True if the platform's own interfaces have this namespace. No package may declare one of its own there.
    pub(crate) fn is_platform(&self) -> bool {
        ["wasi:", "cloudware:"]
            .iter()
            .any(|namespace| self.path.starts_with(namespace))
    }

    /// True if a host that provides `self` can stand in for `wanted`.
    ///
    /// Released versions match within the same leading non-zero number (semver); drafts and other
    /// pre-releases match exactly, because they promise nothing.
    #[must_use]
    pub fn serves(&self, wanted: &Self) -> bool {
        self.path == wanted.path
            && match (&self.version, &wanted.version) {
                (Some(have), Some(want)) => have == want || same_track(have, want),
                (None, None) => true,
                _ => false,
            }
    }
}

fn same_track(a: &Version, b: &Version) -> bool {
    let released = a.pre.is_empty() && b.pre.is_empty();
    let track = |v: &Version| match (v.major, v.minor) {
        (0, 0) => (0, 0, v.patch),
        (0, minor) => (0, minor, 0),
        (major, _) => (major, 0, 0),
    };
    released && track(a) == track(b)
}

impl FromStr for InterfaceName {
    type Err = InterfaceNameError;

    fn from_str(text: &str) -> Result<Self, InterfaceNameError> {
        parse(text).ok_or_else(|| InterfaceNameError {
            text: text.chars().take(64).collect(),
        })
    }
}

fn parse(text: &str) -> Option<InterfaceName> {
    let (path, version) = match text.split_once('@') {
        Some((path, version)) => (path, Some(Version::parse(version).ok()?)),
        None => (text, None),
    };
    let (package, interface) = path.split_once('/')?;
    let (namespace, package) = package.split_once(':')?;
    let is_name = [namespace, package, interface].into_iter().all(is_kebab);
    is_name.then(|| InterfaceName {
        path: path.to_owned(),
        version,
    })
}

/// Words of letters and digits with a hyphen between each two, the first beginning with a letter.
fn is_kebab(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic())
        && text
            .split('-')
            .all(|word| !word.is_empty() && word.bytes().all(|b| b.is_ascii_alphanumeric()))
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.path),
            None => f.write_str(&self.path),
        }
    }
}

impl Serialize for InterfaceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for InterfaceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::InterfaceName;

    fn serves(have: &str, want: &str) -> bool {
        let parse = |text: &str| text.parse::<InterfaceName>().unwrap();
        parse(have).serves(&parse(want))
    }

    #[test]
    fn released_versions_match_by_semver() {
        assert!(serves("wasi:io/poll@0.2.12", "wasi:io/poll@0.2.0"));
        assert!(serves("a:b/c@1.2.0", "a:b/c@1.9.9"));
        assert!(!serves("a:b/c@1.2.0", "a:b/c@2.0.0"));
        assert!(!serves("wasi:http/types@0.2.12", "wasi:http/types@0.3.0"));
        assert!(!serves("a:b/c@0.0.1", "a:b/c@0.0.2"));
        assert!(!serves("a:b/c@1.0.0", "a:b/d@1.0.0"));
        assert!(!serves("a:b/c@1.0.0", "a:b/c"));
    }

    #[test]
    fn drafts_match_exactly() {
        let draft = "wasi:keyvalue/store@0.2.0-draft";
        assert!(serves(draft, draft));
        assert!(!serves(draft, "wasi:keyvalue/store@0.2.0-draft2"));
        assert!(!serves(draft, "wasi:keyvalue/store@0.2.0"));
        assert!(!serves(
            "wasi:http/handler@0.3.0",
            "wasi:http/handler@0.3.0-rc-2026-03-15"
        ));
    }

    #[test]
    fn names_that_are_not_interfaces() {
        for text in [
            "run",
            "a:b",
            "a/b",
            "a:b/",
            "a:b/c@x",
            "",
            ":b/c",
            "a:/c",
            "a:b/c/d",
            "a:b:c/d",
            "a:b/c d",
            "a:b/-c",
            "a:b/c--d",
            "a:b/1c",
            "a:b/ä",
            "a:b/c@1.0.0@2.0.0",
        ] {
            assert!(text.parse::<InterfaceName>().is_err(), "{text}");
        }
    }
}
