//! Commands that can't be understood, or that a platform refuses: exit code 2 or 1, and words that help.

use std::fs;

use cloudware_tests::{Cli, Entry, Platform, archive_of};
use serde_json::Value;

#[tokio::test]
async fn command_lines_that_can_not_be_understood() {
    let cli = Cli::new(cloudware_tests::binary!());
    cli.run("").await.refused(2, &["Usage:", "up --demo"]);
    cli.run("dance").await.refused(2, &["dance"]);
    cli.run("tenat list").await.refused(2, &["tenant"]);
    cli.run("tenant").await.refused(2, &["create", "list"]);
    cli.run("tenant list --colour")
        .await
        .refused(2, &["--colour"]);
    cli.run("tenant list --output yaml")
        .await
        .refused(2, &["yaml", "json"]);
    cli.run("quota set acme/main memory=lots")
        .await
        .refused(2, &["memory", "64MiB"]);
    cli.run("quota set acme/main memory=1TiB")
        .await
        .refused(2, &["memory"]);
    cli.run("quota set acme/main memory=268435457")
        .await
        .refused(2, &["268,435,457 bytes", "from 64 KiB to 256 MiB"]);
    cli.run("quota set acme/main fuel=1 memory=1MiB fuel=2")
        .await
        .refused(1, &["fuel", "twice"]);
    cli.run("quota set acme/main colour=1")
        .await
        .refused(2, &["colour"]);
    cli.run("quota set acme/main fuel")
        .await
        .refused(2, &["LIMIT=VALUE"]);
    cli.run("quota set acme/../main fuel=1")
        .await
        .refused(2, &[".."]);
    cli.run("install enable acme hello@one")
        .await
        .refused(2, &["1.0.0"]);
    cli.run("instance create acme")
        .await
        .refused(2, &["acme/main"]);
    cli.run("new x --language cobol")
        .await
        .refused(2, &["rust", "javascript", "python"]);
    let version = cli.run("--version").await.ok().stdout;
    assert!(version.starts_with("cloudware "), "{version}");
    let help = cli.run("usage show --help").await.ok().stdout;
    for words in ["an operator sees everything", "providers see no usage"] {
        assert!(help.contains(words), "{help}");
    }
    for command in ["up", "push", "quota set", "install enable", "usage show"] {
        let help = cli.run(&format!("{command} --help")).await.ok().stdout;
        assert!(
            help.contains("cloudware "),
            "{command} shows no example: {help}"
        );
    }
}

#[tokio::test]
async fn commands_that_a_platform_refuses() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let cli = Cli::of(&platform);
    // The address of the data folder's platform is meant however it ends, and its token goes with it.
    for end in ["", "/"] {
        let line = format!("whoami --api {}{end}", platform.address());
        let _ = cli.run(&line).await.ok();
    }
    let _ = cli.run("tenant create acme").await.ok();
    let _ = cli.run("instance create acme/main").await.ok();
    cli.run("tenant create acme").await.refused(1, &["acme"]);
    cli.run("tenant create Acme").await.refused(1, &["a-z"]);
    cli.run("tenant show nobody").await.refused(1, &["nobody"]);
    cli.run("quota set nobody/main fuel=1G")
        .await
        .refused(1, &["nobody"]);
    cli.run("quota set acme/other fuel=1G")
        .await
        .refused(1, &["other"]);
    cli.run("usage show nobody").await.refused(1, &["nobody"]);
    cli.run("install enable acme/main nothing@1.0.0")
        .await
        .refused(1, &["nothing"]);
    cli.run("install enable acme nothing")
        .await
        .refused(1, &["acme/INSTANCE"]);
    cli.run("release list nothing")
        .await
        .refused(1, &["nothing"]);
    let wrong = cli.clone().with_token("cw_op_wrong");
    wrong.run("tenant list").await.refused(1, &["access token"]);
    let message = cli
        .run("tenant show nobody")
        .await
        .refused(1, &["request "])
        .to_owned();
    assert!(!message.contains(&platform.operator()));
    for (words, code, said) in [
        ("tenant show nobody --output json", 1, "nobody"),
        ("tenant list --output=json --nonsense", 2, "--nonsense"),
    ] {
        let ran = cli.run(words).await;
        let told: Value = serde_json::from_str(ran.refused(code, &[said])).expect("it is JSON");
        assert!(
            told["error"]
                .as_str()
                .is_some_and(|told| told.contains(said))
        );
    }
}

#[tokio::test]
async fn platforms_that_are_not_there() {
    let cli = Cli::new(cloudware_tests::binary!());
    let free = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .expect("a port is free");
    let address = free.local_addr().expect("it is bound");
    drop(free);
    let away = cli
        .clone()
        .with("CLOUDWARE_API", &format!("http://{address}"));
    away.run("tenant list")
        .await
        .refused(1, &["cannot be reached", "cloudware up"]);
    let nonsense = cli.clone().with("CLOUDWARE_API", "nonsense");
    nonsense
        .run("tenant list")
        .await
        .refused(1, &["nonsense", "http://127.0.0.1:8080"]);
    for (address, words) in [
        ("https://localhost:8080", ["does not speak https", "proxy"]),
        (
            "ftp://localhost",
            ["ftp://localhost", "http://127.0.0.1:8080"],
        ),
        (
            "localhost:8080",
            ["localhost:8080", "http://127.0.0.1:8080"],
        ),
    ] {
        let other = cli.clone().with("CLOUDWARE_API", address);
        other.run("tenant list").await.refused(1, &words);
    }
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let nowhere = folder.path().join("nowhere").display().to_string();
    for command in ["tenant list", "whoami --api http://127.0.0.1:1"] {
        let lost = cli.clone().with("CLOUDWARE_DATA", &nowhere);
        lost.run(command)
            .await
            .refused(1, &["no data folder", &nowhere, "--api"]);
        cli.run(&format!("{command} --data {nowhere}"))
            .await
            .refused(1, &["no data folder", &nowhere, "--api"]);
    }
    // Whoever says everything needs no folder.
    away.run(&format!("tenant list --token x --data {nowhere}"))
        .await
        .refused(1, &["cannot be reached"]);
    let data = folder.path().display().to_string();
    fs::write(folder.path().join("credentials.json"), "{").expect("our own folder can be written");
    let damaged = cli.with("CLOUDWARE_DATA", &data);
    damaged
        .run("tenant list")
        .await
        .refused(1, &["credentials.json", "damaged"]);
}

#[tokio::test]
async fn tokens_that_can_not_be_sent() {
    let cli = Cli::new(cloudware_tests::binary!());
    for (token, place) in [
        ("cw_op_one\ncw_op_two", "character 10"),
        ("cw_op_one\n", "character 10"),
        ("cw op", "character 3"),
        ("clé", "character 3"),
        ("", "empty"),
    ] {
        let ran = cli.clone().with_token(token).run("tenant list").await;
        let message = ran.refused(1, &["the token", place]);
        assert!(!message.contains("cannot be reached"), "{message}");
        assert!(!message.contains("cw_op"), "it is a secret: {message}");
    }
}

#[tokio::test]
async fn packages_that_can_not_be_built_or_checked() {
    let cli = Cli::new(cloudware_tests::binary!());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let here = folder.path();
    cli.run_in(here, "build")
        .await
        .refused(1, &["cloudware.toml", "cloudware new"]);
    cli.run_in(here, "check nowhere")
        .await
        .refused(1, &["nowhere"]);
    cli.run_in(here, "push nowhere")
        .await
        .refused(1, &["nowhere"]);
    cli.run_in(here, "new Bad_Name --language rust")
        .await
        .refused(1, &["--name"]);
    fs::write(
        here.join("cloudware.toml"),
        "[package]\nname = \"A\"\ncolour = 1\n",
    )
    .expect("our own folder can be written");
    let all = cli.run_in(here, "build").await;
    all.refused(
        1,
        &["name", "colour", "version", "unknown-key", "missing-key"],
    );
    let bad = archive_of([Entry::file("../evil", b"evil".to_vec())]);
    fs::write(here.join("bad.cwp"), bad).expect("our own folder can be written");
    let told = cli.run_in(here, "check bad.cwp").await;
    told.refused(
        1,
        &["path-escapes", "missing-manifest", "missing-component"],
    );
    fs::write(here.join("other.cwp"), b"other").expect("our own folder can be written");
    cli.run_in(here, "check other.cwp")
        .await
        .refused(1, &["not-an-archive", "cloudware build"]);
}
