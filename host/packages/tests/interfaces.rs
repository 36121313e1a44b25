//! Interfaces that packages share, read from the components of both sides and compared.

mod support;

use cloudware_packages::{FunctionShape, mismatch};
use cloudware_types::PointKind;
use support::wit::{ALLOCATION, LEVELS, STOCK, component, good, manifest, naming, point, shape};

#[test]
fn both_sides_of_a_point_have_the_same_shape() {
    let app = good(
        &point(ALLOCATION, "decide"),
        component(&format!("import {ALLOCATION};"), STOCK),
    );
    let extension = good(
        &manifest(
            "extension",
            &format!("[extension.implements]\n\"{ALLOCATION}\" = \"First expired.\""),
        ),
        component(&format!("export {ALLOCATION};"), STOCK),
    );
    let [point] = app.points.as_slice() else {
        panic!("{:?}", app.points);
    };
    assert_eq!(
        (point.name.as_str(), point.kind),
        ("allocation", PointKind::Decide)
    );
    assert_eq!(point.interface, ALLOCATION);
    let pick = FunctionShape {
        name: "pick".into(),
        params: vec![(
            "demand".into(),
            "record { sku: string, quantity: u64 }".into(),
        )],
        result: Some("option<list<record { batch: string, quantity: u64 }>>".into()),
    };
    assert_eq!(point.functions, [pick]);
    assert_eq!(extension.implements, [point.as_interface()]);
    assert_eq!(
        mismatch(&point.as_interface(), &extension.implements[0]),
        None
    );
    let nothing_else = [&app.implements, &app.calls, &app.services, &extension.calls];
    assert!(nothing_else.iter().all(|shapes| shapes.is_empty()));
}

#[test]
fn both_sides_of_a_call_have_the_same_shape() {
    let caller = good(
        &naming("calls", LEVELS),
        component(&format!("import {LEVELS};"), STOCK),
    );
    let called = good(
        &naming("services", LEVELS),
        component(&format!("export {LEVELS};"), STOCK),
    );
    assert_eq!(caller.calls, called.services);
    assert_eq!(
        caller.calls[0].functions[0].to_string(),
        "func(sku: string) -> u64"
    );
}

#[test]
fn an_extension_for_other_types_does_not_fit() {
    let other = STOCK.replace(
        "record taken { batch: batch-number",
        "record taken { batch: u64",
    );
    let side = |item: &str, manifest: &str, wit: &str| {
        let component = component(&format!("{item} {ALLOCATION};"), wit);
        good(manifest, component)
    };
    let app = side("import", &point(ALLOCATION, "decide"), STOCK);
    let extension = side(
        "export",
        &naming("extension.implements", ALLOCATION),
        &other,
    );
    let text = mismatch(&app.points[0].as_interface(), &extension.implements[0]).unwrap();
    assert!(
        text.ends_with("the result, value, element, field `batch`: `string` for the app, `u64` on the other side."),
        "{text}"
    );
}

#[test]
fn compatible_versions_go_together_and_keep_their_names() {
    let newer = STOCK.replace("@1.0.0", "@1.3.0");
    let exported = ALLOCATION.replace("@1.0.0", "@1.3.0");
    let extension = good(
        &naming("extension.implements", ALLOCATION),
        component(&format!("export {exported};"), &newer),
    );
    assert_eq!(extension.implements[0].interface, exported);
    let imported = LEVELS.replace("@1.0.0", "@1.3.0");
    let caller = good(
        &naming("calls", LEVELS),
        component(&format!("import {imported};"), &newer),
    );
    assert_eq!(caller.calls[0].interface, imported);
}

#[test]
fn every_type_is_written_out() {
    for ty in [
        "bool",
        "s8",
        "u8",
        "s16",
        "u16",
        "s32",
        "u32",
        "s64",
        "u64",
        "f32",
        "f64",
        "char",
        "string",
        "list<u8>",
        "list<list<string>>",
        "option<option<u8>>",
        "tuple<u8, string>",
        "result",
        "result<u8>",
        "result<_, u8>",
        "result<u8, string>",
    ] {
        let shape = shape(&format!("f: func(x: {ty}) -> {ty};"));
        assert_eq!(shape.functions[0].params[0].1, ty);
        assert_eq!(shape.functions[0].result.as_deref(), Some(ty));
    }
    let shape = shape(
        "record r { a: u8, the-list: list<e> }
         enum e { one, two }
         flags g { read, write }
         variant v { none, some(r), both(tuple<e, g>) }
         type t = v;
         f: func(g: g, v: t);",
    );
    let record = "record { a: u8, the-list: list<enum { one, two }> }";
    let variant = format!(
        "variant {{ none, some({record}), both(tuple<enum {{ one, two }}, flags {{ read, write }}>) }}"
    );
    assert_eq!(
        shape.functions[0].to_string(),
        format!("func(g: flags {{ read, write }}, v: {variant})")
    );
}

#[test]
fn each_kind_takes_its_functions() {
    for (kind, items) in [
        ("guard", "f: func(sku: string) -> result<_, string>;"),
        (
            "decide",
            "f: func() -> option<u8>; g: func(x: u8) -> option<string>;",
        ),
        (
            "transform",
            "record r { a: u8 } f: func(r: r, at: u64) -> result<r, string>;",
        ),
        ("observe", "f: func(sku: string);"),
    ] {
        let package =
            format!("package inventory:stock@1.0.0 {{ interface allocation {{ {items} }} }}");
        let component = component(&format!("import {ALLOCATION};"), &package);
        good(&point(ALLOCATION, kind), component);
    }
}
