//! What does not fit is refused before it runs, with both sides' types.

use cloudware_tests::{Platform, Source};
use serde_json::json;

use crate::setup::extension;

#[tokio::test]
async fn another_type_is_refused_when_it_is_enabled() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HOOKS_APP).await;
    platform.tenants(&["acme"], &["hooks-app"]).await;
    platform.publish(Source::HOOKS_OTHER).await;
    let body = json!({ "app": "hooks-other" });
    let path = "/tenants/acme/instances/main/installs";
    let problem = platform
        .api()
        .post(path, &body)
        .await
        .problem(409, "point-mismatch");
    let detail = problem["detail"].as_str().unwrap_or_default();
    for word in ["price", "option<u64>", "option<string>"] {
        assert!(detail.contains(word), "no {word} in {detail}");
    }
}

#[tokio::test]
async fn an_extension_without_its_point_waits_for_it() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    platform.tenants(&["acme"], &[]).await;
    let alone = extension(&platform, "ext")
        .await
        .edit("[dependencies]\nhooks-app = \"Calls back.\"\n", "")
        .edit(
            "[calls]\n\"test:points/service@1.0.0\" = \"Doubles numbers.\"\n",
            "",
        );
    let refused = platform
        .try_push(alone.archive())
        .await
        .problem(422, "package-rejected");
    let text = refused.to_string();
    assert!(
        text.contains("test:points/service"),
        "an import that nothing declares: {text}"
    );
}
