//! Apps that need each other: none is enabled without what it needs, none is taken away that others need, and no
//! circle comes to be.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

mod support;

use cloudware_control::{Call, Error, install};
use support::{Function, HELLO, Interface, LEVEL, PICK, Package, World, conflict};

const MAIN: (&str, &str) = ("acme", "main");

/// An app that others call.
const LEVELS: Package<'_> = Package {
    name: "levels",
    mount: "/levels",
    exports: &[Interface {
        name: "stock:app/levels@1.0.0",
        function: LEVEL,
    }],
    more: "[services]\n\"stock:app/levels@1.0.0\" = \"Stock levels.\"\n",
    ..HELLO
};

/// An app that calls it by its interface.
const SALES: Package<'_> = Package {
    name: "sales",
    mount: "/sales",
    imports: &[Interface {
        name: "stock:app/levels@1.0.0",
        function: LEVEL,
    }],
    more: "[calls]\n\"stock:app/levels@1.0.0\" = \"Reads levels.\"\n",
    ..HELLO
};

/// [`LEVEL`] with another type.
const LEVEL_TEXT: Function<'_> = Function {
    name: "level",
    ty: r#"(param "item" u64) (result string)"#,
    core: "(param i64) (result i32)",
};

/// An app that depends on others by their names, and has nothing else.
fn depending<'a>(name: &'a str, version: &'a str, mount: &'a str, more: &'a str) -> Package<'a> {
    Package {
        name,
        version,
        mount,
        more,
        ..HELLO
    }
}

async fn world(packages: &[Package<'_>]) -> (World, Call) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    for package in packages {
        world.push(&provider, package).await.unwrap();
    }
    let acme = world.tenant("acme").await;
    (world, acme)
}

fn refusal<T: std::fmt::Debug>(outcome: Result<T, Error>, code: &str, words: &[&str]) {
    match outcome {
        Err(Error::Conflict {
            code: found,
            message,
        }) => {
            assert_eq!(found, code, "{message}");
            for word in words {
                assert!(message.contains(word), "{message} does not say {word}");
            }
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_app_needs_those_that_it_depends_on() {
    let billing = depending(
        "billing",
        "1.0.0",
        "/billing",
        "[dependencies]\nhello = \"Greets customers.\"\n",
    );
    let (world, acme) = world(&[HELLO, billing]).await;
    let enable = |app: &'static str| world.enable(&acme, "acme", app, "1.0.0");
    refusal(
        enable("billing").await,
        "needs-app",
        &["billing 1.0.0", "hello", "Greets customers.", "acme/main"],
    );
    enable("hello").await.unwrap();
    enable("billing").await.unwrap();
    let served = world.plane.served(world.id_of("acme", "main").await);
    let billing = served.installs.iter().find(|i| i.app.as_str() == "billing");
    assert_eq!(billing.unwrap().dependencies, ["hello".parse().unwrap()]);

    let disable = |app: &'static str| install::disable(&world.control, &acme, MAIN, app);
    refusal(
        disable("hello").await,
        "needed-by",
        &[
            "hello 1.0.0 can't be disabled",
            "billing 1.0.0",
            "Greets customers.",
        ],
    );
    disable("billing").await.unwrap();
    disable("hello").await.unwrap();
}

#[tokio::test]
async fn a_call_is_answered_by_the_first_app_that_provides_it() {
    let second = Package {
        name: "annex",
        mount: "/annex",
        ..LEVELS
    };
    let (world, acme) = world(&[LEVELS, SALES, second]).await;
    let enable = |app: &'static str| world.enable(&acme, "acme", app, "1.0.0");
    refusal(
        enable("sales").await,
        "needs-service",
        &["sales 1.0.0", "stock:app/levels@1.0.0", "Reads levels."],
    );
    let levels = enable("levels").await.unwrap();
    enable("sales").await.unwrap();
    let answered_by = async || {
        let served = world.plane.served(world.id_of("acme", "main").await);
        let sales = served.installs.iter().find(|i| i.app.as_str() == "sales");
        let [call] = sales.unwrap().calls.as_slice() else {
            panic!("{served:?}");
        };
        assert_eq!(&*call.interface, "stock:app/levels@1.0.0");
        call.install
    };
    assert_eq!(answered_by().await, levels.id);
    let disable = |app: &'static str| install::disable(&world.control, &acme, MAIN, app);
    refusal(
        disable("levels").await,
        "needed-by",
        &["sales 1.0.0", "stock:app/levels@1.0.0"],
    );
    // Who came later answers nobody, until the first one is gone.
    let annex = enable("annex").await.unwrap();
    assert_eq!(answered_by().await, levels.id);
    disable("levels").await.unwrap();
    assert_eq!(answered_by().await, annex.id);
    enable("levels").await.unwrap();
    assert_eq!(
        answered_by().await,
        levels.id,
        "the one that was first enabled"
    );
}

#[tokio::test]
async fn both_sides_of_a_call_have_the_same_types() {
    let newer = Package {
        version: "1.1.0",
        exports: &[Interface {
            name: "stock:app/levels@1.0.0",
            function: LEVEL_TEXT,
        }],
        ..LEVELS
    };
    let without = Package {
        version: "1.2.0",
        exports: &[],
        more: "",
        ..LEVELS
    };
    let (world, acme) = world(&[LEVELS, newer, without, SALES]).await;
    let to = |version: &str| {
        let version = Some(version.parse().unwrap());
        install::upgrade(&world.control, &acme, MAIN, "levels", version)
    };
    world
        .enable(&acme, "acme", "levels", "1.1.0")
        .await
        .unwrap();
    refusal(
        world.enable(&acme, "acme", "sales", "1.0.0").await,
        "service-mismatch",
        &[
            "func(item: u64) -> u64",
            "func(item: u64) -> string",
            "levels 1.1.0",
        ],
    );
    to("1.0.0").await.unwrap();
    world.enable(&acme, "acme", "sales", "1.0.0").await.unwrap();
    let back = [
        "needed-by",
        "levels 1.0.0 can't be changed to",
        "sales 1.0.0",
    ];
    for version in ["1.1.0", "1.2.0"] {
        refusal(to(version).await, back[0], &back[1..]);
    }
    let kept = install::get(&world.control, &acme, MAIN, "levels").await;
    assert_eq!(kept.unwrap().version.to_string(), "1.0.0");
}

#[tokio::test]
async fn no_circle_comes_to_be() {
    let needs = |app: &str| format!("[dependencies]\n{app} = \"A test.\"\n");
    let (to_a, to_b, to_c) = (needs("a"), needs("b"), needs("c"));
    let packages = [
        depending("a", "1.0.0", "/a", ""),
        depending("b", "1.0.0", "/b", &to_a),
        depending("c", "1.0.0", "/c", &to_b),
        depending("a", "1.1.0", "/a", &to_c),
    ];
    let (world, acme) = world(&packages).await;
    for app in ["a", "b", "c"] {
        world.enable(&acme, "acme", app, "1.0.0").await.unwrap();
    }
    let up = install::upgrade(&world.control, &acme, MAIN, "a", None).await;
    refusal(up, "dependency-cycle", &["a → c → b → a"]);

    // Where none is enabled, each would wait for another one: the catalog tells why.
    world.tenant("birch").await;
    let enable =
        |app: &'static str, version: &'static str| world.enable(&acme, "acme", app, version);
    for app in ["c", "b", "a"] {
        install::disable(&world.control, &acme, MAIN, app)
            .await
            .unwrap();
    }
    refusal(
        enable("a", "1.1.0").await,
        "dependency-cycle",
        &["a → c → b → a"],
    );
    refusal(
        enable("b", "1.0.0").await,
        "dependency-cycle",
        &["b → a → c → b"],
    );
}

#[tokio::test]
async fn a_circle_through_calls_is_one() {
    // Levels asks sales for something, and sales calls levels.
    let asking = Package {
        version: "1.1.0",
        more: "[services]\n\"stock:app/levels@1.0.0\" = \"Stock levels.\"\n[dependencies]\nsales = \"Asks.\"\n",
        ..LEVELS
    };
    let (world, acme) = world(&[LEVELS, SALES, asking]).await;
    for app in ["levels", "sales"] {
        world.enable(&acme, "acme", app, "1.0.0").await.unwrap();
    }
    let up = install::upgrade(&world.control, &acme, MAIN, "levels", None).await;
    refusal(up, "dependency-cycle", &["levels → sales → levels"]);
}

#[tokio::test]
async fn hooks_make_no_circle() {
    // An extension may depend on the app that it extends, which asks it.
    let point = "[extension-points.pick]\ninterface = \"levels:app/pick@1.0.0\"\nkind = \"decide\"\ndescription = \"A test.\"\n";
    let interface = [Interface {
        name: "levels:app/pick@1.0.0",
        function: PICK,
    }];
    let app = Package {
        name: "levels",
        mount: "/levels",
        imports: &interface,
        more: point,
        ..HELLO
    };
    let extension = Package {
        name: "picker",
        kind: "extension",
        mount: "",
        exports: &interface,
        more: "[extension.implements]\n\"levels:app/pick@1.0.0\" = \"Picks.\"\n[dependencies]\nlevels = \"Asks back.\"\n",
        ..HELLO
    };
    let (world, acme) = world(&[app, extension]).await;
    let early = world.enable(&acme, "acme", "picker", "1.0.0").await;
    assert_eq!(conflict(early), "needs-app");
    for app in ["levels", "picker"] {
        world.enable(&acme, "acme", app, "1.0.0").await.unwrap();
    }
    let served = world.plane.served(world.id_of("acme", "main").await);
    let levels = served.installs.iter().find(|i| i.app.as_str() == "levels");
    assert_eq!(levels.unwrap().points[0].hooks.len(), 1);
}
