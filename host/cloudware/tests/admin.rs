//! The commands of operators and tenants on a running platform: every noun with its verbs, for people
//! and for scripts, and what they say when something is wrong.

use cloudware_tests::{Cli, Platform, Source, eventually};

/// A platform with a provider, the tenant acme with `acme/main`, and two versions of hello.
async fn platform() -> (Platform, Cli) {
    let platform = Platform::start(cloudware_tests::binary!()).await;
    let cli = Cli::of(&platform);
    for line in [
        "tenant create acme --title Acme",
        "instance create acme/main",
    ] {
        let _ = cli.run(line).await.ok();
    }
    let package = Source::HELLO.package(platform.binary()).await;
    platform.push(&package).await;
    let newer = package.edit("version = \"1.0.0\"", "version = \"1.1.0\"");
    platform.push(&newer).await;
    (platform, cli)
}

#[tokio::test]
async fn tenants_and_instances_are_managed() {
    let (_platform, cli) = platform().await;
    let text = cli.run("tenant list").await.ok().stdout;
    let mut lines = text.lines();
    assert!(
        lines
            .next()
            .is_some_and(|line| line.starts_with("TENANT  TITLE")),
        "{text}"
    );
    assert!(
        lines.next().is_some_and(|line| line
            .split_whitespace()
            .take(3)
            .eq(["acme", "Acme", "active"])),
        "{text}"
    );
    assert!(
        !text.contains('\u{1b}'),
        "no colours where nobody looks: {text:?}"
    );

    let suspended = cli.json("tenant suspend acme --reason overdue").await;
    assert_eq!(suspended["state_reason"], "overdue");
    let again = cli.run("tenant suspend acme --reason overdue").await;
    again.refused(1, &["acme is suspended already", "status 409"]);
    let _ = cli.run("tenant resume acme").await.ok();
    let _ = cli.run("instance create acme/second").await.ok();
    let instances = cli.json("instance list acme").await;
    assert_eq!(instances.as_array().map(Vec::len), Some(2));
    assert_eq!(instances[0]["default"], true);
    let suspended = cli
        .json("instance suspend acme/second --reason moving")
        .await;
    assert_eq!(suspended["state"], "suspended");
    let _ = cli.run("instance resume acme/second").await.ok();
    let shown = cli.run("instance show acme/second").await.ok().stdout;
    assert!(shown.contains("STATE     ready"), "{shown}");
}

#[tokio::test]
async fn apps_are_enabled_moved_and_withdrawn() {
    let (platform, cli) = platform().await;
    assert_eq!(cli.json("app list").await[0]["latest"], "1.1.0");
    assert_eq!(cli.json("app show hello").await["provider"], "isv");
    assert_eq!(
        cli.json("release list hello")
            .await
            .as_array()
            .map(Vec::len),
        Some(2)
    );

    let enabled = cli.json("install enable acme/main hello@1.0.0").await;
    assert_eq!(enabled["path"], "/t/acme/main/hello");
    let _ = platform
        .path_site("acme/main", "/hello")
        .get("/")
        .await
        .expect(200);
    let up = cli.json("install upgrade acme/main hello").await;
    assert_eq!(
        (&up["version"], &up["previous"]),
        (&"1.1.0".into(), &"1.0.0".into())
    );
    let back = cli.json("install rollback acme/main/hello").await;
    assert_eq!(back["version"], "1.0.0");
    let listed = cli.run("install list acme/main").await.ok().stdout;
    assert!(
        listed.contains("hello  1.0.0    1.1.0     enabled"),
        "{listed}"
    );

    let yanked = cli.json("release yank hello@1.1.0 --reason broken").await;
    assert_eq!(yanked["state"], "yanked");
    let refused = cli.run("install upgrade acme/main hello@1.1.0").await;
    refused.refused(1, &["hello 1.1.0 was yanked (broken)"]);
    let _ = cli
        .run("release deprecate hello@1.0.0 --reason old")
        .await
        .ok();
    assert_eq!(
        cli.json("release show hello@1.0.0").await["state"],
        "deprecated"
    );
    let _ = cli.run("install disable acme/main hello").await.ok();
    assert_eq!(
        cli.json("install show acme/main hello").await["state"],
        "disabled"
    );
    let gone = platform.path_site("acme/main", "/hello").get("/").await;
    assert_eq!(gone.status, 404);
}

#[tokio::test]
async fn quotas_are_set_explained_and_unset() {
    let (platform, cli) = platform().await;
    let _ = cli.run("install enable acme/main hello@1.0.0").await.ok();
    let set = cli
        .run("quota set acme/main fuel=10M memory=16MiB --reason trial")
        .await;
    let text = set.ok().stdout;
    assert!(
        text.contains("10,000,000 fuel  instance") && text.contains("16 MiB"),
        "{text}"
    );
    let _ = cli.run("quota set acme deadline=2s").await.ok();
    let explained = cli
        .run("quota explain acme/main/hello fuel")
        .await
        .ok()
        .stdout;
    for word in [
        "fuel is 10,000,000 fuel",
        "default",
        "(overruled)",
        "“trial” (in force)",
    ] {
        assert!(explained.contains(word), "{explained}");
    }
    let of_hooks = cli.run("quota explain acme/main fuel --class hook").await;
    assert!(of_hooks.ok().stdout.starts_with("hook-fuel is "));
    let of_all = cli.run("quota explain acme/main fuel --class all").await;
    of_all.refused(1, &["choose one class"]);
    let refused = cli.run("quota show nobody --output json").await;
    let told: serde_json::Value = serde_json::from_str(&refused.stderr).unwrap_or_default();
    assert_eq!(told["problem"]["status"], 404, "{refused:?}");
    assert!(
        told["error"]
            .as_str()
            .is_some_and(|error| error.contains("nobody"))
    );
    let of_two = "quota explain acme/main hook-fuel --class job";
    cli.run(of_two).await.refused(1, &["another class"]);
    let limits = cli.json("quota show acme/main/hello").await;
    let deadline = limits.as_array().into_iter().flatten();
    let deadline = deadline
        .into_iter()
        .find(|limit| limit["name"] == "deadline");
    assert_eq!(
        deadline.map(|limit| limit["level"].clone()),
        Some("tenant".into())
    );
    let unset = cli.json("quota unset acme/main fuel memory").await;
    assert_eq!(unset[0]["level"], "default");

    let _ = platform
        .path_site("acme/main", "/hello")
        .get("/")
        .await
        .expect(200);
    let usage = cli.run("usage show acme/main").await.ok().stdout;
    let row = usage.lines().nth(1).unwrap_or_default();
    assert!(
        row.split_whitespace()
            .take(5)
            .eq(["acme", "main", "hello", "1", "0"]),
        "{usage}"
    );
    let hours = cli
        .json("usage show acme/main/hello --step hour --meter requests")
        .await;
    assert_eq!(
        hours["items"][0]["meters"],
        serde_json::json!({ "requests": 1 })
    );
    let usage = cli.run("usage show acme/main --meter requests").await;
    let usage = usage.ok().stdout;
    let row = usage.lines().nth(1).unwrap_or_default();
    let cells = ["acme", "main", "hello", "requests", "1"];
    assert!(row.split_whitespace().eq(cells), "{usage}");
    let first = cli.run("events list --limit 1").await.ok();
    let next = first
        .stdout
        .split_whitespace()
        .find(|word| word.starts_with("evt_"));
    let next = next.unwrap_or_default();
    let more = format!("go on with --after {next}");
    assert!(first.stderr.contains(&more), "{first:?}");
    let rest = format!("events list --limit 200 --after {next}");
    let rest = cli.run(&rest).await.ok();
    assert!(!rest.stderr.contains("there is more"), "{rest:?}");

    let trail = cli
        .run("audit list --tenant acme --action quota.change")
        .await
        .ok()
        .stdout;
    let change = "fuel 2,000,000,000 fuel (default) → 10,000,000 fuel (instance)";
    assert!(trail.contains(change) && trail.contains("trial"), "{trail}");
    let entries = cli
        .json("audit list --subject acme/main/hello --limit 1")
        .await;
    assert_eq!(entries[0]["action"], "install.enable");
    let limits = cli.run("limits").await.ok().stdout;
    assert!(
        limits.lines().any(|line| line.starts_with("memory ")),
        "{limits}"
    );
}

#[tokio::test]
async fn plans_are_made_assigned_and_explained() {
    let (platform, cli) = platform().await;
    let _ = cli.run("install enable acme/main hello@1.0.0").await.ok();
    let _ = cli.run("plan create free").await.ok();
    let _ = cli.run("plan create pro --title Professional").await.ok();
    let lowered = "quota set plan/free fuel=1k --reason trial";
    let text = cli.run(lowered).await.ok().stdout;
    assert!(text.contains("1,000 fuel  plan free"), "{text}");
    let site = platform.path_site("acme/main", "/hello");
    let _ = site.get("/").await.expect(200);

    let shown = cli
        .json("tenant set-plan acme free --reason contract")
        .await;
    assert_eq!(shown["plan"], "free");
    let problem = site.get("/").await.problem(503, "limit-reached");
    assert_eq!(problem["max"], 1_000, "it holds from the next request on");
    let explained = cli.run("quota explain acme/main/hello fuel").await.ok();
    for words in [
        "2,000,000,000 fuel  by platform (overruled)",
        "plan free",
        "1,000 fuel  by",
    ] {
        assert!(explained.stdout.contains(words), "{explained:?}");
    }
    assert!(
        explained.stdout.contains("“trial” (in force)"),
        "{explained:?}"
    );
    let _ = cli.run("tenant set-plan acme pro").await.ok();
    let _ = site.get("/").await.expect(200);

    let in_use = cli.run("plan delete pro").await;
    in_use.refused(1, &["plan pro is the plan of 1 tenant", "status 409"]);
    cli.run("tenant set-plan acme gold")
        .await
        .refused(1, &["there is no plan `gold`"]);
    cli.run("plan create Pro").await.refused(1, &["`Pro`"]);
    let _ = cli.run("tenant unset-plan acme").await.ok();
    assert!(cli.json("tenant show acme").await["plan"].is_null());
    let _ = cli.run("plan delete pro --reason unsold").await.ok();
    let plans = cli.run("plan list").await.ok().stdout;
    assert!(plans.contains("free") && !plans.contains("pro"), "{plans}");
    let created = cli.json("tenant create birch --plan free").await;
    assert_eq!(created["plan"], "free");
}

#[tokio::test]
async fn tables_of_limits_are_short_and_say_what_is_used() {
    let (platform, cli) = platform().await;
    let _ = cli.run("install enable acme/main hello@1.0.0").await.ok();
    let names = async |line: &str| -> Vec<String> {
        let limits = cli.json(line).await;
        let limits = limits.as_array().into_iter().flatten();
        limits
            .filter_map(|limit| limit["name"].as_str().map(ToOwned::to_owned))
            .collect()
    };
    for line in ["quota show acme/main", "limits"] {
        let requests = names(line).await;
        assert!(
            requests.iter().any(|name| name == "storage"),
            "{requests:?}"
        );
        assert!(
            !requests.iter().any(|name| name.contains("hook-")),
            "{requests:?}"
        );
        let hooks = names(&format!("{line} --class hook")).await;
        assert!(
            hooks.iter().all(|name| name.starts_with("hook-")),
            "{hooks:?}"
        );
        let jobs = names(&format!("{line} --class job")).await;
        let all = names(&format!("{line} --class all")).await;
        assert_eq!(all.len(), requests.len() + hooks.len() + jobs.len());
    }
    let text = cli.run("quota set acme/main hook-fuel=7").await.ok().stdout;
    assert!(text.contains("hook-fuel"), "what was set is shown: {text}");

    let site = platform.path_site("acme/main", "/hello");
    let _ = site.get("/").await.expect(200);
    let spent = |limits: &serde_json::Value| {
        let mut limits = limits.as_array().into_iter().flatten();
        limits
            .find(|limit| limit["name"] == "fuel-per-day")
            .cloned()
            .unwrap_or_default()
    };
    let day = spent(&cli.json("quota show acme/main --usage").await);
    let used = day["used"].as_u64().unwrap_or(0);
    assert!(used > 0 && day["state"] == "ok", "{day}");
    // Five sixths of the limit are used.
    let limit = used + used / 5;
    let _ = cli
        .run(&format!("quota set acme/main fuel-per-day={limit}"))
        .await
        .ok();
    let day = spent(&cli.json("quota show acme/main --usage").await);
    assert_eq!(
        (&day["percent"], &day["state"]),
        (&83.into(), &"soft".into())
    );
    let _ = cli
        .run(&format!("quota set acme/main fuel-per-day={used}"))
        .await
        .ok();
    let day = spent(&cli.json("quota show acme/main/hello --usage").await);
    assert_eq!(
        (&day["percent"], &day["state"]),
        (&100.into(), &"hard".into())
    );
    let table = cli.run("quota show acme/main --usage").await.ok().stdout;
    let known = [
        "concurrency",
        "request-rate",
        "fuel-per-minute",
        "fuel-per-day",
        "queue-time",
        "storage",
        "egress-rate",
        "log-rate",
    ];
    for limit in known {
        assert!(table.lines().any(|line| line.starts_with(limit)), "{table}");
    }
    assert_eq!(table.lines().count(), 1 + known.len(), "{table}");
    cli.run("quota show acme --usage")
        .await
        .refused(1, &["name one, such as acme/main"]);
}

#[tokio::test]
async fn tokens_open_what_is_theirs() {
    let (_platform, cli) = platform().await;
    let _ = cli.run("tenant create birch").await.ok();
    let _ = cli
        .run("provider create northwind --title Northwind")
        .await
        .ok();
    let minted = cli.run("token create console --tenant acme").await.ok();
    let secret = minted.stdout.trim();
    assert!(
        secret.starts_with("cw_ten_"),
        "the secret alone is on standard output: {minted:?}"
    );
    let acme = cli.clone().with_token(secret);
    assert_eq!(acme.json("whoami").await["kind"], "tenant");
    assert_eq!(
        acme.json("tenant list").await.as_array().map(Vec::len),
        Some(1)
    );
    acme.run("tenant show birch")
        .await
        .refused(1, &["there is no tenant `birch`"]);
    acme.run("quota set acme/main fuel=1")
        .await
        .refused(1, &["only an operator may set quotas"]);

    let tokens = acme.json("token list").await;
    let id = tokens[0]["id"].as_str().unwrap_or_default();
    let _ = cli.run(&format!("token revoke {id}")).await.ok();
    acme.run("whoami")
        .await
        .refused(1, &["a valid access token is needed", "status 401"]);
    assert_eq!(cli.json("provider list").await[1]["title"], "Northwind");
}

#[tokio::test]
async fn operators_see_what_the_host_has_to_do() {
    let (_platform, cli) = platform().await;
    let load = cli.json("host").await;
    assert!(load["sandboxes_max"].as_u64() > Some(0), "{load}");
    assert!(load["tasks"].as_u64() > Some(0), "{load}");
    // What else the machine does may be in the way for a moment.
    let shown = eventually("the host has nothing to do", async || {
        let shown = cli.run("host").await.ok().stdout;
        shown.contains(" 0 ms").then_some(shown)
    })
    .await;
    for word in ["SANDBOXES", "RUNS WAITING", "LAG"] {
        assert!(shown.contains(word), "no {word} in:\n{shown}");
    }
    let minted = cli.run("token create console --tenant acme").await.ok();
    let acme = cli.clone().with_token(minted.stdout.trim());
    acme.run("host")
        .await
        .refused(1, &["only an operator may see what the host has to do"]);
}

#[tokio::test]
async fn a_command_line_that_makes_no_sense_is_refused_before_anything_is_sent() {
    let (_platform, cli) = platform().await;
    for (line, word) in [
        ("quota set acme/main fuel=lots", "not a quantity"),
        ("quota set acme/main joy=1", "joy"),
        ("quota set acme/main fuel", "LIMIT=VALUE"),
        ("quota unset acme/main joy", "joy"),
        ("quota show plan", "plan/pro"),
        ("quota show acme/main --class page", "page"),
        ("tenant show ../providers", "not a name"),
        ("instance create acme", "acme/main"),
        ("install enable acme/main hello@one", "not a version"),
        ("tenant suspend acme", "--reason"),
        (
            "token create x --tenant a --provider b",
            "cannot be used with",
        ),
        ("usage show acme --step year", "year"),
        (
            "hook show acme/main stock/allocation",
            "write app, point and hook",
        ),
        (
            "hook set acme/main a/b/c --on-failure ignore",
            "use one of refuse, skip",
        ),
        ("hook set acme/main a/b/c --deadline soon", "not a quantity"),
        ("hook add acme/main stock/allocation", "--extension"),
        ("hook add acme/main stock/allocation --webhook erp", "--url"),
        ("point show acme/main stock", "write app and point"),
    ] {
        cli.run(line).await.refused(2, &[word]);
    }
    cli.run("install show acme/main")
        .await
        .refused(1, &["name the app too"]);
    cli.run("install disable acme hello")
        .await
        .refused(1, &["name the instance too"]);
    let nowhere = cli.with("CLOUDWARE_API", "http://127.0.0.1:1");
    nowhere
        .run("tenant list")
        .await
        .refused(1, &["cannot be reached", "127.0.0.1:1"]);
}
