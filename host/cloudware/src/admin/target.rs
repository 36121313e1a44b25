//! Targets: what a command is about, as people write it: `acme`, `acme/main`,
//! `acme/main/inventory-stock`, each part a name or an id; for quotas also `plan/pro`, and within an instance
//! extension points and hooks.

use std::str::FromStr;

use anyhow::{Result, bail};

/// The longest id or name.
const PART_BYTES_MAX: usize = 64;

/// A tenant, an instance or an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    tenant: String,
    instance: Option<String>,
    app: Option<AppAt>,
}

/// What quotas are set for: a plan, a tenant, an instance or an install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum QuotaTarget {
    /// A plan, `plan/pro`. No tenant has the name `plan`.
    Plan(String),
    /// Something of a tenant.
    Place(Target),
}

/// An instance, `tenant/instance`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct InstanceTarget {
    pub(crate) tenant: String,
    pub(crate) instance: String,
}

/// An app, or an app at a version: `inventory-stock`, `inventory-stock@1.0.0`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AppAt {
    pub(crate) app: String,
    pub(crate) version: Option<String>,
}

/// An extension point, `inventory-stock/allocation`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PointName {
    pub(crate) app: String,
    pub(crate) point: String,
}

/// A hook: its id, or app, point and name, `inventory-stock/allocation/ext-fefo`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct HookName(Vec<String>);

impl HookName {
    /// The hook in a path of the API. What has slashes for people has dots there, because it is one segment.
    pub(crate) fn segment(&self) -> String {
        self.0.join(".")
    }
}

impl Target {
    /// The path of the target in the API.
    pub(crate) fn path(&self) -> String {
        let mut path = format!("/tenants/{}", self.tenant);
        if let Some(instance) = &self.instance {
            path.push_str(&format!("/instances/{instance}"));
        }
        if let Some(app) = &self.app {
            path.push_str(&format!("/installs/{}", app.app));
        }
        path
    }

    /// The path of the instance or tenant, and the app where one is named.
    pub(crate) fn split(&self) -> (String, Option<&str>) {
        let place = Self {
            app: None,
            ..self.clone()
        };
        (place.path(), self.app.as_ref().map(|app| app.app.as_str()))
    }

    /// Tenant, instance and app, for queries that name them apart.
    pub(crate) fn parts(&self) -> (Option<&str>, Option<&str>, Option<&str>) {
        (
            Some(&self.tenant),
            self.instance.as_deref(),
            self.app.as_ref().map(|app| app.app.as_str()),
        )
    }

    /// The instance and the app, of which the latter may be given apart.
    ///
    /// # Errors
    /// A target without instance; an app that is missing or given twice.
    pub(crate) fn install(self, apart: Option<AppAt>) -> Result<(InstanceTarget, AppAt)> {
        let Some(instance) = self.instance else {
            bail!("name the instance too: {}/INSTANCE", self.tenant);
        };
        let place = InstanceTarget {
            tenant: self.tenant,
            instance,
        };
        match (self.app, apart) {
            (Some(app), None) | (None, Some(app)) => Ok((place, app)),
            (None, None) => bail!("name the app too: {}/{} APP", place.tenant, place.instance),
            (Some(_), Some(_)) => bail!("name the app once"),
        }
    }
}

impl QuotaTarget {
    /// The path of the target in the API.
    pub(crate) fn path(&self) -> String {
        match self {
            Self::Plan(plan) => format!("/plans/{plan}"),
            Self::Place(target) => target.path(),
        }
    }
}

impl FromStr for QuotaTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix("plan/") {
            Some(plan) => Ok(Self::Plan(name(plan)?)),
            None if text == "plan" => Err("write which plan, such as plan/pro".to_owned()),
            None => Ok(Self::Place(text.parse()?)),
        }
    }
}

impl InstanceTarget {
    /// The path of the instance in the API.
    pub(crate) fn path(&self) -> String {
        format!("/tenants/{}/instances/{}", self.tenant, self.instance)
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.splitn(3, '/');
        let tenant = name(parts.next().unwrap_or_default())?;
        let instance = parts.next().map(name).transpose()?;
        let app = parts.next().map(str::parse).transpose()?;
        Ok(Self {
            tenant,
            instance,
            app,
        })
    }
}

impl FromStr for InstanceTarget {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (tenant, instance) = text
            .split_once('/')
            .ok_or("write tenant and instance, such as acme/main")?;
        Ok(Self {
            tenant: name(tenant)?,
            instance: name(instance)?,
        })
    }
}

impl FromStr for PointName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (app, point) = text
            .split_once('/')
            .ok_or("write app and point, such as inventory-stock/allocation")?;
        Ok(Self {
            app: name(app)?,
            point: name(point)?,
        })
    }
}

impl FromStr for HookName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let parts: Vec<_> = text.split('/').map(name).collect::<Result<_, _>>()?;
        match parts.len() {
            1 | 3 => Ok(Self(parts)),
            _ => Err(
                "write app, point and hook, such as inventory-stock/allocation/ext-fefo, or an id"
                    .to_owned(),
            ),
        }
    }
}

impl FromStr for AppAt {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (app, version) = match text.split_once('@') {
            Some((app, version)) => (app, Some(version)),
            None => (text, None),
        };
        if let Some(version) = version {
            let parsed = version.parse::<semver::Version>();
            parsed
                .map_err(|error| format!("`{version}` is not a version such as 1.0.0: {error}"))?;
        }
        Ok(Self {
            app: name(app)?,
            version: version.map(ToOwned::to_owned),
        })
    }
}

/// A name or an id; nothing that could be another path.
pub(crate) fn name(text: &str) -> Result<String, String> {
    let valid = (1..=PART_BYTES_MAX).contains(&text.len())
        && text
            .bytes()
            .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_');
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a name or an id: use a-z, 0-9 and hyphens"
        ))
    }
}

/// The id of a request, as the platform takes it from callers; nothing that could be another path.
pub(crate) fn request_id(text: &str) -> Result<String, String> {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
    let valid = (1..=PART_BYTES_MAX).contains(&text.len())
        && text.bytes().all(is_plain)
        && !text.bytes().all(|byte| byte == b'.');
    if valid {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not the id of a request: take the x-request-id of its answer"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_have_one_to_three_parts() {
        let path = |text: &str| text.parse::<Target>().map(|target| target.path());
        assert_eq!(path("acme").unwrap(), "/tenants/acme");
        assert_eq!(path("acme/main").unwrap(), "/tenants/acme/instances/main");
        assert_eq!(
            path("acme/main/stock").unwrap(),
            "/tenants/acme/instances/main/installs/stock"
        );
        for text in [
            "",
            "/",
            "acme/",
            "acme/main/x/y",
            "acme/..",
            "Acme",
            "a b",
            "acme/main/x@1",
        ] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn quotas_are_of_plans_too() {
        let path = |text: &str| text.parse::<QuotaTarget>().map(|target| target.path());
        assert_eq!(path("plan/pro").unwrap(), "/plans/pro");
        assert_eq!(path("acme").unwrap(), "/tenants/acme");
        assert_eq!(
            path("planet/main").unwrap(),
            "/tenants/planet/instances/main"
        );
        for text in ["plan", "plan/", "plan/pro/x", "plan/..", "plan/Pro"] {
            assert!(path(text).is_err(), "{text}");
        }
    }

    #[test]
    fn hooks_have_ids_or_names_of_three_parts() {
        let segment = |text: &str| text.parse::<HookName>().map(|name| name.segment());
        assert_eq!(
            segment("stock/allocation/ext-fefo").unwrap(),
            "stock.allocation.ext-fefo"
        );
        assert_eq!(segment("hok_0192f0").unwrap(), "hok_0192f0");
        for text in [
            "",
            "stock/allocation",
            "a/b/c/d",
            "a/../c",
            "a/b/c.d",
            "a//c",
        ] {
            assert!(segment(text).is_err(), "{text}");
        }
        assert!("stock".parse::<PointName>().is_err());
        assert!("stock/a/b".parse::<PointName>().is_err());
    }

    #[test]
    fn ids_of_requests_are_what_callers_may_choose() {
        for text in ["0192f0c1a2b3", "Trace-1.b_2"] {
            assert_eq!(request_id(text).as_deref(), Ok(text));
        }
        for text in ["", ".", "..", "a/b", "a b", "ä", &"x".repeat(65)] {
            assert!(request_id(text).is_err(), "{text}");
        }
    }

    #[test]
    fn an_app_is_named_once() {
        let app: AppAt = "stock@1.0.0".parse().unwrap();
        let target = |text: &str| text.parse::<Target>().unwrap();
        assert!(target("acme/main").install(Some(app.clone())).is_ok());
        assert!(target("acme/main/stock").install(None).is_ok());
        assert!(target("acme/main").install(None).is_err());
        assert!(target("acme").install(Some(app.clone())).is_err());
        assert!(target("acme/main/stock").install(Some(app)).is_err());
    }
}
