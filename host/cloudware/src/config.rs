//! The platform's configuration: defaults, then a TOML file, then `CLOUDWARE_…` variables, then the
//! command line. Unknown keys are errors, and all of them are reported at once.

use std::{collections::BTreeSet, net::SocketAddr, path::PathBuf, time::Duration};

use anyhow::{Result, bail};
use cloudware_deliveries::{Config as DeliveriesConfig, WebhookConfig};
use cloudware_engine::EngineConfig;
use cloudware_gateway::GatewayConfig;
use cloudware_instance_db::Config as DatabaseConfig;
use figment::{
    Figment,
    error::Kind,
    providers::{Env, Format, Serialized, Toml},
    value::{Dict, Value},
};
use serde::{Deserialize, Serialize};

/// Variables with our prefix that are not configuration but options of commands.
const OPTION_VARIABLES: &[&str] = &[
    "api",
    "token",
    "output",
    "config",
    "cache_dir",
    "guest_toolchain",
];

/// What names of variables begin with that are keys.
const VARIABLE_PREFIX: &str = "CLOUDWARE_";

/// An hour: whoever ends the host does not wait for longer.
const DRAIN_SECONDS_MAX: u64 = 3_600;

/// Whether a variable is meant as a key, by its name behind the prefix in small letters.
fn is_key(name: &str) -> bool {
    let is_of_service = is_of_service(name, || {
        std::env::var(format!("{VARIABLE_PREFIX}{}", name.to_ascii_uppercase())).ok()
    });
    !is_of_service && !OPTION_VARIABLES.contains(&name)
}

/// Whether a variable tells of a service: beside one whose name begins with `cloudware`, Kubernetes sets such in every pod
/// (`CLOUDWARE_SERVICE_HOST`, `CLOUDWARE_PORT_80_TCP`, and `CLOUDWARE_PORT` with an address).
fn is_of_service(name: &str, value: impl FnOnce() -> Option<String>) -> bool {
    let has = |part: &str| name.starts_with(part) || name.contains(&format!("_{part}"));
    let is_number = |text: &str| text.starts_with(|c: char| c.is_ascii_digit());
    let is_port = || name == "port" || name.ends_with("_port");
    has("service_host")
        || has("service_port")
        || name.split("port_").skip(1).any(is_number)
        || is_port() && value().is_some_and(|value| value.contains("://"))
}

/// Everything that an operator can set.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Config {
    /// Address to listen on; port 0 takes a free one.
    pub(crate) listen: SocketAddr,
    /// Folder of all state; created when missing.
    pub(crate) data: PathBuf,
    /// What is logged, as `level` or `target=level,…`.
    pub(crate) log: String,
    /// How log lines look.
    pub(crate) log_format: LogFormat,
    /// How long requests in flight may take to finish when the host is told to stop, in seconds.
    pub(crate) drain_seconds: u64,
    /// The engine.
    pub(crate) engine: EngineConfig,
    /// The private databases of instances.
    pub(crate) database: DatabaseConfig,
    /// The gateway.
    pub(crate) gateway: GatewayConfig,
    /// Deliveries to observers.
    pub(crate) deliveries: DeliveriesConfig,
    /// Webhooks.
    pub(crate) webhooks: WebhookConfig,
}

/// How log lines look.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 8080)),
            data: PathBuf::from("cloudware-data"),
            log: "info".to_owned(),
            log_format: LogFormat::Text,
            drain_seconds: 20,
            engine: EngineConfig::default(),
            database: DatabaseConfig::default(),
            gateway: GatewayConfig::default(),
            deliveries: DeliveriesConfig::default(),
            webhooks: WebhookConfig::default(),
        }
    }
}

/// What the command line may set over everything else.
#[derive(Clone, Debug, Default)]
pub(crate) struct Overrides {
    pub(crate) file: Option<PathBuf>,
    pub(crate) listen: Option<SocketAddr>,
    pub(crate) data: Option<PathBuf>,
}

impl Config {
    /// Reads the configuration from all its places.
    pub(crate) fn load(overrides: Overrides) -> Result<Self> {
        let mut given = Figment::new();
        if let Some(file) = &overrides.file {
            if !file.is_file() {
                bail!("there is no configuration file {}", file.display());
            }
            given = given.merge(Toml::file_exact(file));
        }
        given = given.merge(
            Env::prefixed(VARIABLE_PREFIX)
                .filter(|key| is_key(&key.as_str().to_ascii_lowercase()))
                .split("__"),
        );
        check_keys(&given)?;
        let mut config: Self = Figment::from(Serialized::defaults(Self::default()))
            .merge(given)
            .extract()
            .map_err(|error| {
                anyhow::anyhow!("the configuration is not valid:{}", mistakes(error))
            })?;
        if let Some(listen) = overrides.listen {
            config.listen = listen;
        }
        if let Some(data) = overrides.data {
            config.data = data;
        }
        config.check()?;
        // Folders of the sections lie in the data folder unless they say otherwise.
        config.engine.cache_dir = config.data.join(&config.engine.cache_dir);
        config.database.dir = config.data.join(&config.database.dir);
        Ok(config)
    }

    /// How long requests in flight may take at the end.
    pub(crate) fn drain(&self) -> Duration {
        Duration::from_secs(self.drain_seconds)
    }

    fn check(&self) -> Result<()> {
        let mut wrong = Vec::new();
        let sections = [
            ("engine", self.engine.mistakes()),
            ("database", self.database.mistakes()),
            ("gateway", self.gateway.mistakes()),
            ("deliveries", self.deliveries.mistakes()),
        ];
        for (section, mistakes) in sections {
            wrong.extend(
                mistakes
                    .iter()
                    .map(|mistake| format!("{section}.{mistake}")),
            );
        }
        if self.drain_seconds > DRAIN_SECONDS_MAX {
            wrong.push(format!(
                "drain_seconds = {} must be from 0 to {DRAIN_SECONDS_MAX}",
                self.drain_seconds
            ));
        }
        for (key, folder) in [
            ("data", &self.data),
            ("engine.cache_dir", &self.engine.cache_dir),
            ("database.dir", &self.database.dir),
        ] {
            if folder.as_os_str().is_empty() {
                wrong.push(format!("{key} is empty: name a folder"));
            }
        }
        if wrong.is_empty() {
            return Ok(());
        }
        bail!("the configuration is not valid:\n  {}", wrong.join("\n  "));
    }
}

/// What is wrong with values, a line each: the key, the mistake and where it was given.
fn mistakes(error: figment::Error) -> String {
    let line = |error: figment::Error| {
        let key = error.path.join(".");
        let source = error.metadata.as_ref().map(|of| place_of(&key, of));
        let source = source.unwrap_or_default();
        match error.kind {
            Kind::InvalidType(found, expected) | Kind::InvalidValue(found, expected) => {
                let expected = in_words(&expected);
                format!("\n  {key}: expected {expected}, found {found}{source}")
            }
            Kind::UnknownVariant(found, expected) => {
                let expected = expected.join(" or ");
                format!("\n  {key}: expected {expected}, found `{found}`{source}")
            }
            kind => format!("\n  {key}: {kind}{source}"),
        }
    };
    error.into_iter().map(line).collect()
}

/// What is expected, where the library names the type in this program.
fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number without a sign or a unit",
        other => other,
    }
}

/// Where a key was given.
fn place_of(key: &str, metadata: &figment::Metadata) -> String {
    match metadata.source {
        None if metadata.name.contains("environment") => {
            // Elements of lists have no variables of their own.
            let is_name = |part: &&str| part.parse::<usize>().is_err();
            let parts: Vec<_> = key.split('.').take_while(is_name).collect();
            let variable = parts.join("__").to_uppercase();
            format!(" in {VARIABLE_PREFIX}{variable}")
        }
        _ => place(metadata),
    }
}

fn place(metadata: &figment::Metadata) -> String {
    match &metadata.source {
        Some(source) => format!(" in {source}"),
        None => format!(" in {}", metadata.name),
    }
}

/// Names every key that there is not, with where it was given.
fn check_keys(given: &Figment) -> Result<()> {
    let known = key_paths(&Serialized::defaults(Config::default()).into_dict()?);
    let dict: Dict = given.extract().map_err(|error| {
        // The place comes first: the mistake has several lines where a file is no TOML.
        let place = error.metadata.as_ref().map(place).unwrap_or_default();
        let mistake = error.kind.to_string();
        anyhow::anyhow!(
            "the configuration{place} can't be read: {}",
            mistake.trim_end()
        )
    })?;
    let unknown: Vec<String> = key_paths(&dict)
        .into_iter()
        .filter(|key| !known.contains(key))
        .map(|key| {
            let metadata = given.find_metadata(&key);
            let place = metadata.map(|of| place_of(&key, of)).unwrap_or_default();
            let section = format!("{key}.");
            match known.iter().any(|known| known.starts_with(&section)) {
                true => format!(
                    "`{key}` is a section and has no value{place}: write [{key}] and keys below it"
                ),
                false => format!("unknown key `{key}`{place}"),
            }
        })
        .collect();
    if unknown.is_empty() {
        return Ok(());
    }
    let known: Vec<_> = known.into_iter().collect();
    bail!(
        "the configuration is not valid:\n  {}\nThe keys are: {}",
        unknown.join("\n  "),
        known.join(", ")
    );
}

fn key_paths(dict: &Dict) -> BTreeSet<String> {
    let mut paths = BTreeSet::new();
    for (key, value) in dict {
        match value {
            Value::Dict(_, inner) => {
                paths.extend(
                    key_paths(inner)
                        .into_iter()
                        .map(|rest| format!("{key}.{rest}")),
                );
            }
            _ => {
                paths.insert(key.clone());
            }
        }
    }
    paths
}

/// Turns a provider into its plain values.
trait IntoDict {
    fn into_dict(self) -> Result<Dict>;
}

impl<T: Serialize> IntoDict for Serialized<T> {
    fn into_dict(self) -> Result<Dict> {
        Ok(Figment::from(self).extract()?)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Map, Value};

    use super::*;

    #[test]
    fn variables_that_tell_of_services_are_no_keys() {
        let is_of_service = |name: &str, value: &str| is_of_service(name, || Some(value.into()));
        for name in [
            "service_host",
            "service_port_http",
            "port_80_tcp",
            "port_80_tcp_addr",
            "port_80_tcp_port",
            "admin_service_host",
            "admin_port_443_tcp_proto",
        ] {
            assert!(is_of_service(name, "10.0.0.1"), "{name}");
        }
        for name in ["port", "admin_port"] {
            assert!(is_of_service(name, "tcp://10.0.0.1:80"), "{name}");
            assert!(!is_of_service(name, "8080"), "{name}");
        }
        for name in ["listen", "gateway__domains", "engine__sandboxes_max"] {
            assert!(!is_of_service(name, "tcp://10.0.0.1:80"), "{name}");
        }
    }

    fn entries(value: &Value, path: &str) -> Map<String, Value> {
        let mut all = Map::new();
        for (key, value) in value.as_object().into_iter().flatten() {
            let path = format!("{path}{key}");
            match value {
                Value::Object(_) => all.extend(entries(value, &format!("{path}."))),
                value => drop(all.insert(path, value.clone())),
            }
        }
        all
    }

    /// The file that operators start from changes nothing.
    #[test]
    fn every_key_has_its_default_in_the_file_for_operators() {
        let text = include_str!("../../../deploy/cloudware.toml");
        let file: Value = toml::from_str(text).unwrap();
        let mut file = entries(&file, "");
        let defaults = serde_json::to_value(Config::default()).unwrap();
        for (path, default) in entries(&defaults, "") {
            let key = path.rsplit('.').next().unwrap_or(&path);
            match file.remove(&path) {
                Some(value) => assert_eq!(value, default, "{path}"),
                None => assert!(
                    default.is_null() && text.contains(&format!("# {key} = ")),
                    "{path} is missing"
                ),
            }
        }
        assert_eq!(file, Map::new());
    }
}
