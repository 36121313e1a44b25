//! What manifests say about other packages: what they fill, call and offer, and how all of it goes together.

mod support;

use cloudware_packages::{Manifest, limits};
use cloudware_types::{OnFailure, PointKind, Reuse};
use support::{
    manifest::{POINT, app, assert_refused, read, refused},
    wit::manifest,
};

#[test]
fn everything_is_read() {
    let manifest = read(&app(r#"
        [extension-points.allocation]
        interface = "inventory:stock/allocation@1.0.0"
        kind = "guard"
        description = "May refuse a receipt."
        on-failure = "skip"
        deadline-ms = 60000
        fuel = 20_000_000
        fuel-per-item = "100k"
        [extension]
        reuse = 1000
        [extension.implements]
        "sales:order/pricing@2.1.0" = "Gives the price of the day."
        [dependencies]
        sales-orders = "Asks for open orders."
        [calls]
        "sales:order/open-orders@1.0.0" = "Reads open orders."
        [services]
        "inventory:stock/levels@1.0.0" = "Stock levels for other apps."
    "#));
    let point = &manifest.extension_points["allocation"];
    assert_eq!(
        point.interface.to_string(),
        "inventory:stock/allocation@1.0.0"
    );
    assert_eq!(
        (point.kind, point.on_failure),
        (PointKind::Guard, OnFailure::Skip)
    );
    assert_eq!(point.description, "May refuse a receipt.");
    assert_eq!(
        (point.deadline_ms, point.fuel, point.fuel_per_item),
        (60_000, 20_000_000, 100_000)
    );
    let extension = manifest.extension.as_ref().unwrap();
    assert_eq!(
        extension.reuse,
        Reuse::Warm {
            requests_max: 1_000
        }
    );
    let pricing = &"sales:order/pricing@2.1.0".parse().unwrap();
    assert_eq!(extension.implements[pricing], "Gives the price of the day.");
    assert_eq!(
        manifest.dependencies["sales-orders"],
        "Asks for open orders."
    );
    let calls: Vec<_> = manifest.calls.keys().map(ToString::to_string).collect();
    assert_eq!(calls, ["sales:order/open-orders@1.0.0"]);
    let services: Vec<_> = manifest.services.keys().map(ToString::to_string).collect();
    assert_eq!(services, ["inventory:stock/levels@1.0.0"]);

    let stored = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&stored).unwrap(), manifest);
}

#[test]
fn manifests_that_were_stored_before_there_were_extensions_are_read() {
    let mut stored = serde_json::to_value(read(&app(""))).unwrap();
    let fields = stored.as_object_mut().unwrap();
    for field in [
        "extension_points",
        "extension",
        "dependencies",
        "calls",
        "services",
    ] {
        assert!(fields.remove(field).is_some(), "{field}");
    }
    let manifest: Manifest = serde_json::from_value(stored).unwrap();
    assert_eq!(manifest, read(&app("")));
}

#[test]
fn an_extension_fills_something() {
    let implements = "[extension.implements]\n\"a:b/c@1.0.0\" = \"Does it.\"";
    assert!(read(&manifest("extension", implements)).http.is_none());
    assert_eq!(
        read(&app(implements)).extension.unwrap().reuse,
        Reuse::Fresh
    );
    for manifest in [
        manifest("extension", ""),
        manifest("extension", "[extension]\nreuse = 10"),
        manifest("extension", "[extension.implements]"),
        app("[extension]"),
    ] {
        assert_refused(&manifest, "extension.implements", "none is named");
    }
}

#[test]
fn reasons_and_keys_of_tables() {
    for (table, key) in [
        ("extension.implements", "\"a:b/c@1.0.0\""),
        ("dependencies", "sales-orders"),
        ("calls", "\"a:b/c@1.0.0\""),
        ("services", "\"a:b/c@1.0.0\""),
    ] {
        let place = format!("{table}.{}", key.trim_matches('"'));
        read(&app(&format!("[{table}]\n{key} = \"Why.\"")));
        for (value, part) in [("\"\"", "empty"), ("7", "text in quotes")] {
            assert_refused(&app(&format!("[{table}]\n{key} = {value}")), &place, part);
        }
        let wrong = app(&format!("[{table}]\n\"Sales Orders\" = \"Why.\""));
        assert_refused(
            &wrong,
            &format!("{table}.Sales Orders"),
            "`Sales Orders` is not",
        );
    }
    for table in [
        "extension-points",
        "extension",
        "dependencies",
        "calls",
        "services",
    ] {
        let head = app("").replace("[package]", &format!("{table} = 1\n[package]"));
        assert_refused(&head, table, "a table");
    }
    assert_refused(
        &app("[extension]\nimplements = 1"),
        "extension.implements",
        "a table",
    );
    assert_refused(
        &app("[calls]\n\"wasi:http/types@0.2.0\" = \"Why.\""),
        "calls.wasi:http/types@0.2.0",
        "of the platform",
    );
}

#[test]
fn versions_that_stand_for_each_other_are_named_once() {
    for table in ["extension.implements", "calls", "services"] {
        let two = |second: &str| {
            app(&format!(
                "[{table}]\n\"a:b/c@1.0.0\" = \"Why.\"\n\"a:b/c@{second}\" = \"Why.\""
            ))
        };
        read(&two("2.0.0"));
        let place = format!("{table}.a:b/c@1.1.0");
        assert_refused(&two("1.1.0"), &place, "a:b/c@1.0.0 is named already");
    }
}

#[test]
fn an_app_does_not_call_itself() {
    assert_refused(
        &app("[dependencies]\ninventory-stock = \"Asks itself.\""),
        "dependencies.inventory-stock",
        "names itself",
    );
    let calls = "[calls]\n\"inventory:stock/allocation@1.2.0\" = \"Why.\"";
    let place = "calls.inventory:stock/allocation@1.2.0";
    assert_refused(&app(&format!("{POINT}{calls}")), place, "`allocation`");
    let services = calls.replace("calls", "services").replace("1.2", "1.0");
    assert_refused(&app(&format!("{calls}\n{services}")), place, "[services]");
    let implements = calls.replace("calls", "extension.implements");
    let place = "extension.implements.inventory:stock/allocation@1.2.0";
    assert_refused(&app(&format!("{POINT}{implements}")), place, "`allocation`");
}

#[test]
fn as_many_as_there_may_be() {
    let interfaces = |table: &str, count: usize| {
        let lines = (0..count).map(|i| format!("\"a:b/c{i}@1.0.0\" = \"Why.\"\n"));
        app(&format!("[{table}]\n{}", lines.collect::<String>()))
    };
    for (table, entries_max) in [
        ("extension.implements", limits::IMPLEMENTS_MAX),
        ("calls", limits::CALLS_MAX),
        ("services", limits::SERVICES_MAX),
    ] {
        read(&interfaces(table, entries_max));
        assert_refused(
            &interfaces(table, entries_max + 1),
            table,
            &format!("{entries_max}"),
        );
    }
    let dependencies = |count: usize| {
        let lines = (0..count).map(|i| format!("app-{i} = \"Why.\"\n"));
        app(&format!("[dependencies]\n{}", lines.collect::<String>()))
    };
    read(&dependencies(limits::DEPENDENCIES_MAX));
    assert_refused(
        &dependencies(limits::DEPENDENCIES_MAX + 1),
        "dependencies",
        "50",
    );
    let points = |count: usize| {
        let points = (0..count).map(|i| POINT.replace("allocation", &format!("p{i}")));
        app(&points.collect::<String>())
    };
    read(&points(limits::POINTS_MAX));
    assert_refused(&points(limits::POINTS_MAX + 1), "extension-points", "50");
}

#[test]
fn every_mistake_is_reported_at_once() {
    let problems = refused(&app(r#"
        [extension-points.Bad]
        kind = "decision"
        [extension-points.good]
        interface = "x"
        kind = "guard"
        on-failure = "retry"
        deadline-ms = "soon"
        [extension]
        reuse = 0
        speed = 1
        [extension.implements]
        x = "Why."
        [dependencies]
        X = "Why."
        [calls]
        "a:b/c@1.0.0" = ""
        [services]
        "run" = "Why."
    "#));
    let places: Vec<_> = problems
        .iter()
        .map(|p| p.at.trim_start_matches("cloudware.toml: "))
        .collect();
    assert_eq!(
        places,
        [
            "extension-points.Bad",
            "extension-points.Bad.interface",
            "extension-points.Bad.kind",
            "extension-points.Bad.description",
            "extension-points.good.interface",
            "extension-points.good.description",
            "extension-points.good.on-failure",
            "extension-points.good.deadline-ms",
            "extension.reuse",
            "extension.speed",
            "extension.implements.x",
            "dependencies.X",
            "calls.a:b/c@1.0.0",
            "services.run",
        ],
        "{problems}"
    );
}
