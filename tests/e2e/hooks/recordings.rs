//! Recordings end to end: what a hook was asked in production runs again on another machine, to the instruction, and
//! says where another version goes another way; nobody sees more of it than the tenant allows.

use std::{fs, path::PathBuf};

use cloudware_tests::{Cli, Package, Source, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::setup::Hooked;

/// What must not be seen.
const SECRET: &str = "CH93-0076-2011-6238-5295-7";

/// A platform where `acme` has the app and the hook that reads everything.
struct Recorded {
    hooked: Hooked,
    package: Package,
    folder: TempDir,
}

impl Recorded {
    async fn start(config: Value) -> Self {
        let hooked = Hooked::start(&[]).await;
        let package = Source::HOOKS_READER.package(hooked.platform.binary()).await;
        hooked.platform.push(&package).await;
        hooked
            .platform
            .enable("acme", "hooks-reader", json!({ "config": config }))
            .await;
        // It writes to the disk several times, which may take long on a busy machine.
        let patient = json!({ "deadline_ms": 5_000, "fuel": 50_000_000 });
        hooked.set("hooks-reader", "rewrite", patient).await;
        Self {
            hooked,
            package,
            folder: tempfile::tempdir().expect("a temporary folder can be made"),
        }
    }

    /// Commands of somebody with a token of their own.
    async fn cli_of(&self, owner: Value) -> Cli {
        let platform = &self.hooked.platform;
        let mut body = owner;
        body["name"] = "a test".into();
        let minted = platform
            .api()
            .post("/tokens", &body)
            .await
            .expect(201)
            .json();
        let secret = minted["secret"].as_str().unwrap_or_default();
        Cli::of(platform).with_token(secret)
    }

    async fn ask(&self, text: &str) {
        let answer = self.hooked.ask(&format!("/rewrite?text={text}")).await;
        assert!(
            answer["text"]
                .as_str()
                .is_some_and(|got| got.contains(text)),
            "{answer}"
        );
    }

    /// The package, or another version of it, as an archive beside the recording.
    fn archive(&self, name: &str, change: Option<(&str, &str)>) -> PathBuf {
        let package = match change {
            None => self.package.clone(),
            Some((from, to)) => {
                let component = replaced(&self.package.component(), from, to);
                let package = self.package.clone().with_component(component);
                package.edit("version = \"1.0.0\"", "version = \"1.1.0\"")
            }
        };
        let path = self.folder.path().join(name);
        fs::write(&path, package.archive()).expect("the folder can be written");
        path
    }

    async fn export(&self, cli: &Cli, recording: &str) -> (PathBuf, String) {
        let path = self.folder.path().join("recording.json");
        let line = format!("recording export {recording} --to {}", path.display());
        let _ = cli.run(&line).await.ok();
        let text = fs::read_to_string(&path).expect("it was written");
        (path, text)
    }
}

/// A component in which one text stands in place of another of the same length.
fn replaced(component: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut bytes = component.to_vec();
    let mut count = 0;
    for at in 0..bytes.len() - from.len() {
        if bytes[at..].starts_with(from.as_bytes()) {
            bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
            count += 1;
        }
    }
    assert!(count > 0, "the component has no `{from}`");
    bytes
}

fn id(recording: &Value) -> String {
    recording["id"].as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn what_happened_runs_again_to_the_instruction() {
    let recorded = Recorded::start(json!({})).await;
    let acme = recorded.cli_of(json!({ "tenant": "acme" })).await;
    recorded.ask("before").await;
    let started = acme
        .json("recording start acme/main --app hooks-reader --calls 3")
        .await;
    assert_eq!(started["state"], "running");
    for text in ["one", "two", "three", "four"] {
        recorded.ask(text).await;
    }
    let shown = acme.json(&format!("recording show {}", id(&started))).await;
    assert_eq!(
        (&shown["state"], &shown["calls"]),
        (&json!("ended"), &json!(3)),
        "{shown}"
    );
    let (file, text) = recorded.export(&acme, &id(&started)).await;
    let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
    assert_eq!(parsed["calls"][0]["arguments"]["text"], "one");
    let fuel: Vec<_> = (0..3)
        .map(|call| parsed["calls"][call]["fuel"].as_u64())
        .collect();
    assert!(
        fuel[0] != fuel[1] || fuel[1] != fuel[2],
        "chance tells them apart: {fuel:?}"
    );

    let same = recorded.archive("reader-1.0.0.cwp", None);
    let renamed = recorded.archive("renamed-1.1.0.cwp", Some(("reader-one", "reader-two")));
    let other = recorded.archive("other-1.1.0.cwp", Some(("latest-text", "latest-word")));
    let local = Cli::new(recorded.hooked.platform.binary());
    let (file, same) = (file.display(), same.display());
    let replayed = local
        .json(&format!(
            "replay {file} {same} {} {}",
            renamed.display(),
            other.display()
        ))
        .await;
    for (call, fuel) in fuel.iter().enumerate() {
        let runs = &replayed[call]["runs"];
        assert_eq!(runs[0]["identical"], true, "{replayed}");
        assert_eq!(runs[0]["fuel"].as_u64(), *fuel);
        assert_eq!(runs[1]["identical"], false, "another answer: {replayed}");
        let answer = runs[1]["result"]["ok"].as_str().unwrap_or_default();
        assert!(answer.starts_with("reader-two"), "{replayed}");
        let diverged = runs[2]["diverged"].as_str().unwrap_or_default();
        for word in ["host call 3", "kv.get", "latest-word", "latest-text"] {
            assert!(diverged.contains(word), "no {word} in {diverged}");
        }
    }
    let told = local
        .run(&format!("replay {file} {same}"))
        .await
        .ok()
        .stdout;
    assert!(
        told.contains("identical") && told.contains("(+0)"),
        "{told}"
    );
    // In the folder of calls it is a test.
    let calls = recorded.folder.path().display();
    let tested = local
        .run(&format!("test {same} --calls {calls}"))
        .await
        .ok()
        .stdout;
    assert_eq!(tested.matches("ok    ").count(), 3, "{tested}");
    let failed = local
        .run(&format!("test {} --calls {calls}", other.display()))
        .await;
    assert!(
        failed.code == Some(1) && failed.stdout.contains("diverged"),
        "{failed:?}"
    );
    // A recording that was changed by hand is not taken for what happened.
    let changed = text.replacen(
        &format!("\"fuel\": {}", fuel[0].unwrap_or(0)),
        "\"fuel\": 1",
        1,
    );
    let path = recorded.folder.path().join("changed.json");
    fs::write(&path, changed).expect("the folder can be written");
    let refused = local
        .run(&format!("replay {} {same}", path.display()))
        .await;
    refused.refused(1, &["1 of 3 calls did not run as they were recorded"]);
}

#[tokio::test]
async fn a_secret_is_nowhere_in_what_is_kept_or_exported() {
    const LABEL: &str = "sesame-open-4711";
    let recorded = Recorded::start(json!({ "label": LABEL })).await;
    let acme = recorded.cli_of(json!({ "tenant": "acme" })).await;
    let started = acme
        .json("recording start acme/main --app hooks-reader --calls 2 --redact text")
        .await;
    recorded.ask(SECRET).await;
    recorded.ask(SECRET).await;
    let (file, text) = recorded.export(&acme, &id(&started)).await;
    assert!(!text.contains(SECRET) && !text.contains(LABEL), "{text}");
    let parsed: Value = serde_json::from_str(&text).unwrap_or_default();
    let call = &parsed["calls"][1];
    let other = call["arguments"]["text"].as_str().unwrap_or_default();
    assert_eq!(other.len(), SECRET.len(), "{call}");
    let answer = call["outcome"]["returned"]["ok"]
        .as_str()
        .unwrap_or_default();
    assert!(answer.contains(other), "copies are equal: {call}");
    let places = call["redacted"].to_string();
    assert!(places.contains("$.arguments.text"), "{places}");
    let data = recorded.hooked.platform.data();
    for name in ["control.db", "control.db-wal"] {
        let bytes = fs::read(data.join(name)).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        assert!(!text.contains(SECRET), "{name}");
    }
    assert!(!recorded.hooked.platform.log().contains(SECRET));
    // What stands in its place goes the same way.
    let same = recorded.archive("reader-1.0.0.cwp", None);
    let local = Cli::new(recorded.hooked.platform.binary());
    let line = format!("replay {} {}", file.display(), same.display());
    let replayed = local.json(&line).await;
    for call in [0, 1] {
        assert_eq!(replayed[call]["runs"][0]["identical"], true, "{replayed}");
    }
}

#[tokio::test]
async fn a_provider_sees_what_is_shared_and_nothing_else() {
    let recorded = Recorded::start(json!({})).await;
    let acme = recorded.cli_of(json!({ "tenant": "acme" })).await;
    let isv = recorded.cli_of(json!({ "provider": "isv" })).await;
    let start = "recording start acme/main --app hooks-reader --calls 1";
    let own = acme.json(start).await;
    recorded.ask("one").await;
    assert_eq!(isv.json("recording list").await, json!([]));
    for verb in ["show", "export", "stop", "remove"] {
        let ran = isv.run(&format!("recording {verb} {}", id(&own))).await;
        ran.refused(1, &["there is no recording"]);
    }
    let shared = acme.json(&format!("{start} --share")).await;
    recorded.ask("two").await;
    let listed = isv.json("recording list").await;
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
    assert_eq!(listed[0]["id"], shared["id"]);
    let (_, text) = recorded.export(&isv, &id(&shared)).await;
    assert!(
        !text.contains("acme") && !listed.to_string().contains("acme"),
        "{text}"
    );
    let refused = isv.run(&format!("recording remove {}", id(&shared))).await;
    refused.refused(1, &["only the tenant"]);
    isv.run(start).await.refused(1, &["there is no tenant"]);
    let audit = acme.json("audit list").await.to_string();
    for action in ["recording.start", "recording.export"] {
        assert!(audit.contains(action), "no {action} in {audit}");
    }
}

#[tokio::test]
async fn what_can_not_be_recorded_is_told_and_bounds_are_bounds() {
    let hooked = Hooked::start(&["ext-11"]).await;
    let cli = Cli::of(&hooked.platform);
    let start = "recording start acme/main --app ext-11";
    for (wrong, word) in [
        ("--calls 0", "from 1 to 200"),
        ("--calls 201", "from 1 to 200"),
        ("--for 25h", "from 1 to 86400"),
    ] {
        cli.run(&format!("{start} {wrong}"))
            .await
            .refused(1, &[word]);
    }
    let started = cli.json(&format!("{start} --calls 4")).await;
    cli.run(start).await.refused(1, &["being recorded already"]);
    // It calls the app by HTTP, and no tape holds that.
    hooked.ask("/rewrite?text=a&how=back").await;
    let show = format!("recording show {}", id(&started));
    let shown = cli.json(&show).await;
    assert_eq!(
        (&shown["calls"], &shown["skipped"]),
        (&json!(0), &json!(1)),
        "{shown}"
    );
    let reason = shown["skipped_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("HTTP request to hooks-app"), "{reason}");
    // A call counts also where nobody waits for its end.
    let long = json!({ "deadline_ms": 60_000 });
    hooked.set("ext-11", "rewrite", long).await;
    let limits = json!({ "concurrency": 1, "deadline": "60s" });
    hooked.platform.limit("acme", limits).await;
    let wait = || {
        let site = hooked.site.clone();
        tokio::spawn(async move { site.get("/rewrite?text=a&how=wait").await })
    };
    let mut waiting = wait();
    eventually("it waits", async || {
        let other = hooked.site.get("/nothing").await;
        if waiting.is_finished() {
            // The other came first.
            waiting = wait();
        }
        (other.status == 429).then_some(())
    })
    .await;
    waiting.abort();
    let shown = eventually("it is told of", async || {
        let shown = cli.json(&show).await;
        (shown["skipped"] == 2).then_some(shown)
    })
    .await;
    assert_eq!(shown["skipped_reason"], "nobody waited for its end");
    // The end of the time that the request's hooks have together comes at another place each time.
    let budget = |budget| json!({ "extension-time": budget });
    hooked.platform.limit("acme", budget(json!(40))).await;
    hooked.ask("/rewrite?text=a&how=wait").await;
    hooked.platform.limit("acme", budget(Value::Null)).await;
    let shown = eventually("it is told of, too", async || {
        let shown = cli.json(&show).await;
        (shown["skipped"] == 3).then_some(shown)
    })
    .await;
    let reason = shown["skipped_reason"].as_str().unwrap_or_default();
    assert!(reason.contains("extension-time"), "{reason}");
    // A hook that traps is recorded as that.
    hooked.ask("/rewrite?text=a&how=trap").await;
    let shown = cli.json(&show).await;
    assert_eq!(
        (&shown["calls"], &shown["state"]),
        (&json!(1), &json!("ended")),
        "{shown}"
    );
    let file = cli
        .json(&format!("recording export {}", id(&started)))
        .await;
    assert_eq!(file["calls"][0]["outcome"], json!({ "stopped": "trap" }));
    cli.run(&format!("recording stop {}", id(&started)))
        .await
        .refused(1, &["has ended"]);
    // Nothing is recorded any more.
    hooked.ask("/rewrite?text=b").await;
    assert_eq!(cli.json(&show).await["calls"], 1);
    let _ = cli
        .run(&format!("recording remove {}", id(&started)))
        .await
        .ok();
    cli.run(&show).await.refused(1, &["there is no recording"]);
}

#[tokio::test]
async fn a_recording_goes_on_after_a_restart_until_it_is_stopped() {
    let mut hooked = Hooked::start(&["ext-11"]).await;
    let started = Cli::of(&hooked.platform)
        .json("recording start acme/main --app ext-11")
        .await;
    hooked.ask("/price").await;
    let _ = hooked.platform.terminate().await;
    hooked.platform.restart().await;
    hooked.site = hooked.platform.site("acme", "/app");
    let cli = Cli::of(&hooked.platform);
    hooked.ask("/price").await;
    let stopped = cli.json(&format!("recording stop {}", id(&started))).await;
    assert_eq!(
        (&stopped["calls"], &stopped["state"]),
        (&json!(2), &json!("ended")),
        "{stopped}"
    );
    hooked.ask("/price").await;
    let shown = cli.json(&format!("recording show {}", id(&started))).await;
    assert_eq!(shown["calls"], 2);
}
