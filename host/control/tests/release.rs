//! Releases: what is published is what was checked, once and for all.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{
    AuditQuery, Error, PageRequest, ReleaseState, app, audit, install, release,
};
use cloudware_types::Digest;
use support::{HELLO, Package, STOCK, World, conflict};

#[tokio::test]
async fn a_release_is_pushed_once() {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let first = world.push(&provider, &HELLO).await.unwrap();
    assert!(first.is_new);
    assert_eq!(first.release.digest, Digest::of(&HELLO.archive()));
    let again = world.push(&provider, &HELLO).await.unwrap();
    assert!(!again.is_new);
    assert_eq!(again.release.id, first.release.id);
    assert_eq!(
        world.plane.prepared(),
        1,
        "the same bytes are compiled once"
    );

    let other = Package {
        mount: "/elsewhere",
        ..HELLO
    };
    assert_eq!(
        conflict(world.push(&provider, &other).await),
        "version-exists"
    );

    let kept = world
        .control
        .packages()
        .archive(&first.release.digest)
        .await;
    assert_eq!(kept.unwrap(), HELLO.archive());
    let component = world
        .control
        .packages()
        .component(&first.release.component)
        .await;
    assert_eq!(Digest::of(&component.unwrap()), first.release.component);
}

#[tokio::test]
async fn names_belong_to_who_published_them_first() {
    let world = World::new().await;
    let first = world.provider("northwind").await;
    let second = world.provider("contoso").await;
    world.push(&first, &HELLO).await.unwrap();
    let same_app = Package {
        version: "2.0.0",
        product: "other",
        ..HELLO
    };
    assert_eq!(conflict(world.push(&second, &same_app).await), "app-taken");
    let same_product = Package {
        name: "bye",
        ..HELLO
    };
    assert_eq!(
        conflict(world.push(&second, &same_product).await),
        "product-taken"
    );
    let hidden = app::get(&world.control, &second, "hello").await;
    assert!(matches!(hidden, Err(Error::NotFound { .. })));
}

#[tokio::test]
async fn what_is_refused_leaves_nothing_behind() {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let wrong = Some(Digest::of(b"something else"));
    let outcome = release::push(&world.control, &provider, None, HELLO.archive(), wrong).await;
    assert!(matches!(outcome, Err(Error::Rejected(problems)) if problems.has("digest-mismatch")));
    world.plane.refuse_release(true);
    let outcome = world.push(&provider, &HELLO).await;
    assert!(matches!(outcome, Err(Error::Rejected(p)) if p.has("component-refused")));
    let catalog = app::list(&world.control, &provider, &PageRequest::default()).await;
    assert!(catalog.unwrap().items.is_empty());
    world.plane.refuse_release(false);
    assert!(world.push(&provider, &HELLO).await.unwrap().is_new);
}

#[tokio::test]
async fn a_yanked_release_is_neither_enabled_nor_served() {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    let acme = world.tenant("acme").await;
    world.tenant("birch").await;
    let id = world.id_of("acme", "main").await;
    world.push(&provider, &HELLO).await.unwrap();
    world.enable(&acme, "acme", "hello", "1.0.0").await.unwrap();
    assert_eq!(world.plane.served(id).installs.len(), 1);

    let place = ("hello", "1.0.0");
    let yanked = release::yank(&world.control, &provider, place, "loses data")
        .await
        .unwrap();
    assert_eq!(yanked.state, ReleaseState::Yanked);
    let served = world.plane.served(id);
    assert!(served.installs.is_empty());
    // Its place in the site is kept, with the reason.
    let [kept] = &served.yanked[..] else {
        panic!("{:?}", served.yanked);
    };
    assert_eq!(
        (kept.app.as_str(), kept.version.to_string().as_str()),
        ("hello", "1.0.0")
    );
    assert_eq!(kept.http.as_ref().unwrap().mount, "/hello");
    assert_eq!(kept.reason, "loses data");
    assert!(
        world
            .control
            .desired_all()
            .await
            .unwrap()
            .iter()
            .all(|i| i.installs.is_empty())
    );
    let operator = world.operator().await;
    let outcome = world.enable(&operator, "birch", "hello", "1.0.0").await;
    assert_eq!(conflict(outcome), "release-yanked");

    let fixed = Package {
        version: "1.0.1",
        ..HELLO
    };
    world.push(&provider, &fixed).await.unwrap();
    let main = ("acme", "main");
    install::upgrade(&world.control, &acme, main, "hello", None)
        .await
        .unwrap();
    let served = world.plane.served(id);
    assert_eq!(served.installs[0].version.to_string(), "1.0.1");
    assert_eq!(served.yanked, []);
    let back = install::rollback(&world.control, &acme, main, "hello").await;
    assert_eq!(conflict(back), "release-yanked");
}

#[tokio::test]
async fn a_deprecated_release_is_not_the_newest_any_more() {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    for version in ["1.2.0", "1.10.0"] {
        world
            .push(&provider, &Package { version, ..HELLO })
            .await
            .unwrap();
    }
    let latest = || async {
        let app = app::get(&world.control, &provider, "hello").await.unwrap();
        app.latest.map(|version| version.to_string())
    };
    assert_eq!(
        latest().await.as_deref(),
        Some("1.10.0"),
        "semver, not text"
    );
    let place = ("hello", "1.10.0");
    release::deprecate(&world.control, &provider, place, "slow")
        .await
        .unwrap();
    assert_eq!(latest().await.as_deref(), Some("1.2.0"));
}

#[tokio::test]
async fn the_database_itself_keeps_releases_and_the_trail() {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    world.push(&provider, &STOCK).await.unwrap();
    for statement in [
        "UPDATE releases SET digest = 'sha256:00'",
        "UPDATE releases SET manifest = '{}'",
        "DELETE FROM releases",
        "UPDATE audit SET actor_name = 'somebody else'",
        "DELETE FROM audit",
    ] {
        assert!(world.raw_sql(statement).await.is_err(), "{statement}");
    }
    let query = AuditQuery {
        action: Some("release.push".to_owned()),
        ..AuditQuery::default()
    };
    let trail = audit::list(&world.control, &provider, query, &PageRequest::default()).await;
    assert_eq!(trail.unwrap().items[0].subject, "stock 1.0.0");
}
