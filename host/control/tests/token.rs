//! Tokens: unguessable, kept as hashes, revocable at once.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{Caller, Error, PageRequest, TokenNew, token};
use support::World;

#[tokio::test]
async fn a_secret_is_kept_nowhere() {
    let world = World::new().await;
    world.tenant("acme").await;
    let secret = world.secret(None, Some("acme")).await;
    assert!(
        secret.starts_with("cw_ten_") && secret.len() == 7 + 43,
        "{secret}"
    );
    assert_ne!(secret, world.secret(None, Some("acme")).await);
    let random = &secret.as_bytes()[7..];
    for name in ["control.db", "control.db-wal"] {
        let file = std::fs::read(world.dir.path().join(name)).unwrap();
        assert!(
            !file.windows(random.len()).any(|part| part == random),
            "{name}"
        );
    }
}

#[tokio::test]
async fn a_revoked_token_opens_nothing() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    let secret = world.secret(None, Some("acme")).await;
    let found = token::authenticate(&world.control, &secret).await.unwrap();
    let used = token::list(&world.control, &acme, &PageRequest::default())
        .await
        .unwrap();
    assert!(
        used.items
            .iter()
            .any(|t| t.id == found.id && t.last_used_at.is_some())
    );
    let id = found.id.to_string();
    let birch = world.tenant("birch").await;
    let foreign = token::revoke(&world.control, &birch, &id).await;
    assert!(
        matches!(foreign, Err(Error::NotFound { .. })),
        "{foreign:?}"
    );
    token::revoke(&world.control, &acme, &id).await.unwrap();
    for text in [
        secret.as_str(),
        "",
        "cw_ten_",
        "cw_op_x",
        &"cw_".repeat(100),
    ] {
        let outcome = token::authenticate(&world.control, text).await;
        assert!(matches!(outcome, Err(Error::Unauthenticated)), "{text}");
    }
}

#[tokio::test]
async fn nobody_makes_tokens_for_others() {
    let world = World::new().await;
    let acme = world.tenant("acme").await;
    world.tenant("birch").await;
    world.provider("northwind").await;
    let new = |provider: Option<&str>, tenant: Option<&str>| TokenNew {
        name: "mine".to_owned(),
        provider: provider.map(ToOwned::to_owned),
        tenant: tenant.map(ToOwned::to_owned),
    };
    for other in [new(None, Some("birch")), new(Some("northwind"), None)] {
        let outcome = token::create(&world.control, &acme, other).await;
        assert!(
            matches!(outcome, Err(Error::NotFound { .. })),
            "{outcome:?}"
        );
    }
    let own = token::create(&world.control, &acme, new(None, None))
        .await
        .unwrap();
    let call = world.call(&own.secret).await;
    assert_eq!(call.caller, acme.caller);
    assert!(matches!(call.caller, Caller::Tenant(_)));
    let listed = token::list(&world.control, &acme, &PageRequest::default())
        .await
        .unwrap();
    assert!(
        listed
            .items
            .iter()
            .all(|t| t.owner_name.as_ref().unwrap().as_str() == "acme")
    );
}
