//! Configuration and surroundings in which a platform can't run: it says everything that is wrong at once
//! and does not start.

use std::{fs, path::Path};

use cloudware_tests::{Cli, Platform};
use tempfile::TempDir;

fn folder() -> TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// `cloudware up` with a configuration file, on its own data and port.
async fn up(cli: &Cli, folder: &Path, config: &str) -> cloudware_tests::Ran {
    let file = folder.join("cloudware.toml");
    fs::write(&file, config).expect("our own folder can be written");
    let (file, data) = (file.display(), folder.join("data"));
    let data = data.display();
    cli.run(&format!(
        "up --listen 127.0.0.1:0 --data {data} --config {file}"
    ))
    .await
}

#[tokio::test]
async fn everything_unknown_is_named_at_once() {
    let folder = folder();
    let cli = Cli::new(cloudware_tests::binary!())
        .with("CLOUDWARE_COLOUR", "red")
        .with("CLOUDWARE_SERVICE_PORT_HTTP", "80")
        .with("CLOUDWARE_PORT_80_TCP_ADDR", "10.0.0.1")
        .with("CLOUDWARE_ENGINE__TURBO", "on");
    let config =
        "flavour = 1\n[engine]\nsandboxs_max = 5\n[gateway]\ndomain = \"x\"\n[nonsense]\na = 1\n";
    let ran = up(&cli, folder.path(), config).await;
    ran.refused(
        1,
        &[
            "`flavour`",
            "`engine.sandboxs_max`",
            "`gateway.domain`",
            "`nonsense.a`",
            "`colour`",
            "`engine.turbo` in CLOUDWARE_ENGINE__TURBO",
            "cloudware.toml",
            "engine.sandboxes_max",
        ],
    );
    assert!(!folder.path().join("data").exists(), "nothing was made");
}

#[tokio::test]
async fn bad_values_are_named_at_once() {
    let folder = folder();
    let cli = Cli::new(cloudware_tests::binary!()).with("CLOUDWARE_DATABASE__READERS_MAX", "0");
    let config = "drain_seconds = 999999\n[engine]\nsandboxes_max = 0\n[gateway]\ndomains = []\n";
    let ran = up(&cli, folder.path(), config).await;
    ran.refused(
        1,
        &[
            "drain_seconds",
            "engine.sandboxes_max",
            "gateway.domains",
            "database.readers_max",
        ],
    );
    let cli = Cli::new(cloudware_tests::binary!());
    for (config, words) in [
        ("listen = \"nonsense\"\n", ["  listen: ", "cloudware.toml"]),
        ("log = \"=x=,\"\n", ["log", "=x="]),
        ("log = \"loud\"\n", ["log: `loud` is not a level", "info"]),
        ("log = \"\"\n", ["log: ``", "info"]),
        (
            "[engine]\nsandboxes_max = \"many\"\n",
            ["sandboxes_max: expected a whole number", "many"],
        ),
        (
            "[engine]\nallocation = \"magic\"\n",
            ["allocation: expected pooling or on-demand, found", "magic"],
        ),
        (
            "drain_seconds = 3601\n",
            ["drain_seconds = 3601 must be", "from 0 to 3600"],
        ),
        (
            "[webhooks]\nports = [70000]\n",
            ["webhooks.ports.0: expected a whole number", "70000"],
        ),
        (
            "database = 5\n",
            ["`database` is a section", "write [database]"],
        ),
        (
            "[database]\ndir = \"\"\n",
            ["database.dir is empty", "name a folder"],
        ),
        ("[engine\n", ["cloudware.toml can't be read: ", "line 1"]),
        (
            "log = \"info\"\nlisten = = 1\n",
            ["cloudware.toml can't be read: ", "line 2"],
        ),
    ] {
        up(&cli, folder.path(), config).await.refused(1, &words);
    }
    for (value, words) in [
        (
            "64MiB",
            "expected a whole number without a sign or a unit, found string",
        ),
        (
            "-1",
            "expected a whole number without a sign or a unit, found signed int",
        ),
    ] {
        let cli = cli
            .clone()
            .with("CLOUDWARE_ENGINE__MEMORY_BYTES_MAX", value);
        let variable = "CLOUDWARE_ENGINE__MEMORY_BYTES_MAX";
        up(&cli, folder.path(), "")
            .await
            .refused(1, &[words, variable]);
    }
    let absent = cli.run("up --config /nowhere/cloudware.toml").await;
    absent.refused(1, &["/nowhere/cloudware.toml"]);
    cli.run("up --listen nonsense")
        .await
        .refused(2, &["nonsense"]);
}

#[tokio::test]
async fn surroundings_in_which_it_can_not_run() {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let cli = Cli::new(platform.binary());
    let data = platform.data();
    let in_use = cli
        .run(&format!(
            "up --listen 127.0.0.1:0 --data {}",
            data.display()
        ))
        .await;
    in_use.refused(1, &["in use", "--data", &data.display().to_string()]);
    let folder = folder();
    let own = folder.path().join("data");
    let port = platform.socket();
    let taken = cli
        .run(&format!("up --listen {port} --data {}", own.display()))
        .await;
    taken.refused(1, &["listen", &port.to_string()]);
    let file = folder.path().join("file");
    fs::write(&file, b"").expect("our own folder can be written");
    for unwritable in [file.clone(), file.join("below"), "/proc/cloudware".into()] {
        let path = unwritable.display().to_string();
        let ran = cli
            .run(&format!("up --listen 127.0.0.1:0 --data {path}"))
            .await;
        ran.refused(1, &["data folder", &path]);
    }
    // None of it disturbed the one that runs.
    let _ = platform.api().get("/tenants").await.expect(200);
}

#[tokio::test]
async fn a_database_that_is_none_keeps_it_from_starting() {
    let folder = folder();
    let data = folder.path().join("data");
    fs::create_dir_all(&data).expect("our own folder can be written");
    fs::write(data.join("control.db"), vec![b'x'; 8192]).expect("our own folder can be written");
    let cli = Cli::new(cloudware_tests::binary!());
    let ran = cli
        .run(&format!(
            "up --listen 127.0.0.1:0 --data {}",
            data.display()
        ))
        .await;
    ran.refused(1, &["control.db"]);
}
