//! Archives that are refused: cut, changed, too large, too dense, or with paths that escape.

mod support;

use cloudware_packages::{accept, limits, read};
use cloudware_types::Digest;
use support::{Entry, archive, archive_of, assert_codes, files, host, problems_of, tar_of};
use tar::EntryType;

#[test]
fn a_wrong_digest() {
    let bytes = archive(&files());
    let other = Digest::of(b"other");
    let problems = read(&bytes, Some(&other)).unwrap_err();
    assert_codes(&problems, &["digest-mismatch"]);
    assert!(problems.to_string().contains(&other.to_string()));
}

#[test]
fn an_archive_cut_anywhere() {
    let bytes = archive(&files());
    for keep in 0..bytes.len() {
        let problems = accept(&bytes[..keep], None, &host()).expect_err("it is cut");
        assert!(
            problems.has("truncated-archive") || problems.has("not-an-archive"),
            "{keep} of {}: {problems}",
            bytes.len()
        );
    }
}

#[test]
fn a_tar_cut_inside_a_file() {
    let tar = tar_of(&[Entry::file("component.wasm", &[7; 5_000])]);
    let bytes = zstd::encode_all(&tar[..2_000], 3).unwrap();
    assert_codes(&problems_of(&bytes), &["truncated-archive"]);
}

#[test]
fn other_bytes() {
    assert_codes(
        &problems_of(b"PK\x03\x04 not this format"),
        &["not-an-archive"],
    );
    assert_codes(&problems_of(b""), &["truncated-archive"]);
}

#[test]
fn an_archive_larger_than_the_bound() {
    let bytes = vec![0; usize::try_from(limits::ARCHIVE_BYTES_MAX).unwrap() + 1];
    assert_codes(&problems_of(&bytes), &["archive-too-large"]);
}

#[test]
fn a_zip_bomb_is_stopped_at_the_ratio() {
    let bomb = archive_of(&[Entry::file("assets/zeros", &vec![0; 40 << 20])]);
    assert!(bomb.len() < 100_000);
    assert_codes(&problems_of(&bomb), &["expansion-ratio"]);
}

#[test]
fn a_bomb_in_the_part_behind_the_last_file() {
    let mut tar = tar_of(&[Entry::file("assets/a", b"a")]);
    tar.extend(vec![0; 40 << 20]);
    let bomb = zstd::encode_all(tar.as_slice(), 3).unwrap();
    assert_codes(&problems_of(&bomb), &["expansion-ratio"]);
}

#[test]
fn more_bytes_than_the_bound_however_well_they_hide() {
    // Incompressible content that repeats at a distance beyond the ratio's suspicion.
    let noise: Vec<u8> = (0..2_u64 << 20)
        .scan(0x9e37_79b9_7f4a_7c15_u64, |state, _| {
            *state ^= *state << 13;
            *state ^= *state >> 7;
            *state ^= *state << 17;
            Some(state.to_le_bytes()[3])
        })
        .collect();
    let entries: Vec<_> = (0..130)
        .map(|i| Entry::file(&format!("assets/{i}"), &noise))
        .collect();
    let tar = tar_of(&entries);
    assert!(tar.len() as u64 > limits::UNPACKED_BYTES_MAX);
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.window_log(23).unwrap();
    std::io::Write::write_all(&mut encoder, &tar).unwrap();
    let bytes = encoder.finish().unwrap();
    assert_codes(&problems_of(&bytes), &["unpacked-too-large"]);
}

#[test]
fn a_file_that_claims_to_be_larger_than_the_bound() {
    let mut tar = tar_of(&[Entry::file("component.wasm", b"x")]);
    let mut header = tar::Header::new_ustar();
    header.set_path("component.wasm").unwrap();
    header.set_size(1 << 30);
    header.set_cksum();
    tar[..512].copy_from_slice(header.as_bytes());
    let problems = problems_of(&zstd::encode_all(tar.as_slice(), 3).unwrap());
    assert!(problems.has("file-too-large"), "{problems}");
}

#[test]
fn a_window_that_would_take_too_much_memory() {
    let mut encoder = zstd::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.include_contentsize(false).unwrap();
    std::io::Write::write_all(&mut encoder, &tar_of(&[Entry::file("assets/a", b"a")])).unwrap();
    assert_codes(
        &problems_of(&encoder.finish().unwrap()),
        &["not-an-archive"],
    );
}

#[test]
fn too_many_files() {
    let entries: Vec<_> = (0..=limits::FILES_MAX)
        .map(|i| Entry::file(&format!("assets/{i}"), b""))
        .collect();
    assert_codes(&problems_of(&archive_of(&entries)), &["too-many-files"]);
}

#[test]
fn paths_that_escape() {
    for path in [
        "../evil",
        "assets/../../evil",
        "/etc/passwd",
        "assets//x",
        "assets/./x",
        "assets\\..\\x",
        "C:/x",
        "assets/a\nb",
    ] {
        let problems = read(&archive_of(&[Entry::file(path, b"x")]), None).unwrap_err();
        assert!(problems.has("path-escapes"), "{path}: {problems}");
    }
}

#[test]
fn entries_that_are_not_plain_files() {
    for kind in [
        EntryType::Symlink,
        EntryType::Link,
        EntryType::Directory,
        EntryType::Char,
        EntryType::Block,
        EntryType::Fifo,
        EntryType::GNULongName,
        EntryType::GNUSparse,
        EntryType::XHeader,
        EntryType::XGlobalHeader,
    ] {
        let entry = Entry {
            kind,
            ..Entry::file("assets/x", b"")
        };
        let problems = read(&archive_of(&[entry]), None).unwrap_err();
        assert!(problems.has("not-a-plain-file"), "{kind:?}: {problems}");
    }
}

#[test]
fn paths_without_a_meaning_duplicates_and_too_long_ones() {
    let mut entries: Vec<_> = files().iter().map(|(p, b)| Entry::file(p, b)).collect();
    entries.push(Entry::file("assets/logo.svg", b"again"));
    entries.push(Entry::file("src/lib.rs", b""));
    let mut long = tar::Header::new_ustar();
    long.set_path(format!("assets/{}/{}", "d".repeat(120), "f".repeat(90)))
        .unwrap();
    long.set_size(0);
    long.set_cksum();
    let mut tar = tar_of(&entries);
    tar.truncate(tar.len() - 1_024);
    tar.extend_from_slice(long.as_bytes());
    tar.extend_from_slice(&[0; 1_024]);
    let problems = problems_of(&zstd::encode_all(tar.as_slice(), 3).unwrap());
    assert_codes(
        &problems,
        &["duplicate-path", "unexpected-file", "path-too-long"],
    );
}

#[test]
fn something_behind_the_end() {
    let mut bytes = archive(&files());
    bytes.extend_from_slice(b"more");
    assert_codes(&problems_of(&bytes), &["trailing-data"]);

    let mut tar = tar_of(&[Entry::file("assets/a", b"a")]);
    tar.extend_from_slice(b"more");
    let problems = problems_of(&zstd::encode_all(tar.as_slice(), 3).unwrap());
    assert!(problems.has("trailing-data"), "{problems}");
}

#[test]
fn a_package_without_its_two_files_says_both() {
    let bytes = archive_of(&[Entry::file("assets/a", b"a")]);
    assert_codes(
        &problems_of(&bytes),
        &["missing-component", "missing-manifest"],
    );
}
