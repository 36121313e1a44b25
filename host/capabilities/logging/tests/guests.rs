//! What a guest logs arrives with its level and context, and not more of it than the limit.

use cloudware_logging::Logging;
use cloudware_types::Dimension;
use guest::{Guest, install, instance, limits, run};

#[path = "../../guest.rs"]
mod guest;

const GUEST: Guest<'_> = Guest {
    wit: &["../../../wit/deps/logging"],
    imports: "import wasi:logging/logging@0.1.0-draft;",
    code: r#"
        (import "wasi:logging/logging@0.1.0-draft" "log" (func $log (param i32 i32 i32 i32 i32)))
        (data (i32.const 0) "picking")
        (data (i32.const 16) "the shelf is empty")
        (func (export "run") (result i32)
            (call $log (i32.const 3) (i32.const 0) (i32.const 7) (i32.const 16) (i32.const 18))
            ;; A context of a page of zeros, and a text without context.
            (call $log (i32.const 5) (i32.const 4096) (i32.const 4096) (i32.const 16) (i32.const 9))
            (call $log (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 16) (i32.const 3))
            (i32.const 0))"#,
};

#[tokio::test]
async fn text_arrives_with_level_and_context() {
    let ended = run(&Logging::new(), &instance(), &install(), &GUEST).await;
    assert_eq!(ended.result, Ok(0));
    let [first, second, third] = &ended.logged[..] else {
        panic!("{:?}", ended.logged);
    };
    assert_eq!(
        (first.0.as_str(), first.1.as_str(), first.2.as_str()),
        ("Warn", "picking", "the shelf is empty")
    );
    assert_eq!(
        (second.0.as_str(), second.2.as_str()),
        ("Critical", "the shelf")
    );
    assert!(second.1.len() < 1_000, "a context is a label");
    assert_eq!((third.0.as_str(), third.2.as_str()), ("Trace", "the"));
}

#[tokio::test]
async fn text_beyond_the_limit_is_cut_and_marked() {
    let mut install = install();
    install.limits = limits(Dimension::LogBytes, 20);
    let ended = run(&Logging::new(), &instance(), &install, &GUEST).await;
    assert_eq!(ended.result, Ok(0), "a full log stops nobody");
    assert!(
        ended.logged[0].2.starts_with("the shelf is "),
        "{:?}",
        ended.logged
    );
    assert!(
        ended.logged[0].2.contains("log-bytes"),
        "{:?}",
        ended.logged
    );
}
