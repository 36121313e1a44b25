//! Whatever the bytes are, reading them ends with an answer.

mod support;

use cloudware_packages::{FunctionShape, InterfaceShape, Manifest, accept, inspect, mismatch};
use proptest::{collection::vec, prelude::*};
use support::{COMPONENT, MANIFEST, files, host, tar_of, wasm};

/// Replaces, removes or doubles some bytes.
fn mutate(mut bytes: Vec<u8>, changes: &[(prop::sample::Index, u8, u8)]) -> Vec<u8> {
    for (index, action, value) in changes {
        if bytes.is_empty() {
            break;
        }
        let at = index.index(bytes.len());
        match action % 3 {
            0 => bytes[at] = *value,
            1 => drop(bytes.remove(at)),
            _ => bytes.insert(at, *value),
        }
    }
    bytes
}

fn changes() -> impl Strategy<Value = Vec<(prop::sample::Index, u8, u8)>> {
    vec(any::<(prop::sample::Index, u8, u8)>(), 1..8)
}

/// Texts of which some are types.
fn types() -> impl Strategy<Value = String> {
    let words = [
        "u8",
        "list",
        "<",
        ">",
        "record { a: ",
        ", b: ",
        " }",
        "variant { x(",
        ")",
        "_",
        ", ",
        "ä",
    ];
    vec(prop::sample::select(words.to_vec()), 0..12).prop_map(|words| words.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn arbitrary_bytes(bytes in vec(any::<u8>(), 0..2_000)) {
        prop_assert!(accept(&bytes, None, &host()).is_err());
        prop_assert!(inspect(&bytes).is_err());
    }

    #[test]
    fn arbitrary_bytes_that_are_compressed(bytes in vec(any::<u8>(), 0..2_000)) {
        let archive = zstd::encode_all(bytes.as_slice(), 1).unwrap();
        prop_assert!(accept(&archive, None, &host()).is_err());
    }

    #[test]
    fn a_changed_archive(changes in changes()) {
        let _ = accept(&mutate(support::archive(&files()), &changes), None, &host());
    }

    #[test]
    fn a_changed_tar(changes in changes()) {
        let entries: Vec<_> = files().iter().map(|(p, b)| support::Entry::file(p, b)).collect();
        let tar = mutate(tar_of(&entries), &changes);
        let _ = accept(&zstd::encode_all(tar.as_slice(), 1).unwrap(), None, &host());
    }

    #[test]
    fn a_changed_component(changes in changes()) {
        let _ = inspect(&mutate(wasm(COMPONENT), &changes));
    }

    #[test]
    fn a_changed_manifest(changes in changes()) {
        let bytes = mutate(MANIFEST.as_bytes().to_vec(), &changes);
        let _ = Manifest::parse(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn a_path_of_any_bytes(path in vec(any::<u8>(), 1..100)) {
        let entry = support::Entry { path, ..support::Entry::file("x", b"x") };
        prop_assert!(accept(&support::archive_of(&[entry]), None, &host()).is_err());
    }

    #[test]
    fn texts_of_types(app in types(), other in types()) {
        let interface = |ty: &String| InterfaceShape {
            interface: "a:b/c@1.0.0".into(),
            functions: vec![FunctionShape {
                name: "f".into(),
                params: vec![("x".into(), ty.clone())],
                result: None,
            }],
        };
        let found = mismatch(&interface(&app), &interface(&other));
        prop_assert_eq!(found.is_none(), app == other);
    }
}
