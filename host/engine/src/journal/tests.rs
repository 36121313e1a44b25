//! Usage outlives a process that is killed at any instant, and is never counted twice.

#![allow(clippy::unwrap_used, reason = "a test that fails says so")]

use std::{collections::BTreeMap, path::PathBuf};

use cloudware_types::{HookId, InstallId, InstanceId, Meter, UsageRecord};
use tempfile::TempDir;

use super::*;
use crate::usage::UsageMeters;

/// What a killed process leaves: the file as it is at this instant.
fn killed(folder: &TempDir) -> TempDir {
    let copy = tempfile::tempdir().unwrap();
    for entry in fs::read_dir(folder.path()).unwrap() {
        let entry = entry.unwrap();
        fs::copy(entry.path(), copy.path().join(entry.file_name())).unwrap();
    }
    copy
}

fn file_of(folder: &TempDir) -> PathBuf {
    let mut entries = fs::read_dir(folder.path()).unwrap();
    entries.next().unwrap().unwrap().path()
}

fn consumer() -> Consumer {
    Consumer {
        instance: InstanceId::generate(),
        install: InstallId::generate(),
        app: "inventory-stock".parse().unwrap(),
        hook: None,
    }
}

fn of(record: &UsageRecord) -> Consumer {
    Consumer {
        instance: record.instance,
        install: record.install,
        app: record.app.clone(),
        hook: record.hook,
    }
}

/// A reading with this number in every meter.
fn reading(number: u64) -> Meters {
    let mut meters = Meters::default();
    for &meter in Meter::ALL {
        meters[meter] = number;
    }
    meters
}

fn open(folder: &TempDir) -> (Arc<Journal>, Leftover) {
    Journal::open(folder.path()).unwrap()
}

fn sources(records: &[UsageRecord]) -> BTreeMap<String, u64> {
    let fuel = |record: &UsageRecord| (record.source.clone(), record.meters[Meter::Fuel]);
    records.iter().map(fuel).collect()
}

#[test]
fn what_a_killed_process_metered_is_found_under_its_own_names() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, leftover) = open(&folder);
    assert!(leftover.records().is_empty());
    let meters = UsageMeters::new(journal);
    let consumer = consumer();
    let meter = meters.of(consumer.clone());
    for number in 1..=9 {
        meter.add(&reading(number));
    }
    let killed_before = killed(&folder);
    let batch = meters.drain();
    let killed_while_recording = killed(&folder);
    let wanted = sources(&batch.records);
    assert_eq!(wanted.values().sum::<u64>(), 45);

    for left in [&killed_before, &killed_while_recording] {
        let (_, leftover) = open(left);
        assert_eq!(sources(leftover.records()), wanted);
        let record = &leftover.records()[0];
        assert_eq!(of(record), consumer);
        assert_eq!(record.minute, batch.records[0].minute);
        assert_eq!(record.meters, batch.records[0].meters);
    }
    // Recorded by a process that was killed before it could say so: the same again.
    let (_, leftover) = open(&killed_before);
    assert_eq!(sources(leftover.records()), wanted);
    leftover.discard().unwrap();
    let (_, leftover) = open(&killed_before);
    assert!(leftover.records().is_empty());

    batch.recorded();
    let (_, leftover) = open(&killed(&folder));
    assert!(leftover.records().is_empty());
}

#[test]
fn what_an_install_used_as_a_hook_is_kept_apart() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let meters = UsageMeters::new(journal);
    let own = consumer();
    let hooks = [1, 2].map(|_| Consumer {
        hook: Some(HookId::generate()),
        ..own.clone()
    });
    meters.of(own.clone()).add(&reading(100));
    for (number, hook) in (1..).zip(&hooks) {
        meters.of(hook.clone()).add(&reading(number));
    }
    let (_, leftover) = open(&killed(&folder));
    let batch = meters.drain();
    for records in [leftover.records(), &batch.records] {
        let fuel = |consumer: &Consumer| {
            let of_consumer = records.iter().filter(|record| of(record) == *consumer);
            of_consumer
                .map(|record| record.meters[Meter::Fuel])
                .sum::<u64>()
        };
        assert_eq!([&own, &hooks[0], &hooks[1]].map(fuel), [100, 1, 2]);
        assert_eq!(records.len(), 3);
    }
    batch.recorded();
}

/// A journal as the host wrote it before it knew of hooks.
#[test]
fn a_journal_without_hooks_is_read() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let consumer = consumer();
    let mut lease = journal.take(&consumer, 7);
    lease.write(&reading(5));
    let words: Vec<u64> = layout::words_of(&fs::read(file_of(&folder)).unwrap()).collect();
    let (header, slots) = words.split_at(HEADER_BYTES / 8);
    let names = header[4] as usize;
    let names: Vec<u64> = layout::words_of(&bytes(&header[6..])[..names]).collect();
    let mut old = header.to_vec();
    old[1] = 1;
    old[5] = check(0, names.into_iter().chain(old[..5].iter().copied()));
    // The lease, and the place without its hook; the check; both copies.
    let head = &slots[..Layout::OWN.head - 3];
    old.extend(head);
    old.push(check(head[LEASE], head[1..].iter().copied()));
    old.extend(&slots[Layout::OWN.head..][..2 * Layout::OWN.copy_words()]);
    old.resize(HEADER_BYTES / 8 + 2 * SLOT_WORDS, 0);
    let copy = tempfile::tempdir().unwrap();
    fs::write(copy.path().join("old.journal"), bytes(&old)).unwrap();
    let (_, leftover) = open(&copy);
    let [record] = leftover.records() else {
        panic!("{:?}", leftover.records());
    };
    assert_eq!((of(record), record.minute), (consumer, 7));
    assert_eq!(record.meters, reading(5));
    leftover.discard().unwrap();
    assert!(!copy.path().join("old.damaged").exists());
}

fn bytes(words: &[u64]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_ne_bytes()).collect()
}

#[test]
fn a_meter_that_nobody_holds_goes_when_its_readings_have() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let meters = UsageMeters::new(journal);
    let consumer = consumer();
    let held = meters.of(consumer.clone());
    let first = Arc::downgrade(&held);
    held.add(&reading(1));
    meters.drain().recorded();
    assert!(first.upgrade().is_some(), "it is held");
    held.add(&reading(2));
    drop(held);
    let batch = meters.drain();
    assert_eq!(batch.records[0].meters, reading(2));
    assert!(first.upgrade().is_none());
    batch.recorded();
}

#[test]
fn a_slot_that_is_used_again_has_a_new_name() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let meters = UsageMeters::new(journal);
    let consumer = consumer();
    let meter = meters.of(consumer.clone());
    let mut names = BTreeMap::new();
    for round in 1..=3 {
        meter.add(&reading(round));
        let batch = meters.drain();
        // What comes while a batch is on its way belongs to the next one.
        meter.add(&reading(100));
        let (_, leftover) = open(&killed(&folder));
        let mut both = sources(&batch.records);
        assert_eq!(leftover.records().len(), both.len() + 1);
        names.append(&mut both);
        batch.recorded();
        let rest = meters.drain();
        names.append(&mut sources(&rest.records));
        rest.recorded();
    }
    assert_eq!(names.len(), 6);
    assert_eq!(names.values().sum::<u64>(), 306);
    assert!(meters.drain().records.is_empty());
}

/// The memory of a slot is copied after every single store, as a kill would leave it.
#[test]
fn at_every_store_one_copy_is_whole() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let mut lease = journal.take(&consumer(), 7);
    lease.write(&reading(1));
    let before = fs::read(file_of(&folder)).unwrap();
    lease.write(&reading(2));
    let after = fs::read(file_of(&folder)).unwrap();
    let changed: Vec<usize> = (0..before.len())
        .filter(|&at| before[at] != after[at])
        .collect();
    assert!(changed.len() >= Meter::ALL.len());
    for cut in 0..=changed.len() {
        let mut torn = before.clone();
        for &at in &changed[..cut] {
            torn[at] = after[at];
        }
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("a.journal"), torn).unwrap();
        let (_, leftover) = open(&copy);
        let [record] = leftover.records() else {
            panic!("{:?}", leftover.records());
        };
        let expected = if cut == changed.len() { 2 } else { 1 };
        assert_eq!(record.meters, reading(expected), "after {cut} bytes");
    }
}

#[test]
fn the_file_grows_when_its_slots_are_taken() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let count = JOURNAL_SLOTS_PER_CHUNK as u64 + 10;
    let leases: Vec<_> = (0..count)
        .map(|number| {
            let mut lease = journal.take(&consumer(), number);
            lease.write(&reading(number));
            lease
        })
        .collect();
    let (_, leftover) = open(&killed(&folder));
    let minutes: Vec<_> = leftover
        .records()
        .iter()
        .map(|record| record.minute)
        .collect();
    assert_eq!(minutes, (0..count).collect::<Vec<_>>());
    journal.free_all(leases);
    assert_eq!(journal.space.lock().free.len(), 2 * JOURNAL_SLOTS_PER_CHUNK);
}

#[test]
fn without_room_usage_is_metered_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    {
        let mut space = journal.space.lock();
        space.free.clear();
        space.chunks = JOURNAL_SLOTS_MAX / JOURNAL_SLOTS_PER_CHUNK;
    }
    let meters = UsageMeters::new(Arc::clone(&journal));
    let consumer = consumer();
    meters.of(consumer.clone()).add(&reading(3));
    let first = meters.drain();
    meters.of(consumer).add(&reading(4));
    let second = meters.drain();
    assert_eq!(first.records[0].meters, reading(3));
    assert_ne!(first.records[0].source, second.records[0].source);
    first.recorded();
    second.recorded();
}

#[test]
fn files_that_are_none_of_ours_are_moved_aside() {
    let folder = tempfile::tempdir().unwrap();
    let (journal, _) = open(&folder);
    let mut lease = journal.take(&consumer(), 7);
    lease.write(&reading(1));
    let good = fs::read(file_of(&folder)).unwrap();
    let damage = |at: usize| {
        let mut bytes = good.clone();
        bytes[at] ^= 1;
        bytes
    };
    let slot = HEADER_BYTES;
    let cases: [(&str, Vec<u8>, usize); 8] = [
        ("empty", Vec::new(), 0),
        ("short", good[..100].to_vec(), 0),
        ("foreign", vec![b'x'; 100_000], 0),
        ("another version", damage(8), 0),
        ("a damaged name of a meter", damage(60), 0),
        ("a damaged place", damage(slot + 9), 0),
        (
            "a damaged reading",
            damage(slot + 8 * (Layout::OWN.copy(1) + 3)),
            0,
        ),
        // Slots that are cut off are missing, the others are there.
        ("cut short", good[..slot + SLOT_WORDS * 8 + 100].to_vec(), 1),
    ];
    for (name, bytes, found) in cases {
        let copy = tempfile::tempdir().unwrap();
        fs::write(copy.path().join("old.journal"), &bytes).unwrap();
        fs::write(copy.path().join("half.new"), b"x").unwrap();
        fs::write(copy.path().join("notes.txt"), b"x").unwrap();
        let (_, leftover) = open(&copy);
        assert_eq!(leftover.records().len(), found, "{name}");
        leftover.discard().unwrap();
        let aside = copy.path().join("old.damaged").exists();
        assert_eq!(aside, found == 0, "{name}");
        assert!(!copy.path().join("old.journal").exists(), "{name}");
        assert!(!copy.path().join("half.new").exists());
        assert!(copy.path().join("notes.txt").exists());
    }
}

/// A journal of a host that knew other meters is read by their names.
#[test]
fn meters_are_found_by_name() {
    let header = Header::encode(Uuid::now_v7());
    assert_eq!(header.len(), HEADER_BYTES);
    let decoded = Header::decode(&header).unwrap();
    let own: Vec<_> = Meter::ALL.iter().copied().map(Some).collect();
    assert_eq!(decoded.meters, own);
    let renamed = String::from_utf8_lossy(&header).contains("memory-byte-ms");
    assert!(renamed, "the names are in the header");
}
