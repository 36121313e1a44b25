//! Fills every extension point of `hooks-app`, and that of `hooks-outer`. `how` is a list of `word` or `word@label`,
//! separated by commas; a word with a label holds for the extension that is configured with it alone.

use cloudware_sdk::{config, kv};

wit_bindgen::generate!({ path: "wit", world: "extension", generate_all });

use exports::test::points::{check, inner, price, rewrite, shapes, told};
use test::points::{service, values::{Everything, Order}};

struct Extension;

export!(Extension);

fn label() -> String {
    config::get("label").ok().flatten().unwrap_or_default()
}

/// The words that hold for this extension.
fn words(how: &str) -> Vec<String> {
    let label = label();
    how.split(',')
        .filter_map(|part| match part.split_once('@') {
            Some((word, of)) => (of == label).then(|| word.to_owned()),
            None => Some(part.to_owned()),
        })
        .collect()
}

/// Misbehaves, where one of the words says so.
fn misbehave(words: &[String]) {
    for word in words {
        match word.as_str() {
            "trap" => panic!("told to trap"),
            "loop" => loop {
                std::hint::black_box(());
            },
            "grow" => {
                let mut kept = Vec::new();
                loop {
                    kept.push(vec![1_u8; 1 << 20]);
                    std::hint::black_box(&kept);
                }
            }
            "wait" => std::thread::sleep(std::time::Duration::from_secs(30)),
            "log" => eprintln!("{}", "told to log ".repeat(10_000)),
            "back" => back(),
            "ask" => drop(call("hooks-app", "/")),
            "handles" => loop {
                std::mem::forget(wasip2::http::types::Fields::new());
            },
            "deep" => drop(std::hint::black_box(descend(1))),
            _ => {}
        }
    }
}

/// Keeps nothing in memory, so that it is the host's stack that ends.
#[inline(never)]
fn descend(depth: u64) -> u64 {
    match depth {
        u64::MAX => depth,
        _ => descend(std::hint::black_box(depth + 1)).rotate_left(3) ^ depth,
    }
}

/// Calls the app that asks.
fn back() {
    let answered = call("hooks-app", "/price?how=");
    assert_eq!(answered, 508, "an app that runs can't be called back");
}

/// The status of a request to another app of the instance.
fn call(app: &str, path: &str) -> u16 {
    use wasip2::http::{
        outgoing_handler,
        types::{Fields, OutgoingRequest, Scheme},
    };
    let request = OutgoingRequest::new(Fields::new());
    request.set_scheme(Some(&Scheme::Http)).expect("a scheme");
    request.set_authority(Some(&format!("{app}.internal"))).expect("an authority");
    request.set_path_with_query(Some(path)).expect("a path");
    let sent = outgoing_handler::handle(request, None).expect("the request is sent");
    sent.subscribe().block();
    let response = sent.get().expect("an answer").expect("once").expect("a response");
    response.status()
}

/// An error with what is behind it.
fn reason(error: &kv::Error) -> String {
    let source = std::error::Error::source(error);
    source.map_or(error.to_string(), |source| format!("{error}: {source}"))
}

impl check::Guest for Extension {
    fn check(how: String, order: Order) -> Result<(), String> {
        let words = words(&how);
        misbehave(&words);
        if words.iter().any(|word| word == "refuse") {
            return Err(format!("{} refuses {} lines", label(), order.lines.len()));
        }
        if words.iter().any(|word| word == "keep") {
            let kept = kv::Bucket::open("checked").and_then(|bucket| bucket.set("last", b"order"));
            return kept.map(drop).map_err(|error| format!("{} could not keep it: {}", label(), reason(&error)));
        }
        if words.iter().any(|word| word == "look") {
            let looked = kv::Bucket::open("checked").and_then(|bucket| bucket.get("last"));
            return looked.map(drop).map_err(|error| format!("{} could not look: {}", label(), reason(&error)));
        }
        Ok(())
    }
}

impl price::Guest for Extension {
    fn price(how: String, order: Order) -> Option<u64> {
        let words = words(&how);
        misbehave(&words);
        if words.iter().any(|word| word == "abstain") {
            return None;
        }
        let sum = order.lines.iter().map(|line| u64::from(line.quantity)).sum();
        if words.iter().any(|word| word == "double") {
            return Some(service::double(sum));
        }
        let label: Option<u64> = label().parse().ok();
        Some(label.unwrap_or(sum))
    }
}

impl inner::Guest for Extension {
    fn inner(how: String) -> Option<u64> {
        misbehave(&words(&how));
        label().parse().ok()
    }
}

impl rewrite::Guest for Extension {
    fn rewrite(text: String, how: String) -> Result<String, String> {
        let words = words(&how);
        misbehave(&words);
        if words.iter().any(|word| word == "refuse") {
            return Err(format!("{} refuses", label()));
        }
        Ok(format!("{text}+{}", label()))
    }
}

impl told::Guest for Extension {
    fn told(how: String, number: u64) {
        misbehave(&words(&how));
        let bucket = kv::Bucket::open("told").expect("a bucket");
        bucket
            .set(&format!("{number}"), label().as_bytes())
            .expect("the number is kept");
    }
}

impl shapes::Guest for Extension {
    fn echo(value: Everything) -> Option<Everything> {
        Some(value)
    }
}
