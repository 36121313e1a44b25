//! The story that the platform exists for, from an ISV's first command to a crash of the host, by command
//! line and by REST, on real applications.

mod crash;
mod quotas;
mod stock;
mod upgrade;

use std::path::Path;

use cloudware_tests::{Cli, Http, Platform, Source};
use serde_json::json;

/// The tenants, each with its own stock.
const TENANTS: [&str; 3] = ["acme", "birch", "cedar"];

/// Steps 1 to 6, one after the other on one platform that is never restarted.
#[tokio::test]
async fn an_isv_publishes_tenants_work_an_admin_limits_and_upgrades() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let process = platform.process_id();
    publish(&platform).await;
    set_up_tenants(&platform).await;
    stock::is_kept_right(&platform).await;
    stock::has_one_winner_for_the_last_unit(&platform).await;
    stock::is_each_tenants_own(&platform).await;
    quotas::stop_with_an_explanation(&platform).await;
    quotas::usage_is_what_was_done(&platform).await;
    quotas::audit_says_who_changed_what(&platform).await;
    upgrade::of_one_tenant_and_back(&platform).await;
    upgrade::leaves_requests_on_the_release_they_began_on(&platform).await;
    upgrade::says_that_a_release_was_yanked(&platform).await;
    assert_eq!(
        platform.process_id(),
        process,
        "nothing of this took a restart"
    );
}

/// Step 7.
#[tokio::test]
async fn a_crash_loses_nothing_that_was_acknowledged() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::STOCK).await;
    platform.tenants(&TENANTS, &["inventory-stock"]).await;
    crash::during_writes(&mut platform).await;
}

/// Step 1: from `new` to the catalog.
async fn publish(platform: &Platform) {
    let cli = Cli::of(platform);
    let _ = cli.run("provider create northwind").await.ok();
    let minted = cli
        .json("token create build-server --provider northwind")
        .await;
    let isv = cli.with_token(minted["secret"].as_str().unwrap_or_default());
    assert_eq!(isv.json("whoami").await["kind"], "provider");
    for (source, version) in [(Source::STOCK, "1.0.0"), (Source::HELLO_RUST, "1.0.0")] {
        let archive = source.built(platform.binary()).await;
        let archive = archive.display();
        let checked = isv.json(&format!("check {archive}")).await;
        assert_eq!(checked["version"], version, "{checked}");
        let pushed = isv.json(&format!("push {archive}")).await;
        assert_eq!(pushed["created"], true, "{pushed}");
        assert_eq!(pushed["release"]["provider"], "northwind");
        let again = isv.json(&format!("push {archive}")).await;
        assert_eq!(
            again["created"], false,
            "the same bytes again are no new release"
        );
    }
    new_project(platform, &isv).await;
    let apps = isv.json("app list").await;
    let names: Vec<_> = apps
        .as_array()
        .into_iter()
        .flatten()
        .map(|app| &app["slug"])
        .collect();
    assert_eq!(names, ["hello-rust", "inventory-stock", "shop"]);
}

/// A project that `new` made builds as it is, outside of the repository.
async fn new_project(platform: &Platform, isv: &Cli) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let target = platform.binary().cache().join("guests");
    let isv = isv
        .clone()
        .with("CARGO_TARGET_DIR", &target.display().to_string());
    let in_folder = async |line: &str| isv.run_in(folder.path(), line).await;
    let _ = in_folder("new shop --language rust").await.ok();
    in_folder("new shop --language rust")
        .await
        .refused(1, &["shop", "not empty"]);
    in_folder("check shop")
        .await
        .refused(1, &["cloudware build shop"]);
    let _ = in_folder("build shop").await.ok();
    let _ = in_folder("check shop").await.ok();
    let _ = in_folder("push shop").await.ok();
    let archive = Path::new("shop/dist/shop-0.1.0.cwp");
    assert!(folder.path().join(archive).is_file());
}

/// Step 2: by command line for two tenants, by REST for the third.
async fn set_up_tenants(platform: &Platform) {
    let cli = Cli::of(platform);
    for tenant in ["acme", "birch"] {
        let _ = cli.run(&format!("tenant create {tenant}")).await.ok();
        let _ = cli
            .run(&format!(
                "instance create {tenant}/main --product inventory"
            ))
            .await
            .ok();
        let _ = cli
            .run(&format!(
                "install enable {tenant}/main inventory-stock@1.0.0"
            ))
            .await
            .ok();
    }
    let api = platform.api();
    let _ = api
        .post("/tenants", &json!({ "slug": "cedar", "title": "Cedar" }))
        .await
        .expect(201);
    let instance = json!({ "slug": "main", "product": "inventory" });
    let _ = api
        .post("/tenants/cedar/instances", &instance)
        .await
        .expect(201);
    let install = platform
        .enable("cedar", "inventory-stock", json!({ "version": "1.0.0" }))
        .await;
    assert_eq!(install["grants"], json!(["kv", "sql"]));
    assert_eq!(install["path"], "/t/cedar/main/stock");
    let _ = cli.run("install enable acme/main hello-rust").await.ok();
    let _ = cli.run("install enable acme/main shop").await.ok();
    let tenants = cli.json("tenant list").await;
    assert_eq!(tenants.as_array().map(Vec::len), Some(3));
    for site in both_forms(platform, "acme", "/hello-rust") {
        assert_eq!(site.get("/").await.expect(200).text(), "Hello from Rust\n");
    }
    for site in both_forms(platform, "acme", "/shop") {
        let _ = site.get("/").await.expect(200);
    }
    let _ = platform
        .site("birch", "/hello-rust")
        .get("/")
        .await
        .problem(404, "unknown-path");
}

/// A tenant's site by host name and by path.
fn both_forms(platform: &Platform, tenant: &str, mount: &str) -> [Http; 2] {
    [
        platform.site(tenant, mount),
        platform.path_site(&format!("{tenant}/main"), mount),
    ]
}
