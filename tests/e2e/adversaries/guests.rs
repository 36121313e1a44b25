//! Components that misbehave below what a language can express: in callbacks of the host, at their start,
//! after their return, and with instructions whose work is out of proportion to their number.

use cloudware_tests::{Package, Platform};
use serde_json::{Value, json};

use crate::{
    assert_others_are_well, platform,
    text::{Handler, IDLE, asking},
};

/// Fuel of each run: enough for instantiation, spent within a fraction of a second.
const FUEL: u64 = 20_000_000;

/// Memory of each run in bytes: 256 pages.
const MEMORY: u64 = 16 << 20;

/// How a run must end.
enum End {
    /// With the explanation of this limit.
    Limit(&'static str),
    /// With a trap whose message has this word.
    Trap(&'static str),
}

struct Case {
    name: &'static str,
    text: String,
    end: End,
}

fn case(name: &'static str, handler: Handler<'_>, end: End) -> Case {
    Case {
        name,
        text: handler.text(),
        end,
    }
}

/// A module with these fields whose handler is these instructions.
fn handling(name: &'static str, fields: &str, body: &str, end: End) -> Case {
    let module = format!("{fields} (func $handle (export \"handle\") (param i32 i32) {body})");
    let handler = Handler {
        module: &module,
        ..Handler::default()
    };
    case(name, handler, end)
}

/// See [`asking`].
fn allocating(name: &'static str, body: &str, end: End) -> Case {
    let text = asking(body);
    Case { name, text, end }
}

/// Misbehaves while the host lowers a result into the guest.
fn in_callbacks() -> Vec<Case> {
    vec![
        allocating(
            "allocate-loop",
            "(loop (br 0)) unreachable",
            End::Limit("fuel"),
        ),
        allocating("allocate-trap", "unreachable", End::Trap("unreachable")),
        allocating(
            "allocate-grow",
            "(loop (drop (memory.grow (i32.const 16))) (br 0)) unreachable",
            End::Limit("memory"),
        ),
        allocating(
            "allocate-outside",
            "(i32.const 0x7fffffff)",
            End::Trap("beyond end of memory"),
        ),
        allocating(
            "allocate-end",
            "(i32.const 65530)",
            End::Trap("beyond end of memory"),
        ),
        allocating(
            "allocate-negative",
            "(i32.const -1)",
            End::Trap("beyond end of memory"),
        ),
        allocating(
            "allocate-enter",
            "(call $again (i64.const 16) (i32.const 0)) (i32.const 64)",
            End::Trap("cannot leave"),
        ),
        allocating(
            "allocate-recurse",
            "(call $allocate (local.get 0) (local.get 1) (local.get 2) (local.get 3)) (drop) \
             (i32.const 64)",
            End::Limit("stack"),
        ),
    ]
}

/// Misbehaves before the handler is called, or after it has returned.
fn at_the_edges() -> Vec<Case> {
    let idle = |fields: &str| format!("{IDLE} {fields}");
    let start = |name, fields: &str, end| {
        let module = idle(fields);
        let handler = Handler {
            module: &module,
            ..Handler::default()
        };
        case(name, handler, end)
    };
    let after = |name, body: &str, end| {
        let module = idle(&format!("(memory 1) (func (export \"after\") {body})"));
        let handler = Handler {
            module: &module,
            lift: "(post-return (core func $only \"after\"))",
            ..Handler::default()
        };
        case(name, handler, end)
    };
    let grow = "(loop (drop (memory.grow (i32.const 16))) (br 0))";
    vec![
        start(
            "start-loop",
            "(func $start (loop (br 0))) (start $start)",
            End::Limit("fuel"),
        ),
        start(
            "start-trap",
            "(func $start unreachable) (start $start)",
            End::Trap("unreachable"),
        ),
        start(
            "start-grow",
            &format!("(memory 1) (func $start {grow}) (start $start)"),
            End::Limit("memory"),
        ),
        start("start-large", "(memory 300)", End::Limit("memory")),
        case(
            "start-many",
            Handler {
                before: &format!(
                    "(core module $more (memory 60)) {}",
                    "(core instance (instantiate $more)) ".repeat(5)
                ),
                module: IDLE,
                ..Handler::default()
            },
            End::Limit("memory"),
        ),
        start(
            "start-outside",
            "(memory 1) (data (i32.const 65535) \"xx\")",
            End::Trap("out of bounds"),
        ),
        after("after-loop", "(loop (br 0))", End::Limit("fuel")),
        after("after-grow", grow, End::Limit("memory")),
        after("after-trap", "unreachable", End::Trap("unreachable")),
    ]
}

/// Loops whose single instructions do the work of millions.
fn out_of_proportion() -> Vec<Case> {
    let memory = "(memory 1) (func $grow (drop (memory.grow (i32.const 200))))";
    let large = |name, instruction: &str| {
        let body = format!("(call $grow) (loop {instruction} (br 0))");
        handling(name, memory, &body, End::Limit("fuel"))
    };
    let tables = "(table $table 100000 funcref)";
    let table = |name, instruction: &str| {
        handling(
            name,
            tables,
            &format!("(loop {instruction} (br 0))"),
            End::Limit("fuel"),
        )
    };
    vec![
        large(
            "memory-fill",
            "(memory.fill (i32.const 0) (i32.const 1) (i32.const 13000000))",
        ),
        large(
            "memory-copy",
            "(memory.copy (i32.const 1) (i32.const 0) (i32.const 13000000))",
        ),
        table(
            "table-fill",
            "(table.fill $table (i32.const 0) (ref.null func) (i32.const 100000))",
        ),
        table(
            "table-copy",
            "(table.copy (i32.const 1) (i32.const 0) (i32.const 99999))",
        ),
        handling(
            "memory-init",
            &format!("(memory 1) (data $data \"{}\")", "x".repeat(60_000)),
            "(loop (memory.init $data (i32.const 0) (i32.const 0) (i32.const 60000)) (br 0))",
            End::Limit("fuel"),
        ),
        handling(
            "grow-refused",
            "(memory $small 1 1)",
            "(loop (drop (memory.grow $small (i32.const 1))) (br 0))",
            End::Trap("over 10000 times"),
        ),
        handling(
            "grow-by-nothing",
            "(memory 1)",
            "(loop (drop (memory.grow (i32.const 0))) (br 0))",
            End::Limit("fuel"),
        ),
        handling(
            "tail-calls",
            "(func $round (return_call $round))",
            "(call $round)",
            End::Limit("fuel"),
        ),
    ]
}

/// Memory and stack that are none of the ordinary kinds.
fn other_memory() -> Vec<Case> {
    let wide: String = (0..2_000).map(|_| "i64 ").collect();
    let deep = format!(
        "(func $deep (param i64) (result i64) (local {wide}) (local.set 1900 (local.get 0)) \
         (i64.add (call $deep (i64.add (local.get 0) (i64.const 1))) (local.get 1900)))"
    );
    vec![
        handling(
            "memory64",
            "(memory i64 1)",
            "(loop (drop (memory.grow (i64.const 16))) (br 0))",
            End::Limit("memory"),
        ),
        handling(
            "table-grow",
            "(table $table 1 funcref)",
            // A table ends where its slot ends, far below the memory of the run.
            "(loop (drop (table.grow $table (ref.null func) (i32.const 1000))) (br 0))",
            End::Trap("over 10000 times"),
        ),
        handling(
            "deep-and-wide",
            &deep,
            "(drop (call $deep (i64.const 0)))",
            End::Limit("stack"),
        ),
        handling(
            "mutual-recursion",
            "(memory 1) (func $a (call $b) (drop (memory.size))) (func $b (call $a) (drop (memory.size)))",
            "(call $a)",
            End::Limit("stack"),
        ),
    ]
}

/// Handles that are not the guest's, and plain traps.
fn broken_rules() -> Vec<Case> {
    let dropping = |name, drops: &str, end| {
        let module = format!(
            "(import \"host\" \"drop\" (func $drop (param i32))) \
             (func (export \"handle\") (param i32 i32) {drops})"
        );
        let handler = Handler {
            before: "(core func $drop (canon resource.drop $request)) \
                     (core instance $host (export \"drop\" (func $drop)))",
            module: &module,
            with: "(with \"host\" (instance $host))",
            ..Handler::default()
        };
        case(name, handler, end)
    };
    vec![
        dropping(
            "drop-twice",
            "(call $drop (local.get 0)) (call $drop (local.get 0))",
            End::Trap("unknown handle"),
        ),
        dropping(
            "drop-guessed",
            "(call $drop (i32.const 77))",
            End::Trap("unknown handle"),
        ),
        dropping(
            "drop-other-type",
            "(call $drop (local.get 1))",
            End::Trap("handle"),
        ),
        handling(
            "divide",
            "",
            "(drop (i32.div_s (i32.const 1) (i32.const 0)))",
            End::Trap("divide by zero"),
        ),
        handling(
            "outside",
            "(memory 1)",
            "(drop (i32.load (i32.const 0x7ffffff0)))",
            End::Trap("out of bounds"),
        ),
        handling(
            "call-null",
            "(table 1 funcref) (type $none (func))",
            "(call_indirect (type $none) (i32.const 0))",
            End::Trap("uninitialized element"),
        ),
    ]
}

#[tokio::test]
async fn what_happens_in_callbacks_counts_for_the_guest() {
    all_end_as_they_must(in_callbacks()).await;
}

#[tokio::test]
async fn starts_and_returns_count_for_the_guest() {
    all_end_as_they_must(at_the_edges()).await;
}

#[tokio::test]
async fn instructions_that_do_much_count_for_much() {
    all_end_as_they_must(out_of_proportion()).await;
}

#[tokio::test]
async fn every_kind_of_memory_counts() {
    all_end_as_they_must(other_memory()).await;
}

#[tokio::test]
async fn broken_rules_end_the_run_alone() {
    all_end_as_they_must(broken_rules()).await;
}

async fn all_end_as_they_must(cases: Vec<Case>) {
    let platform = platform().await;
    platform
        .limit(
            "acme",
            json!({ "fuel": FUEL, "memory": MEMORY, "deadline": "60s", "cpu-time": "60s" }),
        )
        .await;
    for case in cases {
        publish(&platform, &case).await;
        let path = format!("/{}/", case.name);
        let answer = platform.site("acme", "").get(&path).await;
        match case.end {
            End::Limit(limit) => {
                let problem = answer.problem(503, "limit-reached");
                assert_eq!(problem["limit"], limit, "{}: {problem}", case.name);
                assert_eq!(problem["app"], case.name, "{problem}");
            }
            End::Trap(word) => {
                let problem = answer.problem(502, "trap");
                assert!(mentions(&problem, word), "{}: {problem}", case.name);
            }
        }
        assert_others_are_well(&platform).await;
    }
}

fn mentions(problem: &Value, word: &str) -> bool {
    problem["detail"]
        .as_str()
        .is_some_and(|detail| detail.contains(word))
}

async fn publish(platform: &Platform, case: &Case) {
    let package = Package::around(case.name, cloudware_tests::component(&case.text));
    platform.push(&package).await;
    platform.enable("acme", case.name, json!({})).await;
}

/// Features that would block a thread of the host, or take memory or time of it beside the limits, are off: a
/// component that uses one is refused when it is pushed.
#[tokio::test]
async fn features_that_escape_the_limits_are_off() {
    let platform = platform().await;
    for (name, module) in [
        ("shared-memory", format!("{IDLE} (memory 1 1 shared)")),
        (
            "atomic-wait",
            "(memory 1 1 shared) (func (export \"handle\") (param i32 i32) \
             (drop (memory.atomic.wait32 (i32.const 0) (i32.const 0) (i64.const -1))))"
                .to_owned(),
        ),
        (
            "stack-switching",
            format!("{IDLE} (type $f (func)) (type $c (cont $f)) (func (drop (ref.null $c)))"),
        ),
        ("huge-memory", format!("{IDLE} (memory 65536)")),
        (
            "many-memories",
            format!("{IDLE} {}", "(memory 1) ".repeat(40)),
        ),
        (
            "many-tables",
            format!("{IDLE} {}", "(table 1 funcref) ".repeat(40)),
        ),
        ("huge-table", format!("{IDLE} (table 1000000 funcref)")),
        ("exception", format!("{IDLE} (tag $tag)")),
        ("external", format!("{IDLE} (table 1 externref)")),
        (
            "collected",
            format!("{IDLE} (type $some (struct (field i32)))"),
        ),
    ] {
        let handler = Handler {
            module: &module,
            ..Handler::default()
        };
        let package = Package::around(name, handler.component());
        let refused = platform.try_push(package.archive()).await;
        let problem = refused.problem(422, "package-rejected");
        let told = problem["problems"][0]["message"]
            .as_str()
            .unwrap_or_default();
        assert!(told.len() > 20, "{name}: {problem}");
        assert_others_are_well(&platform).await;
    }
}
