//! Every operation of the API for every kind of caller, by one table. An operation that is missing in
//! the table fails the test.

mod support;

use std::{collections::BTreeSet, path::Path};

use axum::body::Body;
use cloudware_control::{PageRequest, install, token};
use http::{Method, Request, header};
use serde_json::{Value, json};
use support::{
    Server,
    plane::{HELLO, Package, STOCK, World},
    request,
};
use tempfile::TempDir;

/// Who calls. The world has tenants acme and birch, and providers northwind, which published
/// everything, and contoso, which published nothing.
const CALLERS: [&str; 6] = [
    "nobody",
    "birch",
    "acme",
    "contoso",
    "northwind",
    "operator",
];

/// Expected statuses in the order of [`CALLERS`].
type Statuses = [u16; 6];

const PUBLIC: Statuses = [200; 6];
const ANYBODY: Statuses = [401, 200, 200, 200, 200, 200];
const OPERATOR: Statuses = [401, 403, 403, 403, 403, 200];
const OPERATOR_CREATES: Statuses = [401, 403, 403, 403, 403, 201];
/// The operator may; acme is not suspended.
const OPERATOR_RESUMES: Statuses = [401, 403, 403, 403, 403, 409];
const TENANT: Statuses = [401, 404, 200, 404, 404, 200];
const TENANT_CREATES: Statuses = [401, 404, 201, 404, 404, 201];
/// The tenant sees it, and only the operator changes it.
const TENANT_SEES: Statuses = [401, 404, 403, 404, 404, 200];
const CATALOG: Statuses = [401, 200, 200, 404, 200, 200];
const PUBLISHER: Statuses = [401, 403, 403, 404, 200, 200];

/// One operation: method and path of the OpenAPI document, path and body that are sent, statuses.
type Case = (&'static str, &'static str, &'static str, Value, Statuses);

fn cases() -> Vec<Case> {
    let none = || Value::Null;
    let reason = || json!({ "reason": "a test" });
    let quota = || json!({ "fuel": "50M", "deadline": null });
    let tenant = "/tenants/{tenant}";
    vec![
        ("GET", "/health", "/health", none(), PUBLIC),
        ("GET", "/openapi.json", "/openapi.json", none(), PUBLIC),
        ("GET", "/whoami", "/whoami", none(), ANYBODY),
        ("GET", "/limits", "/limits", none(), ANYBODY),
        (
            "POST",
            "/providers",
            "/providers",
            json!({ "slug": "fabrikam" }),
            OPERATOR_CREATES,
        ),
        (
            "GET",
            "/providers",
            "/providers",
            none(),
            [401, 403, 403, 200, 200, 200],
        ),
        (
            "GET",
            "/providers/{provider}",
            "/providers/northwind",
            none(),
            [401, 404, 404, 404, 200, 200],
        ),
        ("GET", "/products", "/products", none(), ANYBODY),
        (
            "POST",
            "/tenants",
            "/tenants",
            json!({ "slug": "cedar" }),
            OPERATOR_CREATES,
        ),
        (
            "GET",
            "/tenants",
            "/tenants",
            none(),
            [401, 200, 200, 403, 403, 200],
        ),
        ("GET", tenant, "/tenants/acme", none(), TENANT),
        (
            "PATCH",
            tenant,
            "/tenants/acme",
            json!({ "title": "Acme" }),
            TENANT,
        ),
        (
            "POST",
            "/tenants/{tenant}/suspend",
            "/tenants/acme/suspend",
            reason(),
            OPERATOR,
        ),
        (
            "POST",
            "/tenants/{tenant}/resume",
            "/tenants/acme/resume",
            none(),
            OPERATOR_RESUMES,
        ),
        (
            "GET",
            "/tenants/{tenant}/quota",
            "/tenants/acme/quota",
            none(),
            TENANT,
        ),
        (
            "PATCH",
            "/tenants/{tenant}/quota",
            "/tenants/acme/quota",
            quota(),
            TENANT_SEES,
        ),
        (
            "GET",
            "/tenants/{tenant}/usage",
            "/tenants/acme/usage",
            none(),
            TENANT,
        ),
        (
            "POST",
            "/tenants/{tenant}/instances",
            "/tenants/acme/instances",
            json!({ "slug": "x" }),
            TENANT_CREATES,
        ),
        (
            "GET",
            "/tenants/{tenant}/instances",
            "/tenants/acme/instances",
            none(),
            TENANT,
        ),
        (
            "GET",
            INSTANCE,
            "/tenants/acme/instances/main",
            none(),
            TENANT,
        ),
        (
            "POST",
            "{instance}/suspend",
            "{main}/suspend",
            reason(),
            OPERATOR,
        ),
        (
            "POST",
            "{instance}/resume",
            "{main}/resume",
            none(),
            OPERATOR_RESUMES,
        ),
        ("GET", "{instance}/quota", "{main}/quota", none(), TENANT),
        (
            "PATCH",
            "{instance}/quota",
            "{main}/quota",
            quota(),
            TENANT_SEES,
        ),
        ("GET", "{instance}/usage", "{main}/usage", none(), TENANT),
        (
            "POST",
            "{instance}/installs",
            "{main}/installs",
            json!({ "app": "hello" }),
            TENANT_CREATES,
        ),
        (
            "GET",
            "{instance}/installs",
            "{main}/installs",
            none(),
            TENANT,
        ),
        (
            "GET",
            "{instance}/installs/{app}",
            "{main}/installs/stock",
            none(),
            TENANT,
        ),
        (
            "POST",
            "{instance}/installs/{app}/disable",
            "{main}/installs/stock/disable",
            none(),
            TENANT,
        ),
        (
            "POST",
            "{instance}/installs/{app}/upgrade",
            "{main}/installs/stock/upgrade",
            json!({ "version": "1.0.0" }),
            TENANT,
        ),
        (
            "POST",
            "{instance}/installs/{app}/rollback",
            "{main}/installs/stock/rollback",
            none(),
            TENANT,
        ),
        (
            "GET",
            "{instance}/installs/{app}/quota",
            "{main}/installs/stock/quota",
            none(),
            TENANT,
        ),
        (
            "PATCH",
            "{instance}/installs/{app}/quota",
            "{main}/installs/stock/quota",
            quota(),
            TENANT_SEES,
        ),
        ("GET", "/apps", "/apps", none(), ANYBODY),
        ("GET", "/apps/{app}", "/apps/stock", none(), CATALOG),
        (
            "GET",
            "/apps/{app}/releases",
            "/apps/stock/releases",
            none(),
            CATALOG,
        ),
        (
            "GET",
            "/apps/{app}/releases/{version}",
            "/apps/stock/releases/1.0.0",
            none(),
            CATALOG,
        ),
        (
            "POST",
            "/apps/{app}/releases/{version}/deprecate",
            "/apps/stock/releases/1.0.0/deprecate",
            reason(),
            PUBLISHER,
        ),
        (
            "POST",
            "/apps/{app}/releases/{version}/yank",
            "/apps/stock/releases/1.0.0/yank",
            reason(),
            PUBLISHER,
        ),
        (
            "POST",
            "/releases",
            "/releases?provider=northwind",
            none(),
            [401, 403, 403, 404, 201, 201],
        ),
        (
            "GET",
            "/usage",
            "/usage",
            none(),
            [401, 200, 200, 403, 403, 200],
        ),
        ("GET", "/audit", "/audit", none(), ANYBODY),
        (
            "POST",
            "/tokens",
            "/tokens",
            json!({ "name": "x", "tenant": "acme" }),
            TENANT_CREATES,
        ),
        ("GET", "/tokens", "/tokens", none(), ANYBODY),
        (
            "DELETE",
            "/tokens/{token}",
            "/tokens/{acme}",
            none(),
            TENANT,
        ),
    ]
}

const INSTANCE: &str = "/tenants/{tenant}/instances/{instance}";

/// A world's data and what opens it, to be copied for each call: a call must not see the traces of
/// another.
struct Template {
    dir: TempDir,
    /// In the order of [`CALLERS`].
    secrets: [String; 6],
    /// Id of a token of acme.
    token: String,
}

impl Template {
    async fn new() -> Self {
        let world = World::new().await;
        let northwind = world.provider("northwind").await;
        world.provider("contoso").await;
        let acme = world.tenant("acme").await;
        world.tenant("birch").await;
        let newer = Package {
            version: "1.1.0",
            schema: 2,
            ..STOCK
        };
        for package in [STOCK, newer, HELLO] {
            world.push(&northwind, &package).await.unwrap();
        }
        world.enable(&acme, "acme", "stock", "1.0.0").await.unwrap();
        install::upgrade(&world.control, &acme, ("acme", "main"), "stock", None)
            .await
            .unwrap();
        let secrets = [
            String::new(),
            world.secret(None, Some("birch")).await,
            world.secret(None, Some("acme")).await,
            world.secret(Some("contoso"), None).await,
            world.secret(Some("northwind"), None).await,
            world.secret(None, None).await,
        ];
        let token = token::list(&world.control, &acme, &PageRequest::default())
            .await
            .unwrap();
        // The newest of acme's tokens is the one that calls; the oldest is revoked.
        let token = token.items.last().unwrap().id.to_string();
        Self {
            dir: world.close().await,
            secrets,
            token,
        }
    }

    async fn server(&self) -> Server {
        let dir = tempfile::tempdir().unwrap();
        copy(self.dir.path(), dir.path());
        let world = World::at(dir).await;
        world.control.start().await.unwrap();
        Server::new(world)
    }
}

#[tokio::test]
async fn every_operation_answers_every_kind_of_caller_as_it_should() {
    let template = Template::new().await;
    let mut wrong = Vec::new();
    for (method, _, path, body, expected) in cases() {
        let path = path
            .replace("{main}", "/tenants/acme/instances/main")
            .replace("{acme}", &template.token);
        for (index, caller) in CALLERS.into_iter().enumerate() {
            let server = template.server().await;
            let secret = &template.secrets[index];
            let answer = server.send(make(secret, method, &path, &body)).await;
            if answer.status.as_u16() != expected[index] {
                wrong.push(format!("{method} {path} by {caller}: {answer:?}"));
            }
            if method == "GET" && expected != PUBLIC {
                check_secrecy(caller, &path, &answer.text);
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_table_has_every_operation_of_the_document() {
    let document: Value = serde_json::from_str(&cloudware_api::openapi_document()).unwrap();
    let mut described = BTreeSet::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for method in item.as_object().unwrap().keys() {
            let path = path.strip_prefix("/api/v1").unwrap();
            described.insert(format!("{} {path}", method.to_uppercase()));
        }
    }
    let listed: Vec<_> = cases()
        .into_iter()
        .map(|(method, path, ..)| format!("{method} {}", full(path)))
        .collect();
    let tested: BTreeSet<_> = listed.iter().cloned().collect();
    assert_eq!(described, tested);
    assert_eq!(tested.len(), listed.len(), "an operation is listed twice");
}

#[tokio::test]
async fn a_revoked_token_is_a_stranger() {
    let template = Template::new().await;
    let server = template.server().await;
    let secret = &template.secrets[2];
    let own = token::authenticate(&server.world.control, secret)
        .await
        .unwrap();
    let path = format!("/tokens/{}", own.id);
    let revoked = server
        .send(make(secret, "DELETE", &path, &Value::Null))
        .await;
    assert_eq!(revoked.status, 200, "{revoked:?}");
    let after = server.get(secret, "/whoami").await;
    assert_eq!(
        (after.status.as_u16(), after.header("www-authenticate")),
        (401, "Bearer")
    );
    for scheme in ["Basic dTpw", "Bearer", "Bearer x y", "bearer cw_op_0"] {
        let request = Request::get("/api/v1/whoami").header(header::AUTHORIZATION, scheme);
        let answer = server.send(request.body(Body::empty()).unwrap()).await;
        assert_eq!(answer.status, 401, "{scheme}");
    }
}

/// What a caller is shown must not name what belongs to others.
fn check_secrecy(caller: &str, path: &str, text: &str) {
    let hidden: &[&str] = match caller {
        "birch" => &["\"acme", "acme/"],
        "acme" => &["\"birch", "birch/"],
        "contoso" => &["northwind", "\"acme", "\"birch"],
        "northwind" => &["contoso", "\"acme", "\"birch"],
        _ => &[],
    };
    for name in hidden {
        let named_by_caller = text.contains("not-found");
        assert!(
            named_by_caller || !text.contains(name),
            "{path} shows {name} to {caller}: {text}"
        );
    }
}

fn make(secret: &str, method: &str, path: &str, body: &Value) -> Request<Body> {
    let method: Method = method.parse().unwrap();
    let mut request = request(secret, method, path, body);
    if path.starts_with("/releases") {
        let package = Package {
            version: "2.0.0",
            ..HELLO
        };
        *request.body_mut() = package.archive().into();
    }
    request
}

fn full(path: &str) -> String {
    match path.strip_prefix("{instance}") {
        Some(rest) => format!("{INSTANCE}{rest}"),
        None => path.to_owned(),
    }
}

fn copy(from: &Path, to: &Path) {
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            std::fs::create_dir(&target).unwrap();
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), &target).unwrap();
        }
    }
}
