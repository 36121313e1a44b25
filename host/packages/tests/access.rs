//! Tables that an app lets hooks decide about, and the extensions that do.

mod support;

use cloudware_packages::{Manifest, limits, mismatch};
use cloudware_types::{OnFailure, PointKind};
use support::{
    manifest::{POINT, app, assert_refused, read, refused},
    wit::{bad, component, good, manifest},
};

const BEFORE: &str = "cloudware:access/before@0.1.0";
const AFTER: &str = "cloudware:access/after@0.1.0";

/// An app with a database and this `[access]`.
fn declaring(access: &str) -> String {
    app(&format!(
        "[capabilities]\nsql = \"Keeps levels.\"\n[database]\nnamespace = \"stock\"\nschema = 0\n[access]\n{access}"
    ))
}

/// The interfaces of `wit/access`, as a package among others.
fn wit() -> String {
    let text = include_str!("../../../wit/access/access.wit");
    let package = "package cloudware:access@0.1.0;";
    assert!(text.contains(package));
    format!(
        "{}\n}}",
        text.replace(package, "package cloudware:access@0.1.0 {")
    )
}

#[test]
fn an_app_that_declares_tables_has_two_points_of_the_platform() {
    let manifest = read(&declaring(
        "stock_levels = \"Where goods are.\"\nSTOCK_movements = \"Who moved.\"",
    ));
    assert_eq!(manifest.access["stock_levels"], "Where goods are.");
    assert_eq!(manifest.access.len(), 2);
    for (name, interface) in [("before-access", BEFORE), ("after-access", AFTER)] {
        let point = &manifest.extension_points[name];
        assert_eq!(point.interface.to_string(), interface);
        assert_eq!(
            (point.kind, point.on_failure),
            (PointKind::Transform, OnFailure::Refuse)
        );
        assert!(point.fuel_per_item > 0, "more rows, more fuel");
        assert!(
            point.description.contains("`stock_levels`"),
            "{}",
            point.description
        );
    }
    let stored = serde_json::to_string(&manifest).unwrap();
    assert_eq!(serde_json::from_str::<Manifest>(&stored).unwrap(), manifest);
    assert!(read(&app("")).extension_points.is_empty());
    assert!(read(&declaring("")).extension_points.is_empty());
}

#[test]
fn points_of_the_platform_stand_beside_those_of_the_app() {
    let both = read(&format!(
        "{}\n{POINT}",
        declaring("stock_levels = \"Why.\"")
    ));
    assert_eq!(both.extension_points.len(), 3);
    let taken = POINT.replace("allocation]", "before-access]");
    let manifest = format!("{}\n{taken}", declaring("stock_levels = \"Why.\""));
    assert_refused(&manifest, "extension-points.before-access", "another name");
}

#[test]
fn tables_are_the_apps_own() {
    let long = format!("stock_{}", "x".repeat(limits::ACCESS_TABLE_CHARS_MAX));
    for (table, part) in [
        ("sales_orders", "`stock_`"),
        ("stock", "`stock_`"),
        ("\"stock_a b\"", "letters, digits"),
        ("\"stock_é\"", "letters, digits"),
        (long.as_str(), "at most 64"),
    ] {
        let place = format!("access.{}", table.trim_matches('"'));
        assert_refused(&declaring(&format!("{table} = \"Why.\"")), &place, part);
    }
    assert_refused(
        &declaring("stock_levels = \" \""),
        "access.stock_levels",
        "empty",
    );
    assert_refused(
        &declaring("stock_a = \"Why.\"\nSTOCK_A = \"Why.\""),
        "access.stock_a",
        "the same table",
    );
    assert_refused(
        &app("[access]\nstock_levels = \"Why.\""),
        "access.stock_levels",
        "no tables",
    );
    let many: String = (0..=limits::ACCESS_TABLES_MAX)
        .map(|n| format!("stock_{n} = \"Why.\"\n"))
        .collect();
    assert_refused(&declaring(&many), "access", "at most 50");
}

#[test]
fn extensions_fill_these_interfaces_of_the_platform_and_no_others() {
    let filling = |interface: &str| {
        manifest(
            "extension",
            &format!("[extension.implements]\n\"{interface}\" = \"Why.\""),
        )
    };
    for interface in [BEFORE, AFTER] {
        let _ = read(&filling(interface));
        for table in ["calls", "services"] {
            let problems = refused(&app(&format!("[{table}]\n\"{interface}\" = \"Why.\"")));
            assert!(
                problems.to_string().contains("of the platform"),
                "{problems}"
            );
        }
    }
    for interface in ["cloudware:access/types@0.1.0", "cloudware:kv/store@0.1.0"] {
        assert!(
            refused(&filling(interface))
                .to_string()
                .contains("of the platform"),
            "{interface}"
        );
    }
    let problems = refused(&filling("cloudware:access/before@0.2.0"));
    assert!(
        problems
            .to_string()
            .contains(&format!("Build against {BEFORE}")),
        "{problems}"
    );
    let own = format!(
        "{}\n[extension.implements]\n\"{BEFORE}\" = \"Why.\"",
        declaring("stock_levels = \"Why.\"")
    );
    assert!(refused(&own).to_string().contains("call itself"));
}

#[test]
fn what_an_extension_exports_by_the_wit_fits_the_points() {
    let plain = component("", "");
    let app = good(&declaring("stock_levels = \"Why.\""), plain);
    let both =
        format!("[extension.implements]\n\"{BEFORE}\" = \"Restricts.\"\n\"{AFTER}\" = \"Masks.\"");
    let exports = format!("export {BEFORE}; export {AFTER};");
    let extension = good(&manifest("extension", &both), component(&exports, &wit()));
    assert_eq!(app.points.len(), 2);
    for point in &app.points {
        let wanted = point.as_interface();
        let have = extension
            .implements
            .iter()
            .find(|have| have.interface == wanted.interface);
        let have = have.expect("the extension fills both");
        assert_eq!(mismatch(&wanted, have), None);
        assert_eq!(wanted, *have);
    }
}

#[test]
fn an_app_can_not_ask_the_points_of_the_platform_itself() {
    let asking = component(&format!("import {BEFORE};"), &wit());
    let problems = bad(&declaring("stock_levels = \"Why.\""), asking);
    assert!(problems.to_string().contains(BEFORE), "{problems}");
}
