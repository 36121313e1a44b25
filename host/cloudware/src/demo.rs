//! `cloudware up --demo`: the bundled packages, built from source and published by a provider, enabled for
//! three tenants. Everything goes through the public API, as an ISV and an operator would do it, and what is
//! there already is left as it is.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, Result};
use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::{
    client::{Client, is_status},
    credentials::Credentials,
    isv::{self, BuildRequest},
    ready::ReadySite,
    sources, up,
};

/// Who publishes the bundled packages.
const PROVIDER: (&str, &str) = ("northwind", "Northwind Software");

/// The product that the tenants have an instance of.
const PRODUCT: &str = "inventory";

/// The instance that every tenant has.
const INSTANCE: &str = "main";

/// The tenants, with their goods: (SKU, title, batch, expiry, quantity).
const TENANTS: &[(&str, &str, &[Goods])] = &[
    (
        "acme",
        "Acme Clothing",
        &[
            ("SHIRT-M", "Shirt, medium", None, None, 120),
            ("SCARF", "Wool scarf", None, None, 35),
        ],
    ),
    (
        "birch",
        "Birch Wholesale Foods",
        &[
            (
                "MILK-1L",
                "Milk, 1 l",
                Some("B-2201"),
                Some("2027-01-15"),
                480,
            ),
            (
                "MILK-1L",
                "Milk, 1 l",
                Some("B-2188"),
                Some("2026-12-20"),
                96,
            ),
            (
                "OATS-500",
                "Oats, 500 g",
                Some("B-1042"),
                Some("2027-09-30"),
                900,
            ),
        ],
    ),
    (
        "cedar",
        "Cedar Electronics",
        &[
            ("CABLE-USBC", "USB-C cable, 1 m", None, None, 2_400),
            (
                "SSD-1TB",
                "Solid state drive, 1 TB",
                Some("LOT-77"),
                None,
                60,
            ),
        ],
    ),
];

type Goods = (
    &'static str,
    &'static str,
    Option<&'static str>,
    Option<&'static str>,
    u64,
);

/// The bundled packages: folder, manifest, and the version that tenants begin with.
const PACKAGES: &[Bundled] = &[
    Bundled {
        folder: "plugins/inventory-stock",
        manifest: "cloudware.toml",
        enable: Some(("inventory-stock", "1.0.0")),
    },
    Bundled {
        folder: "plugins/inventory-stock",
        manifest: "cloudware-1.1.toml",
        enable: None,
    },
    Bundled {
        folder: "plugins/inventory-stock",
        manifest: "cloudware-1.2.toml",
        enable: None,
    },
    Bundled {
        folder: "plugins/ext-fefo",
        manifest: "cloudware.toml",
        enable: None,
    },
    Bundled {
        folder: "examples/hello-rust",
        manifest: "cloudware.toml",
        enable: Some(("hello-rust", "1.0.0")),
    },
];

struct Bundled {
    folder: &'static str,
    manifest: &'static str,
    enable: Option<(&'static str, &'static str)>,
}

/// Makes sure that the demo is there, and says which sites it has.
pub(crate) async fn set_up(data: &Path, credentials: &mut Credentials) -> Result<Vec<ReadySite>> {
    let operator = Client::new(&credentials.api, Some(credentials.operator.clone()))?;
    let archives = packages(&data.join("demo")).await?;
    let provider = provider(&operator, credentials).await?;
    for archive in archives {
        let bytes =
            fs::read(&archive).with_context(|| format!("can't read {}", archive.display()))?;
        publish(&provider, bytes).await?;
    }
    let mut sites = Vec::new();
    for (tenant, title, goods) in TENANTS {
        sites.extend(set_up_tenant(&operator, credentials, tenant, title, goods).await?);
    }
    Ok(sites)
}

/// Publishes a package. A release never changes: one that was published from older sources stays.
async fn publish(provider: &Client, archive: Vec<u8>) -> Result<()> {
    match provider.push(archive.into(), None).await {
        Err(error) if is_status(&error, StatusCode::CONFLICT) => {
            tracing::warn!(
                "a bundled package was published before from other sources and stays as it is"
            );
            Ok(())
        }
        pushed => pushed.map(|_| ()),
    }
}

/// The archives of the bundled packages; built where these sources have not been built yet.
async fn packages(folder: &Path) -> Result<Vec<PathBuf>> {
    let built = folder.join(sources::digest().hex());
    let archives: Vec<PathBuf> = (0..PACKAGES.len())
        .map(|index| built.join(format!("{index}.{}", cloudware_packages::EXTENSION)))
        .collect();
    if archives.iter().all(|archive| archive.is_file()) {
        return Ok(archives);
    }
    let source = folder.join("source");
    if source.exists() {
        fs::remove_dir_all(&source)
            .with_context(|| format!("can't replace {}", source.display()))?;
    }
    fs::create_dir_all(&built).with_context(|| format!("can't make {}", built.display()))?;
    let context = isv::Context {
        output: isv::Output::Text,
        host: up::host_interfaces(),
        progress: isv::Progress::stderr(),
    };
    for (bundled, archive) in PACKAGES.iter().zip(&archives) {
        sources::extract(bundled.folder, &source)?;
        let package = isv::build_package(
            &BuildRequest {
                folder: &source.join(bundled.folder),
                manifest: Some(Path::new(bundled.manifest)),
                out: Some(&built),
            },
            &context,
        )
        .await
        .with_context(|| format!("{} can't be built", bundled.folder))?;
        fs::rename(&package.archive, archive)
            .with_context(|| format!("can't write {}", archive.display()))?;
    }
    Ok(archives)
}

async fn provider(operator: &Client, credentials: &mut Credentials) -> Result<Client> {
    let (slug, title) = PROVIDER;
    operator
        .find_or_create("/providers", slug, &json!({ "slug": slug, "title": title }))
        .await?;
    if !valid(operator, credentials.provider.as_deref()).await? {
        let token = json!({ "name": "demo", "provider": slug });
        credentials.provider = Some(mint(operator, &token).await?);
    }
    operator.with_token(credentials.provider.clone())
}

async fn set_up_tenant(
    operator: &Client,
    credentials: &mut Credentials,
    tenant: &str,
    title: &str,
    goods: &[Goods],
) -> Result<Vec<ReadySite>> {
    let body = json!({ "slug": tenant, "title": title });
    operator.find_or_create("/tenants", tenant, &body).await?;
    let token = credentials.tenants.get(tenant).map(String::as_str);
    if !valid(operator, token).await? {
        let token = mint(operator, &json!({ "name": "demo", "tenant": tenant })).await?;
        credentials.tenants.insert(tenant.to_owned(), token);
    }
    let instances = format!("/tenants/{tenant}/instances");
    let body = json!({ "slug": INSTANCE, "product": PRODUCT });
    operator.find_or_create(&instances, INSTANCE, &body).await?;
    let installs = format!("{instances}/{INSTANCE}/installs");
    let mut sites = Vec::new();
    for (app, version) in PACKAGES.iter().filter_map(|bundled| bundled.enable) {
        let body = json!({ "app": app, "version": version });
        let (install, found) = operator.find_or_create(&installs, app, &body).await?;
        let site = site(&credentials.api, tenant, app, &install);
        if !found.existed() && app == "inventory-stock" {
            receive(&site.url, goods).await?;
        }
        sites.push(site);
    }
    Ok(sites)
}

fn site(api: &str, tenant: &str, app: &str, install: &Value) -> ReadySite {
    let mount = install["mount"]
        .as_str()
        .unwrap_or("/")
        .trim_end_matches('/');
    let port = api.rsplit(':').next().unwrap_or_default();
    ReadySite {
        tenant: tenant.to_owned(),
        instance: INSTANCE.to_owned(),
        app: app.to_owned(),
        url: format!("{api}/t/{tenant}/{INSTANCE}{mount}/"),
        host_url: format!("http://{tenant}.localhost:{port}{mount}/"),
    }
}

/// Puts a tenant's first goods into its stock, through the application itself.
async fn receive(site: &str, goods: &[Goods]) -> Result<()> {
    let stock = Client::new(site, None)?;
    let location = json!({ "warehouse": "MAIN", "zone": "A", "bin": "01" });
    stock.post_to("locations", &location).await?;
    let mut known = Vec::new();
    for (sku, title, batch, expiry, quantity) in goods {
        if !known.contains(sku) {
            let item = json!({ "sku": sku, "title": title, "unit": "piece" });
            stock.post_to("items", &item).await?;
            known.push(sku);
        }
        let receipt = json!({
            "sku": sku, "location": "MAIN-A-01", "batch": batch, "expires_on": expiry,
            "quantity": quantity, "actor": "demo",
        });
        stock.post_to("receipts", &receipt).await?;
    }
    Ok(())
}

async fn valid(operator: &Client, token: Option<&str>) -> Result<bool> {
    let Some(token) = token else {
        return Ok(false);
    };
    let Ok(client) = operator.with_token(Some(token.to_owned())) else {
        return Ok(false);
    };
    Ok(client.get("/whoami").await.is_ok())
}

async fn mint(operator: &Client, body: &Value) -> Result<String> {
    let minted = operator.post("/tokens", body).await?;
    let secret = minted["secret"].as_str();
    Ok(secret.context("the API gave no token")?.to_owned())
}
