//! A platform with the app that asks and extensions that answer as they are told.

use cloudware_tests::{Http, Options, Package, Platform, Source};
use serde_json::{Value, json};

/// An instance with the app and some extensions, all of the same component, told apart by their labels: that of
/// `ext-11` is `11`.
pub struct Hooked {
    pub platform: Platform,
    pub site: Http,
}

/// A platform whose tenants may have webhooks on this machine.
pub fn with_local_webhooks() -> Options {
    let variables = [
        ("CLOUDWARE_WEBHOOKS__ALLOW_INSECURE", "true"),
        ("CLOUDWARE_WEBHOOKS__ALLOW_PRIVATE_ADDRESSES", "true"),
        ("CLOUDWARE_WEBHOOKS__PORTS", "[]"),
    ];
    let text = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    Options {
        variables: variables.map(text).to_vec(),
        ..Options::default()
    }
}

/// The extension under another name.
pub async fn extension(platform: &Platform, name: &str) -> Package {
    let package = Source::HOOKS_EXT.package(platform.binary()).await;
    package.edit("name = \"hooks-ext\"", &format!("name = \"{name}\""))
}

impl Hooked {
    /// A platform where `acme` has the app and these extensions enabled in this order.
    pub async fn start(extensions: &[&str]) -> Self {
        Self::start_with(Options::default(), extensions).await
    }

    /// As [`Self::start`], on a platform that is started in another way.
    pub async fn start_with(options: Options, extensions: &[&str]) -> Self {
        let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
        platform.publish(Source::HOOKS_APP).await;
        platform.tenants(&["acme"], &["hooks-app"]).await;
        // What a test chooses may be more than the defaults.
        platform
            .limit(
                "acme",
                json!({ "hook-deadline": 5_000, "extension-time": 10_000 }),
            )
            .await;
        let site = platform.site("acme", "/app");
        let hooked = Self { platform, site };
        for name in extensions {
            hooked.extend(name).await;
        }
        hooked
    }

    /// Enables a further extension.
    pub async fn extend(&self, name: &str) {
        let platform = &self.platform;
        platform.push(&extension(platform, name).await).await;
        let label = name.trim_start_matches("ext-");
        let config = json!({ "config": { "label": label } });
        platform.enable("acme", name, config).await;
        // Without optimisations and on a busy machine a hook takes longer than it has by default.
        for hook in self.hooks().await {
            if hook["name"] == name {
                let point = hook["point"].as_str().unwrap_or_default();
                self.set(name, point, json!({ "deadline_ms": 1_000 })).await;
            }
        }
    }

    /// What the app answers.
    #[track_caller]
    pub fn ask(&self, path: &str) -> impl Future<Output = Value> {
        let asked = self.site.get(path);
        async move { asked.await.expect(200).json() }
    }

    /// The hooks of the instance, in order.
    pub async fn hooks(&self) -> Vec<Value> {
        let listed = self.api().get("?limit=200").await.expect(200).json();
        listed["items"].as_array().cloned().unwrap_or_default()
    }

    /// The hook of an extension on a point.
    ///
    /// # Panics
    /// Where there is none.
    pub async fn hook(&self, extension: &str, point: &str) -> Value {
        let hooks = self.hooks().await;
        let found = hooks
            .iter()
            .find(|hook| hook["name"] == extension && hook["point"] == point);
        found
            .unwrap_or_else(|| panic!("no hook of {extension} on {point}: {hooks:?}"))
            .clone()
    }

    /// Changes the hook of an extension on a point.
    pub async fn set(&self, extension: &str, point: &str, change: Value) -> Value {
        let hook = self.hook(extension, point).await;
        let path = format!("/{}", hook["id"].as_str().unwrap_or_default());
        self.api().patch(&path, &change).await.expect(200).json()
    }

    /// Adds a webhook to a point of the app, and gives its key.
    pub async fn add_webhook(&self, point: &str, name: &str, url: &str) -> String {
        let hook = json!({
            "app": "hooks-app",
            "point": point,
            "webhook": { "name": name, "url": url },
        });
        let added = self.api().post("", &hook).await.expect(201).json();
        added["secret"].as_str().unwrap_or_default().to_owned()
    }

    /// Events of a type that a tenant sees.
    pub async fn events(&self, token: &str, kind: &str) -> Vec<Value> {
        let api = self.platform.api().with_token(token);
        let path = format!("/events?limit=500&type={kind}");
        let listed = api.get(&path).await.expect(200).json();
        listed["items"].as_array().cloned().unwrap_or_default()
    }

    /// Deliveries of the instance.
    pub async fn deliveries(&self, query: &str) -> Vec<Value> {
        let path = format!("/deliveries{query}");
        let listed = self.instance().get(&path).await.expect(200).json();
        listed["items"].as_array().cloned().unwrap_or_default()
    }

    /// Lets a hook that loops burn little fuel, take little memory, and wait for its turns on a busy machine.
    pub async fn calm(&self, extension: &str, point: &str) {
        let bounds = json!({ "deadline_ms": 2_000, "fuel": 50_000_000, "memory": 16 << 20 });
        self.set(extension, point, bounds).await;
    }

    /// The API of the instance's hooks.
    pub fn api(&self) -> Http {
        self.instance().under("/hooks")
    }

    /// The API of the instance.
    pub fn instance(&self) -> Http {
        self.platform.api().under("/tenants/acme/instances/main")
    }
}

/// The part of the request's budget that a message says a hook has had, in milliseconds.
///
/// # Panics
/// Where it says none.
#[track_caller]
pub fn told_ms(message: &str, hook: &str) -> f64 {
    let told = message
        .split_once("(extension-time): ")
        .map(|(_, told)| told);
    let told = told.and_then(|told| told.split_once(&format!("{hook} ")));
    let told = told.and_then(|(_, told)| told.split_once(" ms")?.0.parse().ok());
    told.unwrap_or_else(|| panic!("no time of {hook} in {message}"))
}
