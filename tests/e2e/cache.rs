//! Compiled code on disk is trusted only if this host wrote it: what was changed, swapped or deleted is
//! compiled anew from the published component, and the sites answer as before.

use std::{
    fs,
    path::{Path, PathBuf},
};

use cloudware_tests::{Platform, Source};
use walkdir::WalkDir;

fn compiled(data: &Path) -> Vec<PathBuf> {
    let files = WalkDir::new(data.join("cache")).into_iter().flatten();
    let mut code: Vec<_> = files
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "cwasm")
        })
        .collect();
    code.sort();
    code
}

async fn answers(platform: &Platform) {
    let _ = platform.site("acme", "/hello").get("/").await.expect(200);
    let counter = platform.site("acme", "/adversary").get("/counter").await;
    let _ = counter.expect(200);
}

#[tokio::test]
async fn compiled_code_that_this_host_did_not_write_is_never_run() {
    let mut platform = Platform::start(cloudware_tests::binary!()).await;
    platform.publish(Source::HELLO).await;
    platform.publish(Source::ADVERSARY).await;
    platform.tenants(&["acme"], &["hello", "adversary"]).await;
    answers(&platform).await;
    assert!(platform.terminate().await.success());

    let code = compiled(&platform.data());
    assert_eq!(code.len(), 2, "{code:?}");
    let mut bytes = fs::read(&code[0]).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&code[0], bytes).unwrap();
    platform.restart().await;
    assert!(
        platform.log().contains("fails its check"),
        "{}",
        platform.log()
    );
    answers(&platform).await;
    assert!(platform.terminate().await.success());

    // The code of one component under the name of the other, with a genuine check of its own.
    fs::copy(&code[0], &code[1]).unwrap();
    fs::copy(code[0].with_extension("mac"), code[1].with_extension("mac")).unwrap();
    platform.restart().await;
    answers(&platform).await;
    assert!(platform.terminate().await.success());

    fs::remove_dir_all(platform.data().join("cache")).unwrap();
    platform.restart().await;
    answers(&platform).await;
    assert_eq!(compiled(&platform.data()).len(), 2);
}
