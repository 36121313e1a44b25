//! Webhooks: what endpoints are sent, and what comes of their answers, good and bad.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use cloudware_deliveries::{
    Config, Deliver as _, Delivery, Outlook, WebhookClient, WebhookConfig, WebhookFailure,
    WebhookMessage, sign,
};
use cloudware_types::{DeliveryId, DeliveryState, DesiredHook, HookTarget, InstanceId};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    endpoint::{Endpoint, ask, development, message, raw_server, tls_file, tls_server, webhook},
    fixture::{BEGIN_MS, Fixture, call, hook, some},
};

fn hook_at(url: String) -> DesiredHook {
    DesiredHook {
        target: HookTarget::Webhook(Arc::new(webhook(url))),
        deadline_ms: 20_000,
        ..hook("warehouse")
    }
}

#[tokio::test]
async fn an_endpoint_is_sent_a_signed_message_and_asked_for_a_result() {
    let endpoint = Endpoint::start().await;
    let result = ask(development(), &endpoint.url("/echo")).await;
    assert_eq!(result, Ok(some()));
    let seen = endpoint.seen().remove(0);
    let body: Value = serde_json::from_slice(&seen.body).unwrap();
    assert_eq!(
        body,
        json!({
            "type": "stock/allocation.allocate",
            "timestamp": "2027-01-15T08:00:00.000Z",
            "version": 3,
            "data": some(),
        })
    );
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let id = seen.header("webhook-id");
    let sent: u64 = seen.header("webhook-timestamp").parse().unwrap();
    assert!(id == "msg_1" && now.abs_diff(sent) < 60);
    assert_eq!(seen.header("content-type"), "application/json");
    let keys = webhook("").keys;
    assert_eq!(
        seen.header("webhook-signature"),
        sign(&keys, id, sent, &seen.body)
    );
    assert_eq!(seen.header("webhook-signature").split(' ').count(), 2);
}

#[tokio::test]
async fn connections_are_kept_and_not_shared_by_instances() {
    let endpoint = Endpoint::start().await;
    let client = WebhookClient::new(development()).unwrap();
    let instances = [InstanceId::generate(), InstanceId::generate()];
    for instance in [instances[0], instances[0], instances[1]] {
        let message = WebhookMessage {
            instance,
            ..message(endpoint.url("/echo"))
        };
        client.ask(&message).await.unwrap();
    }
    let ports: Vec<_> = endpoint
        .seen()
        .iter()
        .map(|seen| seen.from.port())
        .collect();
    assert_eq!(ports[0], ports[1]);
    assert_ne!(ports[1], ports[2]);
}

#[tokio::test]
async fn what_an_endpoint_answers_is_told_in_words() {
    let endpoint = Endpoint::start().await;
    for (path, word) in [
        ("/moved", "302 Found, and redirects are not followed"),
        ("/down", "answered 500"),
        ("/busy", "answered 429"),
        ("/gone", "410 Gone"),
        ("/nowhere", "answered 404"),
        ("/no-content", "no JSON object"),
        ("/page", "no JSON object"),
        ("/too-large", "more than 1048576 bytes"),
        ("/endless", "more than 1048576 bytes"),
    ] {
        let failure = ask(development(), &endpoint.url(path)).await.unwrap_err();
        assert!(failure.to_string().contains(word), "{path}: {failure}");
    }
    let largest = ask(development(), &endpoint.url("/largest")).await;
    assert_eq!(largest.unwrap().as_str().unwrap().len(), (1 << 20) - 14);
    let paths: Vec<_> = endpoint.seen().into_iter().map(|seen| seen.path).collect();
    assert!(
        !paths.contains(&"/echo".to_owned()),
        "the redirect was not followed"
    );
}

#[tokio::test]
async fn an_endpoint_that_takes_too_long_is_left() {
    let endpoint = Endpoint::start().await;
    let client = WebhookClient::new(development()).unwrap();
    let deadline = Duration::from_millis(200);
    for path in ["/hangs", "/drips"] {
        let message = WebhookMessage {
            deadline,
            ..message(endpoint.url(path))
        };
        let asked = client.ask(&message).await;
        assert_eq!(asked, Err(WebhookFailure::Deadline(deadline)), "{path}");
    }
}

#[tokio::test]
async fn servers_that_do_not_speak_http_are_no_harm() {
    let head = b"HTTP/1.1 200 OK\r\n".to_vec();
    let long_head = [&head[..], b"x-long: ", &vec![b'x'; 1 << 20], b"\r\n\r\n"].concat();
    let many_headers = [&head[..], &b"a: b\r\n".repeat(10_000), b"\r\n"].concat();
    let cut_off = [&head[..], b"content-length: 100\r\n\r\n{\"result\":"].concat();
    let bad_chunk = [&head[..], b"transfer-encoding: chunked\r\n\r\nzz\r\n"].concat();
    for bytes in [
        Vec::new(),
        b"SSH-2.0-OpenSSH_9.9\r\n".to_vec(),
        vec![0xff; 100_000],
        long_head,
        many_headers,
        cut_off,
        bad_chunk,
    ] {
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(60)]).into_owned();
        let url = raw_server(bytes).await;
        let failure = ask(development(), &url).await.unwrap_err();
        assert!(
            matches!(failure, WebhookFailure::Broken(_)),
            "{shown}: {failure:?}"
        );
    }
}

#[tokio::test]
async fn addresses_that_are_not_public_are_not_connected_to() {
    let endpoint = Endpoint::start().await;
    let port = endpoint.port();
    let no_private = WebhookConfig {
        allow_private_addresses: false,
        ..development()
    };
    for host in [
        "127.0.0.1",
        "localhost",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
        "[::]",
        // Numbers that the system's resolver takes for 127.0.0.1.
        "2130706433",
        "0x7f000001",
        "0177.0.0.1",
        "127.1",
    ] {
        let url = format!("http://{host}:{port}/echo");
        let failure = ask(no_private.clone(), &url).await.unwrap_err();
        let name = host.trim_matches(['[', ']']);
        let expected =
            format!("the endpoint can't be reached: no public address was found for `{name}`");
        assert_eq!(failure.to_string(), expected);
    }
    assert!(endpoint.seen().is_empty());
    // A name that does not exist looks the same, so that nobody finds out which machines there are.
    let unknown = ask(no_private, "http://host.invalid/").await.unwrap_err();
    let text = unknown.to_string();
    assert!(
        text.ends_with("no public address was found for `host.invalid`"),
        "{text}"
    );
}

#[tokio::test]
async fn an_operator_decides_about_plain_http_and_ports() {
    let endpoint = Endpoint::start().await;
    let tls_only = WebhookConfig {
        allow_insecure: false,
        ..development()
    };
    let failure = ask(tls_only, &endpoint.url("/echo")).await.unwrap_err();
    assert!(failure.to_string().contains("https:// only"), "{failure}");
    let other_ports = WebhookConfig {
        ports: vec![443],
        ..development()
    };
    let client = WebhookClient::new(other_ports.clone()).unwrap();
    assert!(client.check(&endpoint.url("/echo")).is_err());
    assert!(client.check("https://example.com/hook").is_ok());
    let failure = ask(other_ports, &endpoint.url("/echo")).await.unwrap_err();
    assert!(failure.to_string().contains("allows 443"), "{failure}");
    assert!(endpoint.seen().is_empty());
}

#[tokio::test]
async fn certificates_are_checked() {
    let port = tls_server().await;
    let trusting = WebhookConfig {
        authorities: Some(tls_file("authority.pem")),
        ..development()
    };
    let url = format!("https://localhost:{port}/hook");
    assert_eq!(ask(trusting.clone(), &url).await, Ok(json!("over TLS")));
    let other_name = format!("https://127.0.0.1:{port}/hook");
    for (config, url) in [(development(), &url), (trusting, &other_name)] {
        let failure = ask(config, url).await.unwrap_err();
        assert!(
            matches!(failure, WebhookFailure::Unreachable(_)),
            "{failure:?}"
        );
        assert!(failure.to_string().contains("certificate"), "{failure}");
    }
    for (file, word) in [
        ("server-key.pem", "no certificate"),
        ("missing.pem", "PEM file"),
    ] {
        let config = WebhookConfig {
            authorities: Some(tls_file(file)),
            ..development()
        };
        let error = WebhookClient::new(config).err().unwrap().to_string();
        assert!(error.contains(word) && error.contains(file), "{error}");
    }
}

#[tokio::test]
async fn a_webhook_without_a_key_sends_nothing_that_anyone_could_have_sent() {
    let endpoint = Endpoint::start().await;
    let client = WebhookClient::new(development()).unwrap();
    let mut unsigned = webhook(endpoint.url("/echo"));
    unsigned.keys.clear();
    let message = WebhookMessage {
        webhook: Arc::new(unsigned),
        ..message("")
    };
    let asked = client.ask(&message).await;
    assert!(matches!(asked, Err(WebhookFailure::Message(_))));
    assert!(endpoint.seen().is_empty());
}

#[tokio::test]
async fn an_answer_says_when_a_delivery_is_tried_again() {
    let endpoint = Endpoint::start().await;
    let client = WebhookClient::new(development()).unwrap();
    let pause = Duration::from_secs(120);
    for (path, outlook) in [
        ("/down", Some(Outlook::Retry { after: None })),
        ("/busy", Some(Outlook::Retry { after: Some(pause) })),
        ("/moved", Some(Outlook::Retry { after: None })),
        ("/gone", Some(Outlook::Gone)),
        ("/no-content", None),
        ("/page", None),
    ] {
        let delivery = Delivery {
            id: DeliveryId::generate(),
            instance: InstanceId::generate(),
            hook: Arc::new(hook_at(endpoint.url(path))),
            call: call(some()),
            called_ms: BEGIN_MS,
            attempt: 1,
        };
        let failure = client.deliver(&delivery).await.err();
        assert_eq!(failure.map(|failure| failure.outlook), outlook, "{path}");
    }
    let status = WebhookFailure::Status {
        status: StatusCode::TOO_MANY_REQUESTS,
        retry_after: Some(pause),
    };
    let asked = ask(development(), &endpoint.url("/busy")).await;
    assert_eq!(asked, Err(status));
}

#[tokio::test]
async fn an_endpoint_that_was_down_is_told_the_same_message_again() {
    let dir = tempfile::tempdir().unwrap();
    let endpoint = Endpoint::start().await;
    let fixture = Fixture::unstarted(dir.path(), InstanceId::generate(), Config::default());
    let client = WebhookClient::new(development()).unwrap();
    fixture.deliveries.start(Arc::new(client));
    let hooks = [hook_at(endpoint.url("/once-down"))];
    fixture.serve(&hooks);
    fixture.record(&hooks, some()).await;
    let id = fixture.records().await[0].id;
    let record = fixture.until(id, DeliveryState::Retrying).await;
    assert!(record.reason.unwrap().contains("answered 503"));
    fixture.clock.advance(Duration::from_secs(5));
    let record = fixture.until(id, DeliveryState::Delivered).await;
    assert_eq!(record.attempts, 2);
    let seen = endpoint.seen();
    assert_eq!(seen.len(), 2);
    assert_eq!(seen[0].body, seen[1].body);
    for seen in seen {
        assert_eq!(seen.header("webhook-id"), id.to_string());
        let body: Value = serde_json::from_slice(&seen.body).unwrap();
        assert_eq!(body["type"], "stock/after-stock-moved.moved");
        assert_eq!(body["timestamp"], "2027-01-15T08:00:00.000Z");
    }
}
