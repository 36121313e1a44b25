//! Components that are costly to check or to compile: refused before they are compiled, or compiled
//! within a bound, while the host goes on answering.

use std::{
    fmt::Write as _,
    time::{Duration, Instant},
};

use cloudware_tests::{Answer, Options, Package, Platform, Source, component};

use crate::{
    assert_others_are_well, platform,
    text::{Handler, IDLE},
};

/// The longest that the host may be busy with one upload: two orders of magnitude more than an ordinary
/// app takes, less than a client waits.
const PUSHED_WITHIN: Duration = Duration::from_secs(60);

fn around(name: &str, module: &str, before: &str) -> Package {
    let handler = Handler {
        module,
        before,
        ..Handler::default()
    };
    Package::around(name, handler.component())
}

/// Lines of text with their number in place of `#`.
fn numbered(count: usize, line: &str) -> String {
    (0..count).fold(String::new(), |mut text, number| {
        let _ = writeln!(text, "{}", line.replace('#', &number.to_string()));
        text
    })
}

/// Pushes while the neighbour is asked again and again.
async fn push_beside_others(platform: &Platform, package: &Package) -> (Answer, Duration) {
    let begun = Instant::now();
    let push = platform.try_push(package.archive());
    tokio::pin!(push);
    loop {
        tokio::select! {
            answer = &mut push => return (answer, begun.elapsed()),
            () = assert_others_are_well(platform) => {}
        }
    }
}

/// What is more than anybody needs is refused by counting, before it is validated.
#[tokio::test]
async fn too_much_of_anything_is_refused_unread() {
    let platform = platform().await;
    for (name, package) in too_much() {
        let (answer, took) = push_beside_others(&platform, &package).await;
        let problem = answer.problem(422, "package-rejected");
        let code = problem["problems"][0]["code"].as_str().unwrap_or_default();
        assert!(
            ["component-too-complex", "invalid-component"].contains(&code),
            "{name}: {problem}"
        );
        assert!(took < PUSHED_WITHIN, "{name} took {took:?}");
    }
}

fn too_much() -> Vec<(&'static str, Package)> {
    let module = |name, fields: String| (name, around(name, &format!("{IDLE} {fields}"), ""));
    let outer = |name, fields: String| (name, around(name, IDLE, &fields));
    vec![
        module("functions", numbered(150_001, "(func)")),
        module("types", numbered(50_001, "(type (func (param i32)))")),
        module("globals", numbered(200_001, "(global i32 (i32.const 0))")),
        module(
            "exports",
            format!(
                "(func $f) {}",
                numbered(50_001, "(export \"e#\" (func $f))")
            ),
        ),
        module(
            "one-function",
            format!("(func {})", "(drop (i32.const 1000000))".repeat(250_000)),
        ),
        outer(
            "imports",
            numbered(20_001, "(import \"a:b/c#@1.0.0\" (instance))"),
        ),
        outer("modules", numbered(201, "(core module)")),
        outer("component-types", numbered(50_001, "(type (list u8))")),
        outer(
            "nesting",
            format!("{}{}", "(component ".repeat(9), ")".repeat(9)),
        ),
        outer("instances", doubling()),
        outer(
            "core-instances",
            format!(
                "(core module $m) {}",
                numbered(1_000, "(core instance (instantiate $m))")
            ),
        ),
        outer("type-tree", type_tree()),
    ]
}

/// Twenty components, each of which instantiates the one before twice.
fn doubling() -> String {
    let levels = (1..20).fold("(component $c0)".to_owned(), |mut text, level| {
        let before = level - 1;
        let _ = write!(
            text,
            "(component $c{level} (alias outer 1 $c{before} (component $inner)) \
             (instance (instantiate $inner)) (instance (instantiate $inner)))"
        );
        text
    });
    format!("{levels} (instance (instantiate $c19))")
}

/// A type of two to the sixtieth leaves.
fn type_tree() -> String {
    let tuples = (1..60).map(|level| format!("(type $t{level} (tuple $t{0} $t{0}))", level - 1));
    format!("(type $t0 (tuple u64 u64)) {}", tuples.collect::<String>())
}

/// A host that spends little on one compilation.
async fn thrifty() -> Platform {
    let variable =
        |name: &str, value: &str| (format!("CLOUDWARE_ENGINE__{name}"), value.to_owned());
    let options = Options {
        variables: vec![
            variable("COMPILE_SECONDS_MAX", "3"),
            variable("COMPILE_MEMORY_BYTES_MAX", &MEMORY_MAX.to_string()),
        ],
        ..Options::default()
    };
    let platform = Platform::start_with(cloudware_tests::binary!(), options).await;
    platform.publish(Source::HELLO).await;
    platform.tenants(&["birch"], &["hello"]).await;
    platform
}

/// What that host lets a compilation have: a gibibyte.
const MEMORY_MAX: u64 = 1 << 30;

/// What stays below every bound that can be counted, and takes minutes or gigabytes all the same, ends with
/// the process that compiles it. The host does not grow by it.
#[tokio::test]
async fn what_is_too_costly_to_compile_is_given_up() {
    let platform = thrifty().await;
    let before = platform.resident_bytes_max();
    for (name, package) in costly() {
        assert!(package.archive().len() < 1 << 20, "{name} is small");
        let (answer, took) = push_beside_others(&platform, &package).await;
        let problem = answer.problem(422, "package-rejected");
        let told = problem["problems"][0]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(
            told.contains("takes more than 3 seconds"),
            "{name}: {problem}"
        );
        assert!(took < PUSHED_WITHIN, "{name} took {took:?}");
    }
    let grown = platform.resident_bytes_max() - before;
    assert!(grown < 256 << 20, "the host grew by {grown} bytes");
    // The compiler is free for the next one.
    let idle = Handler {
        module: IDLE,
        ..Handler::default()
    };
    platform
        .push(&Package::around("idle", idle.component()))
        .await;
}

fn costly() -> Vec<(&'static str, Package)> {
    let module = |name, fields: String| (name, around(name, &format!("{IDLE} {fields}"), ""));
    let locals = |count| numbered(count, "(local $x# i64)");
    let set = "(local.set $x# (i64.add (local.get $x#) (i64.const 1)))";
    vec![
        // Everything is alive to the end.
        module(
            "live-values",
            format!(
                "(func (param i64) (result i64) {} {})",
                numbered(60_000, "(i64.mul (local.get 0) (i64.const #))"),
                "(i64.add) ".repeat(59_999),
            ),
        ),
        // Every loop needs a place for every local that is changed in it.
        module(
            "nested-loops",
            format!(
                "(func (param i32) {} {} {})",
                locals(3_000),
                numbered(3_000, &format!("(loop {set}")),
                "(br_if 0 (local.get 0)))".repeat(3_000),
            ),
        ),
        module(
            "many-loops",
            format!(
                "(func (param i32) {} {})",
                locals(8_000),
                numbered(8_000, &format!("(loop {set} (br_if 0 (local.get 0)))")),
            ),
        ),
        module(
            "empty-loops",
            format!(
                "(func (param i32) {})",
                "(loop (br_if 0 (local.get 0)))".repeat(30_000)
            ),
        ),
    ]
}

/// Validating alone costs time too: a component that is only invalid at its very end.
#[tokio::test]
async fn what_is_invalid_at_its_end_is_refused() {
    let platform = platform().await;
    let body = numbered(400_000, "(drop (i32.const #))");
    let functions = body.lines().collect::<Vec<_>>();
    let functions = functions
        .chunks(100_000)
        .map(|body| format!("(func {})", body.concat()));
    let functions = functions.collect::<String>();
    let handler = Handler {
        module: &format!("{IDLE} {functions} (func (result i32) (i64.const 1))"),
        ..Handler::default()
    };
    let package = Package::around("late", component(&handler.text()));
    let (answer, took) = push_beside_others(&platform, &package).await;
    let problem = answer.problem(422, "package-rejected");
    assert_eq!(
        problem["problems"][0]["code"], "invalid-component",
        "{problem}"
    );
    assert!(took < PUSHED_WITHIN, "{took:?}");
}
