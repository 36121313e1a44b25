//! Hooks when versions change: what does not fit is refused by its name, and what is disabled stays.

use cloudware_control::{Error, hook, install, release};

use crate::{
    FEFO_HOOK, MAIN, called, hooked, hooks, is_enabled, message, names, provider,
    support::conflict, world,
};

#[tokio::test]
async fn types_that_differ_are_refused_with_both_sides() {
    for (first, second) in [
        (("store", "1.0.0"), ("fefo", "1.1.0")),
        (("fefo", "1.1.0"), ("store", "1.0.0")),
    ] {
        let (world, acme) = world().await;
        world.enable(&acme, "acme", first.0, first.1).await.unwrap();
        let refused = world.enable(&acme, "acme", second.0, second.1).await;
        assert!(
            matches!(
                &refused,
                Err(Error::Conflict {
                    code: "point-mismatch",
                    ..
                })
            ),
            "{refused:?}"
        );
        let message = message(refused);
        for words in [
            "fefo 1.1.0",
            "store/allocation",
            "func(quantity: u64) -> option<u64>",
            "func(quantity: f64) -> option<f64>",
        ] {
            assert!(message.contains(words), "{message}");
        }
        let kept = install::get(&world.control, &acme, MAIN, second.0).await;
        assert!(matches!(kept, Err(Error::NotFound { .. })), "{kept:?}");
    }
}

#[tokio::test]
async fn a_change_of_version_is_refused_by_the_name_of_the_hook() {
    let (world, acme) = hooked().await;
    for app in ["store", "fefo"] {
        let up = install::upgrade(&world.control, &acme, MAIN, app, None).await;
        assert!(
            matches!(
                &up,
                Err(Error::Conflict {
                    code: "point-mismatch",
                    ..
                })
            ),
            "{up:?}"
        );
        let message = message(up);
        assert!(
            message.contains("acme/main/store/allocation/fefo") && message.contains("f64"),
            "{message}"
        );
    }
    // Who disables the hook decides to go without it, and gets it back when both sides fit again.
    is_enabled(&world, &acme, false).await.unwrap();
    let up = install::upgrade(&world.control, &acme, MAIN, "store", None).await;
    assert!(up.unwrap().hooks.is_empty());
    let early = is_enabled(&world, &acme, true).await;
    assert_eq!(conflict(early), "point-mismatch");
    install::upgrade(&world.control, &acme, MAIN, "fefo", None)
        .await
        .unwrap();
    is_enabled(&world, &acme, true).await.unwrap();
    assert_eq!(names(&world).await, ["fefo"]);
    let back = install::rollback(&world.control, &acme, MAIN, "fefo").await;
    assert_eq!(conflict(back), "point-mismatch");
}

#[tokio::test]
async fn hooks_stay_while_their_extension_is_disabled() {
    let (world, acme) = hooked().await;
    world.enable(&acme, "acme", "lifo", "1.0.0").await.unwrap();
    let before = called(&world).await;
    install::disable(&world.control, &acme, MAIN, "fefo")
        .await
        .unwrap();
    assert_eq!(names(&world).await, ["lifo"]);
    assert_eq!(hooks(&world).await.len(), 2);
    let shown = hook::get(&world.control, &acme, MAIN, FEFO_HOOK).await;
    assert_eq!(shown.unwrap().effect, None, "it is not called");
    let changed = world.enabled(&acme, "acme", "fefo", "1.0.0").await.unwrap();
    assert!(changed.hooks.is_empty(), "it had one");
    assert_eq!(called(&world).await, before);

    // It might not fit any more when it comes back.
    install::disable(&world.control, &acme, MAIN, "fefo")
        .await
        .unwrap();
    let other = world.enable(&acme, "acme", "fefo", "1.1.0").await;
    assert_eq!(conflict(other), "point-mismatch");
}

#[tokio::test]
async fn a_hook_whose_release_was_yanked_is_still_asked() {
    let (world, acme) = hooked().await;
    let provider = provider(&world).await;
    release::yank(&world.control, &provider, ("fefo", "1.0.0"), "broken")
        .await
        .unwrap();
    // It fails then, and its policy decides what that means.
    assert_eq!(names(&world).await, ["fefo"]);
    let shown = hook::get(&world.control, &acme, MAIN, FEFO_HOOK).await;
    assert_eq!(shown.unwrap().effect, None);
}
