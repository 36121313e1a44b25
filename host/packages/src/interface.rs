//! Names of WIT interfaces as components import and export them, and when one stands for another.

use std::{fmt, str::FromStr};

use semver::Version;

/// `namespace:package/interface@version`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InterfaceName {
    /// `namespace:package/interface`, without the version.
    pub path: String,
    /// The version, which packages that are not published leave out.
    pub version: Option<Version>,
}

impl InterfaceName {
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
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (path, version) = match text.split_once('@') {
            Some((path, version)) => (path, Some(Version::parse(version).map_err(|_| ())?)),
            None => (text, None),
        };
        let (package, interface) = path.split_once('/').ok_or(())?;
        if interface.is_empty() || !package.contains(':') {
            return Err(());
        }
        Ok(Self {
            path: path.to_owned(),
            version,
        })
    }
}

impl fmt::Display for InterfaceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.version {
            Some(version) => write!(f, "{}@{version}", self.path),
            None => f.write_str(&self.path),
        }
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
        for text in ["run", "a:b", "a/b", "a:b/", "a:b/c@x", ""] {
            assert!(text.parse::<InterfaceName>().is_err(), "{text}");
        }
    }
}
