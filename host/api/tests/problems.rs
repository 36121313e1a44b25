//! Errors: whatever is wrong with a request, and whoever finds it, the caller gets a problem document
//! that says what to do.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use axum::body::Body;
use bytes::Bytes;
use cloudware_types::Dimension;
use futures_util::stream;
use http::{Method, Request, header};
use serde_json::{Value, json};
use support::{
    Server,
    plane::{HELLO, Package, World},
    request,
};

async fn server() -> (Server, String) {
    let world = World::new().await;
    let secret = world.secret(None, None).await;
    (Server::new(world), secret)
}

#[tokio::test]
async fn what_the_framework_refuses_is_a_problem_too() {
    let (server, secret) = server().await;
    let none = &Value::Null;
    let answer = server.get(&secret, "/nowhere").await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (404, "not-found")
    );

    let answer = server.call(&secret, Method::DELETE, "/tenants", none).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (405, "method-not-allowed")
    );
    assert!(answer.header("allow").contains("POST"), "{answer:?}");

    let mut text = request(&secret, Method::POST, "/tenants", &json!({ "slug": "x" }));
    text.headers_mut()
        .insert(header::CONTENT_TYPE, "text/plain".parse().unwrap());
    let answer = server.send(text).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (415, "unsupported-media-type")
    );

    let mut broken = request(&secret, Method::POST, "/tenants", &json!({}));
    *broken.body_mut() = "{\"slug\":".into();
    let answer = server.send(broken).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (400, "malformed")
    );

    let long = json!({ "slug": "x", "title": "y".repeat(300_000) });
    let answer = server.post(&secret, "/tenants", &long).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (413, "too-large")
    );
    let detail = answer.json()["detail"].to_string();
    assert!(detail.contains("more than 262144 bytes"), "{detail}");
}

#[tokio::test]
async fn input_that_is_refused_is_named() {
    let (server, secret) = server().await;
    for (path, body, hint) in [
        (
            "/tenants",
            json!({ "slug": "x", "colour": "red" }),
            "colour",
        ),
        ("/tenants", json!({ "slug": "Not A Name" }), "Not A Name"),
        ("/tenants", json!({}), "slug"),
        ("/tenants", json!({ "slug": "x", "title": " " }), "title"),
        (
            "/tenants",
            json!({ "slug": "x", "title": "a\u{7}b" }),
            "title",
        ),
        ("/tokens", json!({ "name": "x".repeat(61) }), "60"),
        (
            "/tokens",
            json!({ "name": "x", "tenant": "a", "provider": "b" }),
            "exclude",
        ),
    ] {
        let answer = server.post(&secret, path, &body).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
        assert!(
            answer.json()["detail"].as_str().unwrap().contains(hint),
            "{answer:?}"
        );
    }
    for query in ["limit=0", "limit=501", "limit=x", "colour=red"] {
        let answer = server.get(&secret, &format!("/tenants?{query}")).await;
        assert!(
            [400, 422].contains(&answer.status.as_u16()),
            "{query}: {answer:?}"
        );
    }
    let backwards = "/usage?from=2026-01-02T00:00:00Z&to=2026-01-01T00:00:00Z";
    let backwards = server.get(&secret, backwards).await;
    assert_eq!(
        (
            backwards.status.as_u16(),
            backwards.json()["field"].as_str()
        ),
        (422, Some("to"))
    );
    let times = server.get(&secret, "/usage?from=yesterday").await;
    assert_eq!(
        (times.status.as_u16(), times.json()["field"].as_str()),
        (422, Some("from"))
    );
    let meter = server.get(&secret, "/usage?meter=joy").await;
    assert!(
        meter.json()["detail"]
            .as_str()
            .unwrap()
            .contains("requests"),
        "{meter:?}"
    );
}

#[tokio::test]
async fn quotas_are_written_as_people_and_machines_write_them() {
    let (server, secret) = server().await;
    server.world.tenant("acme").await;
    let patch = |body: Value| {
        let request = request(&secret, Method::PATCH, "/tenants/acme/quota", &body);
        server.send(request)
    };
    let answer = patch(json!({ "memory": "16MiB", "fuel": 10_000_000, "reason": "a trial" })).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    let limits = answer.json()["limits"].as_array().unwrap().clone();
    let limit = |name: &str| {
        limits
            .iter()
            .find(|limit| limit["name"] == name)
            .unwrap()
            .clone()
    };
    assert_eq!(
        (
            limit("memory")["value"].as_u64(),
            limit("memory")["level"].as_str()
        ),
        (Some(16 << 20), Some("tenant"))
    );
    assert_eq!(limit("fuel")["settings"][1]["reason"], "a trial");
    assert_eq!(limit("deadline")["level"], "default");
    for body in [
        json!({ "joy": 1 }),
        json!({ "memory": "lots" }),
        json!({ "memory": 1 }),
        json!({ "fuel": -1 }),
        json!({ "fuel": [1] }),
        json!({}),
        json!([]),
    ] {
        let answer = patch(body.clone()).await;
        assert_eq!(answer.status, 422, "{body}: {answer:?}");
    }
    let answer = patch(json!({ "memory": null })).await;
    let limits = answer.json()["limits"].as_array().unwrap().clone();
    let level =
        |name: &str| limits.iter().find(|limit| limit["name"] == name).unwrap()["level"].clone();
    assert_eq!(
        (level("memory"), level("fuel")),
        (json!("default"), json!("tenant"))
    );
}

#[tokio::test]
async fn a_quota_of_another_kind_is_named_with_what_to_write() {
    let (server, secret) = server().await;
    server.world.tenant("acme").await;
    // Written out, because one number is too large for every type.
    for (body, field, words) in [
        ("{\"fuel\":-1}", "fuel", ["`-1`", "\"10k\""]),
        ("{\"fuel\":1.5}", "fuel", ["`1.5`", "null to unset it"]),
        ("{\"fuel\":true}", "fuel", ["`true`", "a whole number"]),
        ("{\"hook-memory\":[]}", "hook-memory", ["`[]`", "\"2MiB\""]),
        ("{\"deadline\":{}}", "deadline", ["`{}`", "\"500ms\""]),
        (
            "{\"fuel\":18446744073709551616}",
            "fuel",
            ["a whole number from", " to "],
        ),
        (
            "{\"set\":{\"fuel\":1}}",
            "set",
            ["no limit named `set`", "fuel"],
        ),
        (
            "{\"fuel\":1,\"reason\":5}",
            "reason",
            ["must be a text or null", "`5`"],
        ),
        ("[]", "body", ["an object of limits", "\"50M\""]),
        ("null", "body", ["an object of limits", "`null`"]),
    ] {
        let path = "/tenants/acme/quota";
        let mut patch = request(&secret, Method::PATCH, path, &json!({}));
        *patch.body_mut() = body.into();
        let answer = server.send(patch).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (422, "invalid"),
            "{body}: {answer:?}"
        );
        let problem = answer.json();
        assert_eq!(problem["field"], field, "{body}: {problem}");
        let detail = problem["detail"].as_str().unwrap();
        for word in words {
            assert!(detail.contains(word), "{body}: {detail}");
        }
    }
    let long = json!({ "fuel": ["x".repeat(1_000)] });
    let patch = request(&secret, Method::PATCH, "/tenants/acme/quota", &long);
    let detail = server.send(patch).await.json()["detail"].to_string();
    assert!(detail.len() < 300 && detail.contains('…'), "{detail}");
}

#[tokio::test]
async fn quotas_say_class_scope_and_what_is_used() {
    let (server, secret) = server().await;
    server.world.tenant("acme").await;
    server.world.plan("pro").await;
    let main = server.world.id_of("acme", "main").await;
    let load = cloudware_control::InstanceLoad {
        storage_bytes: 0,
        used: vec![(Dimension::Concurrency, 205)],
    };
    server.world.plane.set_load(main, load);
    let path = "/tenants/acme/instances/main/quota";
    let limits = |answer: Value| answer["limits"].as_array().unwrap().clone();
    let plain = limits(server.get(&secret, path).await.json());
    let hook = plain.iter().find(|l| l["name"] == "hook-fuel").unwrap();
    assert_eq!(
        (&hook["class"], &hook["scope"]),
        (&json!("hook"), &json!("invocation"))
    );
    assert!(plain.iter().all(|limit| limit.get("used").is_none()));
    let used = server.get(&secret, &format!("{path}?usage=true")).await;
    let used = limits(used.json());
    let running = used.iter().find(|l| l["name"] == "concurrency").unwrap();
    assert_eq!(
        (&running["used"], &running["percent"], &running["state"]),
        (&json!(205), &json!(80), &json!("soft"))
    );
    assert_eq!(used.iter().filter(|l| l.get("state").is_some()).count(), 4);
    for (path, status) in [
        ("/tenants/acme/quota?usage=true", 422),
        ("/plans/pro/quota?usage=true", 422),
        ("/plans/pro/quota?colour=red", 400),
        ("/tenants/acme/quota?usage=perhaps", 400),
        ("/tenants/acme/quota?colour=red", 400),
    ] {
        assert_eq!(server.get(&secret, path).await.status, status, "{path}");
    }
}

#[tokio::test]
async fn quotas_name_what_is_set_within_where_that_is_asked_for_or_changed() {
    let (server, secret) = server().await;
    server.world.tenant("acme").await;
    let main = "/tenants/acme/instances/main/quota";
    let set = async |path: &str, fuel: u64| {
        let body = json!({ "fuel": fuel, "reason": "a test" });
        let changed = server.call(&secret, Method::PATCH, path, &body).await;
        assert_eq!(changed.status, 200);
        changed.json()
    };
    let of_fuel = |quota: Value| {
        let limits = quota["limits"].as_array().unwrap().clone();
        let fuel = limits.into_iter().find(|limit| limit["name"] == "fuel");
        fuel.unwrap()["overrides"].clone()
    };
    assert_eq!(of_fuel(set(main, 7_000).await), Value::Null);
    let within = of_fuel(set("/tenants/acme/quota", 9_000).await);
    assert_eq!(
        (&within[0]["target"], &within[0]["value"]),
        (&json!("acme/main"), &json!(7_000))
    );
    assert_eq!(
        (&within[0]["text"], &within[0]["reason"]),
        (&json!("7,000 fuel"), &json!("a test"))
    );
    for (path, expected) in [
        ("/tenants/acme/quota", &Value::Null),
        ("/tenants/acme/quota?overrides=true", &within),
    ] {
        let quota = server.get(&secret, path).await.json();
        assert_eq!(&of_fuel(quota), expected, "{path}");
    }
    let only = server
        .get(&secret, "/tenants/acme/quota?overrides=true&name=fuel")
        .await
        .json();
    assert_eq!(only["limits"].as_array().map(Vec::len), Some(1), "{only}");
    assert_eq!(of_fuel(only), within);
    let unknown = server.get(&secret, "/tenants/acme/quota?name=fule").await;
    assert_eq!(unknown.status, 422);
    assert!(unknown.json()["detail"].to_string().contains("fule"));
}

#[tokio::test]
async fn a_plan_is_taken_away_on_purpose_only() {
    let (server, secret) = server().await;
    server.world.tenant("acme").await;
    server.world.plan("pro").await;
    let put = |body: Value| {
        let (server, secret) = (&server, &secret);
        async move {
            let path = "/tenants/acme/plan";
            server.call(secret, Method::PUT, path, &body).await
        }
    };
    let given = put(json!({ "plan": "pro" })).await;
    assert_eq!(given.json()["plan"], "pro");
    for body in [
        json!({}),
        json!({ "plan": 1 }),
        json!({ "plan": "pro", "x": 1 }),
    ] {
        assert_eq!(put(body.clone()).await.status, 422, "{body}");
    }
    let unknown = put(json!({ "plan": "gold" })).await;
    assert_eq!(
        (unknown.status.as_u16(), unknown.problem().as_str()),
        (404, "not-found")
    );
    let deleted = server
        .call(&secret, Method::DELETE, "/plans/pro", &Value::Null)
        .await;
    assert_eq!(
        (deleted.status.as_u16(), deleted.problem().as_str()),
        (409, "in-use")
    );
    let taken = put(json!({ "plan": null })).await;
    assert!(taken.json().get("plan").is_none(), "{taken:?}");
    let bad = server
        .post(&secret, "/plans", &json!({ "slug": "Not A Name" }))
        .await;
    assert_eq!(bad.status, 422);
}

#[tokio::test]
async fn an_upload_is_bounded_before_it_is_kept() {
    let (server, _) = server().await;
    server.world.provider("northwind").await;
    let secret = server.world.secret(Some("northwind"), None).await;
    let upload = |body: Body| {
        let request = Request::post("/api/v1/releases")
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .header(header::CONTENT_TYPE, "application/vnd.cloudware.package");
        (request, body)
    };
    let (request, body) = upload(Body::empty());
    let announced = request
        .header(header::CONTENT_LENGTH, 1_u64 << 30)
        .body(body)
        .unwrap();
    let answer = server.send(announced).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (413, "too-large")
    );

    let megabyte = Bytes::from(vec![0; 1 << 20]);
    let endless = stream::repeat_with(move || Ok::<_, std::io::Error>(megabyte.clone()));
    let (request, body) = upload(Body::from_stream(endless));
    let answer = server.send(request.body(body).unwrap()).await;
    assert_eq!(answer.status, 413, "{answer:?}");

    let cut = stream::iter([
        Ok(Bytes::from_static(b"abc")),
        Err(std::io::Error::other("cut")),
    ]);
    let (request, body) = upload(Body::from_stream(cut));
    let answer = server.send(request.body(body).unwrap()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (400, "upload-broken")
    );

    for digest in ["sha-256=abc", "sha-256=:AAAA:", "nonsense"] {
        let (request, body) = upload(HELLO.archive().into());
        let answer = server
            .send(request.header("content-digest", digest).body(body).unwrap())
            .await;
        assert_eq!(answer.status, 422, "{digest}: {answer:?}");
    }
    let wrong = format!("sha-512=:AA==:, sha-256=:{}=:", "A".repeat(43));
    let (request, body) = upload(HELLO.archive().into());
    let answer = server
        .send(request.header("content-digest", wrong).body(body).unwrap())
        .await;
    assert_eq!(
        answer.json()["problems"][0]["code"],
        "digest-mismatch",
        "{answer:?}"
    );
}

#[tokio::test]
async fn a_package_is_refused_with_every_reason() {
    let (server, _) = server().await;
    server.world.provider("northwind").await;
    let secret = server.world.secret(Some("northwind"), None).await;
    let push = |body: Body| {
        let mut push = request(&secret, Method::POST, "/releases", &Value::Null);
        *push.body_mut() = body;
        server.send(push)
    };
    let answer = push("not an archive".into()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (422, "package-rejected")
    );
    let problem = &answer.json()["problems"][0];
    for member in ["code", "at", "message", "fix"] {
        assert!(!problem[member].as_str().unwrap().is_empty(), "{answer:?}");
    }
    let first = push(HELLO.archive().into()).await;
    assert_eq!(
        (first.status.as_u16(), first.json()["created"].as_bool()),
        (201, Some(true))
    );
    let again = push(HELLO.archive().into()).await;
    assert_eq!(
        (again.status.as_u16(), again.json()["created"].as_bool()),
        (200, Some(false))
    );
    let changed = Package {
        mount: "/other",
        ..HELLO
    };
    let answer = push(changed.archive().into()).await;
    assert_eq!(
        (answer.status.as_u16(), answer.problem().as_str()),
        (409, "version-exists")
    );
}

#[tokio::test]
async fn a_change_of_what_was_changed_meanwhile_is_refused() {
    let (server, secret) = server().await;
    server.world.tenant("acme").await;
    let read = server.get(&secret, "/tenants/acme").await;
    assert_eq!(read.header("etag"), "\"r1\"");
    let rename = |title: &str, tag: &str| {
        let body = json!({ "title": title });
        let mut request = request(&secret, Method::PATCH, "/tenants/acme", &body);
        request
            .headers_mut()
            .insert(header::IF_MATCH, tag.parse().unwrap());
        server.send(request)
    };
    let changed = rename("First", "\"r1\"").await;
    assert_eq!(
        (changed.status.as_u16(), changed.header("etag")),
        (200, "\"r2\"")
    );
    for tag in ["\"r1\"", "\"r9\"", "W/\"r2\"", "nonsense"] {
        let answer = rename("Second", tag).await;
        assert_eq!(
            (answer.status.as_u16(), answer.problem().as_str()),
            (412, "revision-changed")
        );
    }
    assert_eq!(rename("Third", "*").await.json()["title"], "Third");
}

#[tokio::test]
async fn a_request_keeps_its_id_if_that_is_harmless() {
    let (server, secret) = server().await;
    let send = |id: &str| {
        let mut request = request(&secret, Method::GET, "/whoami", &Value::Null);
        request
            .headers_mut()
            .insert("x-request-id", id.parse().unwrap());
        server.send(request)
    };
    assert_eq!(send("trace-1").await.header("x-request-id"), "trace-1");
    for id in ["a b", "<script>", &"x".repeat(65)] {
        let answer = send(id).await;
        assert_ne!(answer.header("x-request-id"), id);
        assert_eq!(answer.header("x-request-id").len(), 32);
    }
}

#[tokio::test]
async fn slow_uploads_of_a_provider_leave_room_for_others() {
    let (server, _) = server().await;
    let upload = |secret: &str, body: Body| {
        Request::post("/api/v1/releases")
            .header(header::AUTHORIZATION, format!("Bearer {secret}"))
            .header(header::CONTENT_TYPE, "application/vnd.cloudware.package")
            .body(body)
            .unwrap()
    };
    let mut secrets = Vec::new();
    for provider in ["northwind", "contoso", "fabrikam"] {
        server.world.provider(provider).await;
        secrets.push(server.world.secret(Some(provider), None).await);
    }
    let (slow, other, third) = (&secrets[0], &secrets[1], &secrets[2]);
    // Bodies that begin and do not go on; they have their places once the first piece was taken.
    let stalled = async |secret: &str| {
        let (taken, begun) = tokio::sync::oneshot::channel();
        let pieces = stream::unfold(Some(taken), |taken| async {
            match taken {
                Some(taken) => {
                    let _ = taken.send(());
                    let piece = Bytes::from_static(b"slow");
                    Some((Ok::<_, std::io::Error>(piece), None))
                }
                None => std::future::pending().await,
            }
        });
        let running = server.spawn(upload(secret, Body::from_stream(pieces)));
        begun.await.unwrap();
        running
    };
    let mut running = vec![stalled(slow).await, stalled(slow).await];
    let refused = server.send(upload(slow, Body::empty())).await;
    assert_eq!(
        (refused.status.as_u16(), refused.problem().as_str()),
        (429, "uploads-busy")
    );
    assert_eq!(refused.header("retry-after"), "10");
    let detail = refused.json()["detail"].to_string();
    assert!(
        detail.contains("`northwind`") && detail.contains('2'),
        "{detail}"
    );

    let pushed = server.send(upload(other, HELLO.archive().into())).await;
    assert_eq!(pushed.status, 201, "{pushed:?}");

    running.push(stalled(other).await);
    running.push(stalled(other).await);
    let refused = server.send(upload(third, Body::empty())).await;
    assert_eq!(refused.status, 429, "{refused:?}");
    assert!(
        refused.json()["detail"]
            .to_string()
            .contains("other providers")
    );

    // An upload that is given up gives its place back.
    running.remove(0).abort();
    let again = server.send_until(
        |answer| answer.status != 429,
        || upload(slow, Body::empty()),
    );
    assert_eq!(again.await.problem(), "package-rejected");
    running.into_iter().for_each(|upload| upload.abort());
}
