//! Hooks: they come to be where an extension meets a point, are called as was chosen, and a change that would leave
//! one that does not fit is refused by its name.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

#[path = "../support/mod.rs"]
mod support;

mod chosen;
mod observed;
mod register;
mod versions;
mod webhook;

use cloudware_control::{
    AuditQuery, Call, Error, Hook, HookChange, HookFields, HookNew, PageRequest, audit,
    hook::{self, TargetNew},
};
use cloudware_types::{DesiredHook, HookMode};
use support::{FEFO, HELLO, Interface, PICK_FLOAT, Package, STORE, World};

const MAIN: (&str, &str) = ("acme", "main");

const FEFO_HOOK: &str = "store.allocation.fefo";

/// Another extension for the same point.
const LIFO: Package<'_> = Package {
    name: "lifo",
    ..FEFO
};

/// The newer releases of both sides, which go together and with nothing older.
const STORE_FLOAT: Package<'_> = Package {
    version: "1.1.0",
    imports: &[Interface {
        name: "store:app/allocation@1.0.0",
        function: PICK_FLOAT,
    }],
    ..STORE
};

const FEFO_FLOAT: Package<'_> = Package {
    version: "1.1.0",
    exports: &[Interface {
        name: "store:app/allocation@1.0.0",
        function: PICK_FLOAT,
    }],
    ..FEFO
};

/// A world with everything pushed and nothing enabled.
async fn world() -> (World, Call) {
    let world = World::new().await;
    let provider = world.provider("northwind").await;
    for package in [STORE, STORE_FLOAT, FEFO, FEFO_FLOAT, LIFO, HELLO] {
        world.push(&provider, &package).await.unwrap();
    }
    let acme = world.tenant("acme").await;
    (world, acme)
}

/// A world where the app, and the extension on its point, are enabled.
async fn hooked() -> (World, Call) {
    let (world, acme) = world().await;
    for app in ["store", "fefo"] {
        world.enable(&acme, "acme", app, "1.0.0").await.unwrap();
    }
    (world, acme)
}

/// The one who published everything.
async fn provider(world: &World) -> Call {
    let secret = world.secret(Some("northwind"), None).await;
    world.call(&secret).await
}

async fn hooks(world: &World) -> Vec<Hook> {
    let page = PageRequest::default();
    let page = hook::list(&world.control, &Call::host(), MAIN, &page).await;
    let shown = page.unwrap().items.into_iter();
    shown.map(|shown| shown.hook).collect()
}

/// The hooks of the point as the data plane has them.
async fn called(world: &World) -> Vec<DesiredHook> {
    let served = world.plane.served(world.id_of("acme", "main").await);
    let store = served.installs.iter().find(|i| i.app.as_str() == "store");
    store.unwrap().points[0].hooks.clone()
}

async fn names(world: &World) -> Vec<String> {
    let called = called(world).await.into_iter();
    called.map(|hook| hook.name.to_string()).collect()
}

async fn set(world: &World, call: &Call, name: &str, change: HookChange) -> Result<Hook, Error> {
    hook::set(&world.control, call, MAIN, name, change).await
}

async fn is_enabled(world: &World, call: &Call, enabled: bool) -> Result<Hook, Error> {
    let change = HookChange {
        is_enabled: Some(enabled),
        ..HookChange::default()
    };
    set(world, call, FEFO_HOOK, change).await
}

fn webhook(name: &str) -> HookNew {
    HookNew {
        app: "store".parse().unwrap(),
        point: "allocation".parse().unwrap(),
        target: TargetNew::Webhook {
            name: name.parse().unwrap(),
            url: "https://erp.example.com/allocation".to_owned(),
            payload_version: None,
        },
        position: None,
        is_enabled: true,
        mode: HookMode::Active,
        fields: HookFields::default(),
    }
}

fn message<T: std::fmt::Debug>(outcome: Result<T, Error>) -> String {
    outcome.unwrap_err().to_string()
}

async fn actions(world: &World, action: &str) -> Vec<String> {
    let query = AuditQuery {
        action: Some(action.to_owned()),
        ..AuditQuery::default()
    };
    let page = PageRequest::default();
    let trail = audit::list(&world.control, &Call::host(), query, &page).await;
    let entries = trail.unwrap().items.into_iter();
    entries.map(|entry| entry.subject).collect()
}
