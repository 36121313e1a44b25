//! Every operation of the API for every kind of caller, by one table. An operation that is missing in
//! the table fails the test.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use std::{collections::BTreeSet, path::Path};

use axum::body::Body;
use cloudware_control::{
    Call, HookFields, HookNew, Install, PageRequest, RecordingNew, StopQuery,
    hook::{self, TargetNew},
    install, recording, stop, tenant, token,
};
use cloudware_types::{Class, Dimension, HookMode, Stop, StopCause, StopRecord};
use http::{Method, Request, header};
use serde_json::Value;
use support::{
    Answer, Server,
    plane::{FEFO, HELLO, Package, STOCK, STORE, World},
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

/// Operation of the OpenAPI document | path that is called | body | statuses in the order of [`CALLERS`].
/// 409 is for who may resume what is not suspended. [`ABBREVIATIONS`] stand for longer paths.
const TABLE: &str = r#"
GET    /health                | /health                              | -                              | 200 200 200 200 200 200
GET    /openapi.json          | /openapi.json                        | -                              | 200 200 200 200 200 200
GET    /whoami                | /whoami                              | -                              | 401 200 200 200 200 200
GET    /limits                | /limits                              | -                              | 401 200 200 200 200 200
GET    /host                  | /host                                | -                              | 401 403 403 403 403 200
POST   /providers             | /providers                           | {"slug":"fabrikam"}            | 401 403 403 403 403 201
GET    /providers             | /providers                           | -                              | 401 403 403 200 200 200
GET    /providers/{provider}  | /providers/northwind                 | -                              | 401 404 404 404 200 200
GET    /products              | /products                            | -                              | 401 200 200 200 200 200
POST   /plans                 | /plans                               | {"slug":"gold"}                | 401 403 403 403 403 201
GET    /plans                 | /plans                               | -                              | 401 200 200 403 403 200
GET    /plans/{plan}          | /plans/pro                           | -                              | 401 200 200 404 404 200
DELETE /plans/{plan}          | /plans/free                          | -                              | 401 403 403 404 404 200
GET    /plans/{plan}/quota    | /plans/pro/quota                     | -                              | 401 200 200 404 404 200
PATCH  /plans/{plan}/quota    | /plans/pro/quota                     | {"fuel":"2G"}                  | 401 403 403 404 404 200
POST   /tenants               | /tenants                             | {"slug":"cedar"}               | 401 403 403 403 403 201
GET    /tenants               | /tenants                             | -                              | 401 200 200 403 403 200
GET    {T}                    | /tenants/acme                        | -                              | 401 404 200 404 404 200
PATCH  {T}                    | /tenants/acme                        | {"title":"Acme"}               | 401 404 200 404 404 200
PUT    {T}/plan               | /tenants/acme/plan                   | {"plan":"free"}                | 401 404 403 404 404 200
POST   {T}/suspend            | /tenants/acme/suspend                | {"reason":"a test"}            | 401 403 403 403 403 200
POST   {T}/resume             | /tenants/acme/resume                 | -                              | 401 403 403 403 403 409
GET    {T}/quota              | /tenants/acme/quota                  | -                              | 401 404 200 404 404 200
PATCH  {T}/quota              | /tenants/acme/quota                  | {"fuel":"50M","deadline":null} | 401 404 403 404 404 200
GET    {T}/usage              | /tenants/acme/usage                  | -                              | 401 404 200 404 404 200
POST   {T}/instances          | /tenants/acme/instances              | {"slug":"x"}                   | 401 404 201 404 404 201
GET    {T}/instances          | /tenants/acme/instances              | -                              | 401 404 200 404 404 200
GET    {I}                    | {M}                                  | -                              | 401 404 200 404 404 200
POST   {I}/suspend            | {M}/suspend                          | {"reason":"a test"}            | 401 403 403 403 403 200
POST   {I}/resume             | {M}/resume                           | -                              | 401 403 403 403 403 409
GET    {I}/quota              | {M}/quota                            | -                              | 401 404 200 404 404 200
PATCH  {I}/quota              | {M}/quota                            | {"memory":"16MiB"}             | 401 404 403 404 404 200
GET    {I}/usage              | {M}/usage                            | -                              | 401 404 200 404 404 200
POST   {I}/installs           | {M}/installs                         | {"app":"hello"}                | 401 404 201 404 404 201
GET    {I}/installs           | {M}/installs                         | -                              | 401 404 200 404 404 200
GET    {A}                    | {M}/installs/stock                   | -                              | 401 404 200 404 404 200
POST   {A}/disable            | {M}/installs/stock/disable           | -                              | 401 404 200 404 404 200
POST   {A}/upgrade            | {M}/installs/stock/upgrade           | {"version":"1.0.0"}            | 401 404 200 404 404 200
POST   {A}/rollback           | {M}/installs/stock/rollback          | -                              | 401 404 200 404 404 200
GET    {A}/quota              | {M}/installs/stock/quota             | -                              | 401 404 200 404 404 200
PATCH  {A}/quota              | {M}/installs/stock/quota             | {"fuel":1000}                  | 401 404 403 404 404 200
POST   {I}/hooks              | {M}/hooks                            | {W}                            | 401 404 201 404 404 201
GET    {I}/hooks              | {M}/hooks                            | -                              | 401 404 200 404 404 200
GET    {H}                    | {M}/hooks/store.allocation.fefo      | -                              | 401 404 200 404 404 200
PATCH  {H}                    | {M}/hooks/store.allocation.fefo      | {"enabled":false}              | 401 404 200 404 404 200
DELETE {H}                    | {M}/hooks/store.allocation.fefo      | -                              | 401 404 200 404 404 200
GET    {I}/deliveries         | {M}/deliveries                       | -                              | 401 404 200 404 404 200
GET    {I}/deliveries/{delivery} | {M}/deliveries/dlv_0               | -                              | 401 404 404 404 404 404
POST   {I}/deliveries/{delivery}/replay | {M}/deliveries/dlv_0/replay | -                              | 401 404 404 404 404 404
POST   {I}/replay-dead        | {M}/replay-dead                      | {"hook":"erp"}                 | 401 404 200 404 404 200
POST   {H}/rotate-key         | {M}/hooks/store.allocation.desk/rotate-key | -                        | 401 404 200 404 404 200
GET    {I}/points             | {M}/points                           | -                              | 401 404 200 404 404 200
GET    /apps                  | /apps                                | -                              | 401 200 200 200 200 200
GET    /apps/{app}            | /apps/stock                          | -                              | 401 200 200 404 200 200
GET    /apps/{app}/hooks      | /apps/fefo/hooks                     | -                              | 401 403 403 404 200 200
GET    /apps/{app}/releases   | /apps/stock/releases                 | -                              | 401 200 200 404 200 200
GET    {R}                    | /apps/stock/releases/1.0.0           | -                              | 401 200 200 404 200 200
POST   {R}/deprecate          | /apps/stock/releases/1.0.0/deprecate | {"reason":"a test"}            | 401 403 403 404 200 200
POST   {R}/yank               | /apps/stock/releases/1.0.0/yank      | {"reason":"a test"}            | 401 403 403 404 200 200
POST   /releases              | /releases?provider=northwind         | -                              | 401 403 403 404 201 201
GET    /usage                 | /usage                               | -                              | 401 200 200 403 403 200
GET    /stops                 | /stops                               | -                              | 401 200 200 200 200 200
GET    /stops/{stop}          | /stops/{S}                           | -                              | 401 404 200 404 200 200
GET    /traces                | /traces                              | -                              | 401 200 200 403 403 200
GET    /traces/{request}      | /traces/none                         | -                              | 401 404 404 403 403 404
POST   {I}/recordings         | {M}/recordings                       | {"app":"lifo","calls":3}       | 401 404 201 404 404 201
GET    /recordings            | /recordings                          | -                              | 401 200 200 200 200 200
GET    {X}                    | /recordings/{Y}                      | -                              | 401 404 200 404 200 200
GET    {X}/export             | /recordings/{Y}/export               | -                              | 401 404 200 404 200 200
POST   {X}/stop               | /recordings/{Y}/stop                 | -                              | 401 404 200 404 403 200
DELETE {X}                    | /recordings/{Y}                      | -                              | 401 404 200 404 403 200
GET    /events                | /events                              | -                              | 401 200 200 200 200 200
GET    /audit                 | /audit                               | -                              | 401 200 200 200 200 200
POST   /tokens                | /tokens                              | {"name":"x","tenant":"acme"}   | 401 404 201 404 404 201
GET    /tokens                | /tokens                              | -                              | 401 200 200 200 200 200
DELETE /tokens/{token}        | /tokens/{K}                          | -                              | 401 404 200 404 404 200
"#;

/// What stands for what in [`TABLE`].
const ABBREVIATIONS: [(&str, &str); 8] = [
    (
        "{W}",
        r#"{"app":"store","point":"allocation","webhook":{"name":"erp","url":"https://erp.example.com/"}}"#,
    ),
    ("{A}", "{I}/installs/{app}"),
    ("{H}", "{I}/hooks/{hook}"),
    ("{I}", "{T}/instances/{instance}"),
    ("{T}", "/tenants/{tenant}"),
    ("{X}", "/recordings/{recording}"),
    ("{R}", "/apps/{app}/releases/{version}"),
    ("{M}", "/tenants/acme/instances/main"),
];

/// One row of [`TABLE`].
struct Case {
    method: &'static str,
    operation: String,
    path: String,
    body: Value,
    statuses: Vec<u16>,
}

fn cases() -> Vec<Case> {
    TABLE
        .lines()
        .filter(|line| !line.is_empty())
        .map(case)
        .collect()
}

fn case(line: &'static str) -> Case {
    let columns: Vec<&str> = line.split('|').map(str::trim).collect();
    let (method, operation) = columns[0].split_once(' ').unwrap();
    let full = |text: &str| {
        let replace = |text: String, (short, long): &(&str, &str)| text.replace(short, long);
        ABBREVIATIONS.iter().fold(text.trim().to_owned(), replace)
    };
    Case {
        method,
        operation: full(operation),
        path: full(columns[1]),
        body: match columns[2] {
            "-" => Value::Null,
            json => serde_json::from_str(&full(json)).unwrap(),
        },
        statuses: columns[3]
            .split(' ')
            .map(|status| status.parse().unwrap())
            .collect(),
    }
}

/// A world's data and what opens it, to be copied for each call: a call must not see the traces of
/// another.
struct Template {
    dir: TempDir,
    /// In the order of [`CALLERS`].
    secrets: [String; 6],
    /// Id of a token of acme.
    token: String,
    /// Id of a record of stops of acme's app by northwind.
    stop: String,
    /// Id of a recording of acme's that is shared with northwind.
    recording: String,
}

impl Template {
    async fn new() -> Self {
        let world = World::new().await;
        let northwind = world.provider("northwind").await;
        world.provider("contoso").await;
        let acme = world.tenant("acme").await;
        world.tenant("birch").await;
        for plan in ["free", "pro"] {
            world.plan(plan).await;
        }
        tenant::set_plan(&world.control, &Call::host(), "acme", Some("pro"), None)
            .await
            .unwrap();
        let newer = Package {
            version: "1.1.0",
            schema: 2,
            ..STOCK
        };
        // One extension is being recorded already.
        let other = Package {
            name: "lifo",
            ..FEFO
        };
        for package in [STOCK, newer, HELLO, STORE, FEFO, other] {
            world.push(&northwind, &package).await.unwrap();
        }
        let install = world.enable(&acme, "acme", "stock", "1.0.0").await.unwrap();
        install::upgrade(&world.control, &acme, ("acme", "main"), "stock", None)
            .await
            .unwrap();
        for app in ["store", "fefo", "lifo"] {
            world.enable(&acme, "acme", app, "1.0.0").await.unwrap();
        }
        hook::add(&world.control, &acme, ("acme", "main"), webhook())
            .await
            .unwrap();
        world.plane.stop(stop_of(&world, &install).await);
        let page = PageRequest::default();
        let stops = stop::list(&world.control, &acme, StopQuery::default(), &page).await;
        let stop = stops.unwrap().items[0].id.to_string();
        let new = RecordingNew {
            app: "fefo".parse().unwrap(),
            calls: None,
            time: None,
            redact: Vec::new(),
            is_shared: true,
        };
        let recording = recording::start(&world.control, &acme, ("acme", "main"), new)
            .await
            .unwrap()
            .id
            .to_string();
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
            stop,
            recording,
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
    for case in cases() {
        let path = case.path.replace("{K}", &template.token);
        let path = path.replace("{S}", &template.stop);
        let path = path.replace("{Y}", &template.recording);
        assert_eq!(case.statuses.len(), CALLERS.len(), "{path}");
        for (index, caller) in CALLERS.into_iter().enumerate() {
            let server = template.server().await;
            let request = make(&template.secrets[index], case.method, &path, &case.body);
            let answer = server.send(request).await;
            if answer.status.as_u16() != case.statuses[index] {
                wrong.push(format!("{} {path} by {caller}: {answer:?}", case.method));
            }
            if case.method == "GET" && case.statuses[0] == 401 {
                check_secrecy(caller, &path, &answer);
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
        .map(|case| format!("{} {}", case.method, case.operation))
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
    let valid = format!("Bearer {}", template.secrets[1]);
    let with = |tokens: &[&str]| {
        let request = Request::get("/api/v1/whoami");
        let request = tokens.iter().fold(request, |request, token| {
            request.header(header::AUTHORIZATION, *token)
        });
        server.send(request.body(Body::empty()).unwrap())
    };
    assert_eq!(with(&[&valid]).await.status, 200);
    for tokens in [
        [&*valid, "Bearer x"],
        ["Bearer x", &valid],
        [&valid, &valid],
    ] {
        assert_eq!(with(&tokens).await.status, 401, "one of two is not taken");
    }
}

/// What a caller is shown must not name what belongs to others.
fn check_secrecy(caller: &str, path: &str, answer: &Answer) {
    let hidden: &[&str] = match caller {
        "birch" => &["\"acme", "acme/"],
        "acme" => &["\"birch", "birch/"],
        "contoso" => &["northwind", "\"acme", "\"birch"],
        "northwind" => &["contoso", "\"acme", "\"birch"],
        _ => &[],
    };
    for name in hidden {
        let shown = answer.status == 200 && answer.text.contains(name);
        assert!(!shown, "{path} shows {name} to {caller}: {answer:?}");
    }
}

/// A hook of acme's that calls an endpoint.
fn webhook() -> HookNew {
    HookNew {
        app: "store".parse().unwrap(),
        point: "allocation".parse().unwrap(),
        target: TargetNew::Webhook {
            name: "desk".parse().unwrap(),
            url: "https://desk.example.com/".to_owned(),
            payload_version: None,
        },
        position: None,
        is_enabled: true,
        mode: HookMode::Active,
        fields: HookFields::default(),
    }
}

async fn stop_of(world: &World, install: &Install) -> StopRecord {
    let tenant = tenant::get(&world.control, &Call::host(), "acme").await;
    StopRecord {
        first_ms: 60_000,
        last_ms: 61_000,
        tenant: tenant.unwrap().id,
        instance: install.instance_id,
        install: install.id,
        request_id: "r-1".to_owned(),
        stop: Stop {
            cause: StopCause::limit(Dimension::Fuel, Class::Request, 1_000, 1_000),
            app: install.app.to_string(),
            version: "1.0.0".to_owned(),
            hook: None,
            function: Some("stock::pick".to_owned()),
            host_call: None,
            elapsed_ms: 3,
            class: Class::Request,
            resets_in_ms: None,
            fits: vec!["large".to_owned()],
            consumers: Vec::new(),
            is_of_host: false,
        },
        count: 2,
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
