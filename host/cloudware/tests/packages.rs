//! What an ISV does, with the real binary and the real compilers: the examples and new projects
//! build and check in every language, and mistakes are explained.

use std::{
    fs,
    path::PathBuf,
    process::{Command, Output},
};

use serde_json::Value;

/// The binary, with the user's cache: a toolchain is set up once, and unchanged sources are compiled
/// once, in all tests together.
fn cloudware(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cloudware"));
    command.args(arguments).env_remove("CLOUDWARE_OUTPUT");
    command
}

fn example(name: &str) -> String {
    format!("{}/../../examples/{name}", env!("CARGO_MANIFEST_DIR"))
}

#[track_caller]
fn json(arguments: &[&str]) -> Value {
    let mut arguments = arguments.to_vec();
    arguments.extend(["--output", "json"]);
    let output = cloudware(&arguments).output().expect("the binary starts");
    assert!(
        output.status.success(),
        "{arguments:?}: {}",
        stderr(&output)
    );
    serde_json::from_slice(&output.stdout).expect("standard output is one JSON value")
}

/// Standard error of a command that must fail, with nothing on standard output.
#[track_caller]
fn refused(command: &mut Command) -> String {
    let output = command.output().expect("the binary starts");
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(output.stdout.is_empty());
    stderr(&output)
}

fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// Builds the example, then a new project of the same language, and returns both results.
#[track_caller]
fn build_both(example_name: &str, language: &str) -> (Value, Value) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let out = folder.path().join("out");
    let out = out.to_str().expect("the path is UTF-8");
    let first = json(&["build", &example(example_name), "--out", out]);
    let archive = first["archive"].as_str().expect("the archive has a path");
    let checked = json(&["check", archive]);
    assert_eq!(checked["digest"], first["digest"]);
    assert_eq!(checked["name"], example_name);
    assert_eq!(checked["warnings"], Value::Array(Vec::new()));

    let project = folder.path().join("my-shop");
    let project = project.to_str().expect("the path is UTF-8");
    json(&["new", project, "--language", language]);
    let second = json(&["build", project]);
    assert!(
        second["archive"]
            .as_str()
            .is_some_and(|path| path.ends_with("dist/my-shop-0.1.0.cwp"))
    );
    let checked = json(&["check", project]);
    assert_eq!(
        (&checked["name"], &checked["http"]),
        (&"my-shop".into(), &"wasi02".into())
    );
    let capabilities = checked["capabilities"]
        .as_array()
        .expect("capabilities are a list");
    assert!(capabilities.contains(&"kv".into()) && !capabilities.contains(&"sql".into()));
    (first, second)
}

#[test]
fn rust_packages_build() {
    let (hello, _) = build_both("hello-rust", "rust");
    assert_eq!(
        json(&["build", &example("hello-rust")])["digest"],
        hello["digest"]
    );
}

#[test]
fn javascript_packages_build_and_unchanged_sources_are_not_compiled_again() {
    let (hello, project) = build_both("hello-js", "javascript");
    // A new project begins with the sources of the example.
    assert_eq!(hello["component"], project["component"]);
    assert_from_cache("hello-js");
}

#[test]
fn python_packages_build_and_unchanged_sources_are_not_compiled_again() {
    let (hello, project) = build_both("hello-python", "python");
    assert_eq!(hello["component"], project["component"]);
    assert_from_cache("hello-python");
}

/// Makes and builds an extension, and looks at what it fills.
#[track_caller]
fn extension_builds(language: &str) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let project = folder.path().join("my-discount");
    let project = project.to_str().expect("the path is UTF-8");
    let made = json(&[
        "new",
        project,
        "--kind",
        "extension",
        "--language",
        language,
    ]);
    assert_eq!(made["kind"], "extension");
    json(&["build", project]);
    let checked = json(&["check", project]);
    assert_eq!(checked["warnings"], Value::Array(Vec::new()), "{checked}");
    let interface = &checked["implements"][0];
    assert_eq!(interface["interface"], "example:shop/discount@1.0.0");
    assert_eq!(interface["functions"][0]["result"], "option<u64>");
    let tried = json(&["test", project]);
    assert_eq!(tried.as_array().map(Vec::len), Some(2), "{tried}");
}

#[test]
fn rust_extensions_build() {
    extension_builds("rust");
}

#[test]
fn javascript_extensions_build() {
    extension_builds("javascript");
}

#[test]
fn python_extensions_build() {
    extension_builds("python");
}

#[test]
fn the_bundled_extensions_give_what_their_known_calls_say() {
    for name in ["ext-fefo", "ext-gs1-barcode", "ext-quarantine"] {
        let source = format!("{}/../../plugins/{name}", env!("CARGO_MANIFEST_DIR"));
        let out = tempfile::tempdir().expect("a temporary folder can be made");
        let folder = out.path().to_str().expect("the path is UTF-8");
        let built = json(&["build", &source, "--out", folder]);
        let archive = built["archive"].as_str().expect("the archive has a path");
        let calls = format!("{source}/calls");
        let tried = json(&["test", archive, "--calls", &calls]);
        let passed = tried.as_array().is_some_and(|tried| !tried.is_empty());
        assert!(passed, "{name} has no known calls");
    }
}

/// Builds without any compiler in reach: only the cache can answer.
#[track_caller]
fn assert_from_cache(example_name: &str) {
    let out = tempfile::tempdir().expect("a temporary folder can be made");
    let output = cloudware(&["build", &example(example_name), "--out"])
        .arg(out.path())
        .env("PATH", "")
        .output()
        .expect("the binary starts");
    assert!(output.status.success(), "{}", stderr(&output));
    assert!(
        !stderr(&output).contains("compiling"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_missing_tool_says_what_to_install() {
    let cache = tempfile::tempdir().unwrap();
    for (name, advice) in [
        ("hello-js", "Install Node.js 20"),
        ("hello-python", "Install Python 3.10"),
        ("hello-rust", "Install Rust"),
    ] {
        let said = refused(
            cloudware(&["build", &example(name)])
                .env("PATH", "")
                .env("CLOUDWARE_CACHE_DIR", cache.path()),
        );
        assert!(said.contains(advice), "{name}: {said}");
    }
}

/// A new Rust project in a temporary folder.
fn rust_project() -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let project = folder.path().join("shop");
    json(&[
        "new",
        project.to_str().expect("the path is UTF-8"),
        "--language",
        "rust",
    ]);
    (folder, project)
}

#[test]
fn a_compiler_error_is_shown() {
    let (_folder, project) = rust_project();
    fs::write(
        project.join("src/lib.rs"),
        "fn handle() { let x: u8 = \"text\"; }",
    )
    .unwrap();
    let said = refused(cloudware(&["build"]).arg(&project));
    assert!(
        said.contains("mismatched types") && said.contains("src/lib.rs"),
        "{said}"
    );
}

#[test]
fn every_mistake_in_a_manifest_is_shown_at_once() {
    let (_folder, project) = rust_project();
    let path = project.join("cloudware.toml");
    let manifest = fs::read_to_string(&path).unwrap();
    let manifest = manifest
        .replace("title =", "tilte =")
        .replace("/shop", "shop/");
    fs::write(&path, manifest).unwrap();
    let said = refused(cloudware(&["build"]).arg(&project));
    for place in ["package.tilte", "package.title", "http.mount"] {
        assert!(
            said.contains(&format!("cloudware.toml: {place}")),
            "{place}: {said}"
        );
    }
}

#[test]
fn a_capability_that_is_used_and_not_asked_for_is_refused_with_its_name() {
    let (_folder, project) = rust_project();
    let path = project.join("cloudware.toml");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace("kv = \"Counts visits.\"", "")).unwrap();
    let said = refused(cloudware(&["build"]).arg(&project));
    assert!(
        said.contains("capability-not-asked") && said.contains("`kv`"),
        "{said}"
    );
}

#[test]
fn folders_that_can_not_be_used() {
    let (folder, project) = rust_project();
    let said = refused(cloudware(&["new", "--language", "rust"]).arg(&project));
    assert!(said.contains("is not empty"), "{said}");
    let said =
        refused(cloudware(&["new", "--language", "rust"]).arg(folder.path().join("My Shop")));
    assert!(said.contains("--name"), "{said}");
    let said = refused(cloudware(&["build"]).arg(folder.path()));
    assert!(said.contains("cloudware new"), "{said}");
    let said = refused(cloudware(&["check"]).arg(&project));
    assert!(said.contains("cloudware build"), "{said}");
    let said = refused(cloudware(&["check"]).arg(folder.path().join("absent")));
    assert!(said.contains("does not exist"), "{said}");
}

#[test]
fn an_archive_of_an_older_manifest_is_noticed() {
    let (_folder, project) = rust_project();
    json(&["build", project.to_str().unwrap()]);
    let path = project.join("cloudware.toml");
    let manifest = fs::read_to_string(&path).unwrap();
    fs::write(&path, manifest.replace("/shop", "/store")).unwrap();
    let said = refused(cloudware(&["check"]).arg(&project));
    assert!(said.contains("older manifest"), "{said}");
}
