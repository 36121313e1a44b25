//! Extension points in manifests.

mod support;

use cloudware_packages::limits;
use cloudware_types::{OnFailure, PointKind};
use support::manifest::{POINT, app, assert_refused, read};

#[test]
fn a_point_has_the_defaults_of_its_kind_and_of_hooks() {
    for (kind, policy) in [
        ("guard", OnFailure::Refuse),
        ("decide", OnFailure::Default),
        ("transform", OnFailure::Refuse),
        ("observe", OnFailure::Retry),
    ] {
        let manifest = read(&app(&POINT.replace("decide", kind)));
        let point = &manifest.extension_points["allocation"];
        assert_eq!((point.kind.name(), point.on_failure), (kind, policy));
        assert_eq!(
            (point.deadline_ms, point.fuel, point.fuel_per_item),
            (50, 100_000_000, 0)
        );
    }
}

#[test]
fn single_values_of_a_point() {
    for (from, to, place, part) in [
        (
            "\"decide\"",
            "\"decides\"",
            "kind",
            "guard, decide, transform, observe",
        ),
        (
            "inventory:stock/allocation@1.0.0",
            "allocation",
            "interface",
            "namespace:package/name",
        ),
        (
            "inventory:stock/allocation@1.0.0",
            "a:b/c@1",
            "interface",
            "`a:b/c@1`",
        ),
        (
            "inventory:stock/allocation@1.0.0",
            "wasi:http/types@0.2.0",
            "interface",
            "of the platform",
        ),
        (
            "inventory:stock/allocation@1.0.0",
            "cloudware:kv/store@0.1.0",
            "interface",
            "of the platform",
        ),
        (
            "Which batches a pick takes from.",
            " ",
            "description",
            "empty",
        ),
        (
            "\"decide\"",
            "\"decide\"\ndeadline-ms = 0",
            "deadline-ms",
            "from 1 to 60000",
        ),
        (
            "\"decide\"",
            "\"decide\"\ndeadline-ms = 60001",
            "deadline-ms",
            "from 1 to 60000",
        ),
        ("\"decide\"", "\"decide\"\nfuel = \"lots\"", "fuel", "lots"),
        ("\"decide\"", "\"decide\"\nfuel = 0", "fuel", "without fuel"),
        ("\"decide\"", "\"decide\"\nfuel = -1", "fuel", "-1"),
        (
            "\"decide\"",
            "\"decide\"\nfuel-per-item = 1_000_000_000_001",
            "fuel-per-item",
            "1,000,000,000,000",
        ),
        ("\"decide\"", "\"decide\"\nprice = 1", "price", "not known"),
    ] {
        let manifest = app(&POINT.replace(from, to));
        assert_refused(
            &manifest,
            &format!("extension-points.allocation.{place}"),
            part,
        );
    }
    let long = POINT.replace(
        "allocation@",
        &format!("{}@", "a".repeat(limits::INTERFACE_CHARS_MAX)),
    );
    assert_refused(
        &app(&long),
        "extension-points.allocation.interface",
        "too long",
    );
    let name = POINT.replace("points.allocation", "points.Allocation");
    assert_refused(
        &app(&name),
        "extension-points.Allocation",
        "not a valid name",
    );
    assert_refused(
        &app("[extension-points]\nx = 1"),
        "extension-points.x",
        "a table with `interface`",
    );
}

#[test]
fn keys_that_a_point_must_have() {
    for key in ["interface", "kind", "description"] {
        let lines = POINT.lines().filter(|line| !line.trim().starts_with(key));
        let manifest = app(&lines.collect::<Vec<_>>().join("\n"));
        assert_refused(
            &manifest,
            &format!("extension-points.allocation.{key}"),
            "missing",
        );
    }
}

#[test]
fn policies_that_a_kind_does_not_have() {
    for kind in PointKind::ALL {
        for policy in OnFailure::ALL {
            let point = format!("kind = \"{kind}\"\non-failure = \"{policy}\"");
            let manifest = app(&POINT.replace("kind = \"decide\"", &point));
            if kind.policies().contains(policy) {
                read(&manifest);
            } else {
                let place = "extension-points.allocation.on-failure";
                assert_refused(&manifest, place, &format!("`{}`", kind.policies()[0]));
            }
        }
    }
    let manifest = app(&format!("{POINT}\non-failure = \"explode\""));
    assert_refused(
        &manifest,
        "extension-points.allocation.on-failure",
        "`explode`",
    );
}

#[test]
fn points_are_told_apart_by_interfaces_of_one_package() {
    let second = |interface: &str| {
        let point = POINT.replace("points.allocation", "points.barcode");
        app(&format!(
            "{POINT}{}",
            point.replace("inventory:stock/allocation@1.0.0", interface)
        ))
    };
    read(&second("inventory:stock/barcode@1.0.0"));
    // The old version of a point beside the new one, while extensions move over.
    read(&second("inventory:stock/allocation@2.0.0"));
    let place = "extension-points.barcode.interface";
    assert_refused(
        &second("inventory:stock/allocation@1.1.0"),
        place,
        "`allocation`",
    );
    assert_refused(&second("sales:order/pricing@1.0.0"), place, "`sales:order`");
}
