//! What a host provides to components: the capabilities that it was composed with, and WASI, which
//! every host links whole and which grants nothing.

use crate::InterfaceName;

/// Whether the tenant must consent before an app may use a capability.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Consent {
    /// The manifest asks with a reason, and the tenant consents.
    Asked,
    /// Every app has it: it reaches only what is the app's own, such as its configuration and log.
    Always,
}

/// One capability of a host.
#[derive(Clone, Debug)]
pub struct ProvidedCapability {
    /// The name in manifests and grants, for example `kv`.
    pub name: String,
    /// Its interfaces.
    pub interfaces: Vec<InterfaceName>,
    /// Whether it must be asked for.
    pub consent: Consent,
}

/// Everything that a host provides; by default WASI alone.
#[derive(Clone, Debug, Default)]
pub struct HostInterfaces {
    capabilities: Vec<ProvidedCapability>,
}

/// Interfaces of WASI 0.2, without version; `wasi:cli/run` is exported and not provided.
const WASI_0_2: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:http/types",
    "wasi:http/outgoing-handler",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:sockets/network",
    "wasi:sockets/instance-network",
    "wasi:sockets/ip-name-lookup",
    "wasi:sockets/tcp",
    "wasi:sockets/tcp-create-socket",
    "wasi:sockets/udp",
    "wasi:sockets/udp-create-socket",
];

/// Interfaces of WASI 0.3, without version.
const WASI_0_3: &[&str] = &[
    "wasi:cli/types",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:clocks/types",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/system-clock",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
    "wasi:http/types",
    "wasi:http/client",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:sockets/types",
    "wasi:sockets/ip-name-lookup",
];

impl ProvidedCapability {
    /// A capability with its interfaces as it names them (`cloudware:kv/store@0.1.0`).
    ///
    /// # Panics
    /// Where an interface name is not one: the names are constants of the host.
    #[must_use]
    pub fn new(name: &str, interfaces: &[&str], consent: Consent) -> Self {
        let parse = |text: &&str| {
            text.parse()
                .expect("a capability names its interfaces in full")
        };
        Self {
            name: name.to_owned(),
            interfaces: interfaces.iter().map(parse).collect(),
            consent,
        }
    }
}

impl HostInterfaces {
    /// A host with these capabilities, and WASI.
    #[must_use]
    pub fn new(capabilities: impl IntoIterator<Item = ProvidedCapability>) -> Self {
        Self {
            capabilities: capabilities.into_iter().collect(),
        }
    }

    /// The capability of this name.
    #[must_use]
    pub fn capability(&self, name: &str) -> Option<&ProvidedCapability> {
        self.capabilities.iter().find(|c| c.name == name)
    }

    /// Every capability.
    #[must_use]
    pub fn capabilities(&self) -> &[ProvidedCapability] {
        &self.capabilities
    }

    pub(crate) fn provider_of(&self, wanted: &InterfaceName) -> Option<Provider<'_>> {
        if is_wasi(wanted) {
            return Some(Provider::Wasi);
        }
        self.capabilities
            .iter()
            .find(|c| c.interfaces.iter().any(|have| have.serves(wanted)))
            .map(Provider::Capability)
    }

    /// Versions of the same interface that the host does provide, for an explanation.
    pub(crate) fn other_versions(&self, wanted: &InterfaceName) -> Vec<String> {
        let mut versions: Vec<_> = self
            .capabilities
            .iter()
            .flat_map(|c| &c.interfaces)
            .filter(|have| have.path == wanted.path)
            .map(ToString::to_string)
            .collect();
        for (list, version) in [(WASI_0_2, "0.2"), (WASI_0_3, "0.3")] {
            if list.contains(&wanted.path.as_str()) {
                versions.push(format!("{} in version {version}", wanted.path));
            }
        }
        versions
    }
}

/// Who provides an import.
pub(crate) enum Provider<'a> {
    Wasi,
    Capability(&'a ProvidedCapability),
}

fn is_wasi(wanted: &InterfaceName) -> bool {
    let list = match &wanted.version {
        Some(v) if v.pre.is_empty() && (v.major, v.minor) == (0, 2) => WASI_0_2,
        Some(v) if v.pre.is_empty() && (v.major, v.minor) == (0, 3) => WASI_0_3,
        _ => return false,
    };
    list.contains(&wanted.path.as_str())
}
