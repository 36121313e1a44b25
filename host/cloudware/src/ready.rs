//! What `cloudware up` says when everything is ready: to people on standard error, to programs as one
//! JSON object on standard output.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{DATA, config::Config, credentials::Credentials};

/// The announcement.
#[derive(Debug, Serialize)]
pub(crate) struct Ready {
    /// Base address of the platform.
    api: String,
    /// Who gets in with what.
    tokens: Tokens,
    /// The sites that are served.
    sites: Vec<ReadySite>,
    /// The data folder.
    data: String,
}

#[derive(Debug, Serialize)]
struct Tokens {
    operator: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    provider: Option<String>,
    tenants: BTreeMap<String, String>,
}

/// One app of one tenant.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct ReadySite {
    /// The tenant's name.
    pub(crate) tenant: String,
    /// The instance's name.
    pub(crate) instance: String,
    /// The app's name.
    pub(crate) app: String,
    /// Where it is, by path: works on every machine.
    pub(crate) url: String,
    /// Where it is, by host name.
    pub(crate) host_url: String,
}

impl Ready {
    pub(crate) fn of(config: &Config, credentials: Credentials, sites: Vec<ReadySite>) -> Self {
        Self {
            api: credentials.api,
            tokens: Tokens {
                operator: credentials.operator,
                provider: credentials.provider,
                tenants: credentials.tenants,
            },
            sites,
            data: config.data.display().to_string(),
        }
    }

    /// For people.
    pub(crate) fn text(&self) -> String {
        let mut lines = vec![format!("\nCloudware is ready at {}", self.api)];
        if !self.sites.is_empty() {
            lines.push("\nSites:".to_owned());
            let wide = |text: fn(&ReadySite) -> &str| {
                self.sites
                    .iter()
                    .map(|site| text(site).len())
                    .max()
                    .unwrap_or(0)
            };
            let (tenant, app) = (wide(|site| &site.tenant), wide(|site| &site.app));
            let url = wide(|site| &site.host_url);
            for site in &self.sites {
                lines.push(format!(
                    "  {:tenant$}  {:app$}  {:url$}  {}",
                    site.tenant, site.app, site.host_url, site.url
                ));
            }
        }
        lines.push(format!("\nAPI:    {}/api/v1/openapi.json", self.api));
        lines.push(format!(
            "Tokens: {}/credentials.json (the commands find them there)",
            self.data
        ));
        let data = match self.data.as_str() {
            DATA => String::new(),
            other => format!(" --data {other}"),
        };
        lines.push(match self.sites.first() {
            Some(site) => format!(
                "Next:   cloudware{data} tenant list; cloudware{data} quota show {}/{}",
                site.tenant, site.instance
            ),
            None => format!(
                "Next:   cloudware{data} provider create NAME; cloudware{data} tenant create NAME"
            ),
        });
        lines.push("Stop:   Ctrl-C\n".to_owned());
        lines.join("\n")
    }
}
