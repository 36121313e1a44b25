//! What several hooks on one point say together, by its kind; and that every type passes.

use serde_json::json;

use crate::setup::Hooked;

#[tokio::test]
async fn without_hooks_the_app_is_alone() {
    let hooked = Hooked::start(&[]).await;
    assert_eq!(hooked.ask("/check").await, json!({ "allowed": true }));
    assert_eq!(hooked.ask("/price").await, json!({ "price": null }));
    assert_eq!(hooked.ask("/rewrite?text=a").await, json!({ "text": "a" }));
    assert_eq!(hooked.ask("/tell?number=1").await, json!({ "told": 1 }));
}

#[tokio::test]
async fn several_hooks_work_together_by_the_kind_of_their_point() {
    let hooked = Hooked::start(&["ext-11", "ext-22"]).await;
    // The first decision wins; who abstains leaves it to the next, and at last to the app.
    assert_eq!(hooked.ask("/price").await, json!({ "price": 11 }));
    assert_eq!(
        hooked.ask("/price?how=abstain@11").await,
        json!({ "price": 22 })
    );
    assert_eq!(
        hooked.ask("/price?how=abstain").await,
        json!({ "price": null })
    );
    // Each is given what the one before made.
    assert_eq!(
        hooked.ask("/rewrite?text=a").await,
        json!({ "text": "a+11+22" })
    );
    assert_eq!(
        hooked.ask("/rewrite?text=a&how=refuse@22").await,
        json!({ "refused": "22 refuses" })
    );
    // The first refusal wins.
    assert_eq!(hooked.ask("/check").await, json!({ "allowed": true }));
    assert_eq!(
        hooked.ask("/check?how=refuse@22&lines=3").await,
        json!({ "allowed": false, "message": "22 refuses 3 lines" })
    );
    assert_eq!(
        hooked.ask("/check?how=refuse").await["message"],
        json!("11 refuses 2 lines")
    );
}

#[tokio::test]
async fn values_of_every_type_pass_unchanged() {
    let hooked = Hooked::start(&["ext"]).await;
    assert_eq!(hooked.ask("/shapes").await, json!({ "same": true }));
}
