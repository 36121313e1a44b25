//! What most tests need before they begin: published packages, and tenants that have them enabled.

use http::Method;
use serde_json::{Value, json};

use crate::{Answer, Http, Package, Platform, Source, content_digest};

/// The provider that publishes what tests need.
const PROVIDER: &str = "isv";

impl Platform {
    /// Sends an archive to the catalog, as the operator for the tests' provider.
    ///
    /// # Panics
    /// Where no answer comes.
    pub async fn try_push(&self, archive: Vec<u8>) -> Answer {
        let api = self.api();
        let provider = json!({ "slug": PROVIDER, "title": "Independent Software" });
        let made = api.post("/providers", &provider).await;
        assert!([201, 409].contains(&made.status), "{}", made.text());
        api.send(push_request(&api, archive)).await
    }

    /// Publishes a package.
    ///
    /// # Panics
    /// Where it is refused.
    pub async fn push(&self, package: &Package) -> Value {
        let answer = self.try_push(package.archive()).await;
        assert!([200, 201].contains(&answer.status), "{}", answer.text());
        answer.json()
    }

    /// Publishes a package of this repository.
    ///
    /// # Panics
    /// Where it can't be built or is refused.
    pub async fn publish(&self, source: Source) -> Value {
        self.push(&source.package(self.binary()).await).await
    }

    /// Creates tenants, each with the instance `main`, and enables the newest releases of apps in each.
    ///
    /// # Panics
    /// Where the platform refuses.
    pub async fn tenants(&self, tenants: &[&str], apps: &[&str]) {
        let api = self.api();
        for tenant in tenants {
            let body = json!({ "slug": tenant });
            let _ = api.post("/tenants", &body).await.expect(201);
            let instances = format!("/tenants/{tenant}/instances");
            let body = json!({ "slug": "main" });
            let _ = api.post(&instances, &body).await.expect(201);
            for app in apps {
                self.enable(tenant, app, json!({})).await;
            }
        }
    }

    /// Enables an app in the instance `main` of a tenant; `more` has other members of the request.
    ///
    /// # Panics
    /// Where the platform refuses.
    pub async fn enable(&self, tenant: &str, app: &str, more: Value) -> Value {
        let mut body = more;
        body["app"] = app.into();
        let path = format!("/tenants/{tenant}/instances/main/installs");
        self.api().post(&path, &body).await.expect(201).json()
    }

    /// Changes the limits of the instance `main` of a tenant.
    ///
    /// # Panics
    /// Where the platform refuses.
    pub async fn limit(&self, tenant: &str, limits: Value) {
        let path = format!("/tenants/{tenant}/instances/main/quota");
        let _ = self.api().patch(&path, &limits).await.expect(200);
    }

    /// How late the host is with what it is asked, in milliseconds.
    ///
    /// # Panics
    /// Where the platform refuses to say.
    pub async fn lag(&self) -> u64 {
        let host = self.api().get("/host").await.expect(200).json();
        host["lag_ms"].as_u64().expect("it is measured")
    }

    /// The usage of an app in the instance `main` of a tenant, by meter; empty where there is none yet.
    ///
    /// # Panics
    /// Where the platform refuses.
    pub async fn usage(&self, tenant: &str, app: &str) -> Value {
        let path = format!("/tenants/{tenant}/instances/main/usage?app={app}");
        let usage = self.api().get(&path).await.expect(200).json();
        usage["items"][0]["meters"].clone()
    }

    /// A new token that speaks for a tenant.
    ///
    /// # Panics
    /// Where the platform refuses.
    pub async fn tenant_token(&self, tenant: &str) -> String {
        let body = json!({ "name": "test", "tenant": tenant });
        let minted = self.api().post("/tokens", &body).await.expect(201).json();
        minted["secret"].as_str().unwrap_or_default().to_owned()
    }
}

fn push_request(api: &Http, archive: Vec<u8>) -> reqwest::RequestBuilder {
    api.request(Method::POST, &format!("/releases?provider={PROVIDER}"))
        .header("content-type", "application/vnd.cloudware.package")
        .header("content-digest", content_digest(&archive))
        .body(archive)
}
