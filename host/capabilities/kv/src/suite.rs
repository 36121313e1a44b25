//! What every backend must do. A backend's test calls [`run`] with a way to open it, each time anew, over
//! the same data. Panics with what was wrong.

use std::sync::Arc;

use cloudware_types::{InstanceId, RunChain};

use crate::{
    BucketName, CALL_KEYS_MAX, Change, Changed, Entry, Exchange, KEY_BYTES_MAX, Key, KvError,
    KvStore, Listing, Place, Scope, Start, VALUE_BYTES_MAX, Value,
};

/// How many tasks compete for one key.
const RIVALS: usize = 200;

/// Checks a backend. `open` is called again to see what is still there afterwards.
pub async fn run(open: impl Fn() -> Arc<dyn KvStore>) {
    let store = open();
    reads_what_it_wrote(&*store).await;
    versions_grow_across_deletion(&*store).await;
    a_set_on_condition_has_one_winner(&store).await;
    increments_add_up(&store).await;
    only_numbers_are_incremented(&*store).await;
    pages_are_complete_and_in_order(&*store).await;
    batches_are_all_or_nothing(&*store).await;
    buckets_apps_and_instances_are_apart(&*store).await;
    a_full_storage_refuses_and_keeps_what_it_has(&*store).await;
    ever_more_keys_end_with_the_storage(&*store).await;
    bounds_are_reached_and_not_passed(&*store).await;
    acknowledged_is_durable(store, open).await;
}

/// A bucket of a new instance.
fn place(bucket: &str) -> Place {
    place_in(InstanceId::generate(), "stock", bucket, 64 << 20)
}

fn place_in(instance: InstanceId, app: &str, bucket: &str, storage_bytes_max: u64) -> Place {
    Place {
        scope: Arc::new(Scope {
            instance,
            app: app.parse().expect("the suite's app names are slugs"),
            weight: 100,
            storage_bytes_max,
        }),
        bucket: BucketName::parse(bucket).expect("the suite's bucket names are valid"),
        invocation: RunChain::NOBODY,
    }
}

fn key(text: &str) -> Key {
    Key::parse(text.to_owned()).expect("the suite's keys are valid")
}

fn value(bytes: &[u8]) -> Value {
    Value::parse(bytes.to_vec()).expect("the suite's values fit")
}

async fn get(store: &dyn KvStore, place: &Place, name: &str) -> Option<Entry> {
    let found = store.get(place, vec![key(name)]).await;
    found.expect("a get succeeds").pop().flatten()
}

async fn set(store: &dyn KvStore, place: &Place, name: &str, bytes: &[u8]) -> u64 {
    let changes = vec![Change::Set(key(name), value(bytes))];
    match store.change(place, changes).await.expect("a set succeeds")[..] {
        [Changed::Set(version)] => version,
        ref other => panic!("a set answered {other:?}"),
    }
}

async fn delete(store: &dyn KvStore, place: &Place, name: &str) -> bool {
    let changes = vec![Change::Delete(key(name))];
    match store
        .change(place, changes)
        .await
        .expect("a delete succeeds")[..]
    {
        [Changed::Deleted(existed)] => existed,
        ref other => panic!("a delete answered {other:?}"),
    }
}

async fn reads_what_it_wrote(store: &dyn KvStore) {
    let place = place("basics");
    assert_eq!(get(store, &place, "a").await, None);
    let version = set(store, &place, "a", b"\0\xffone").await;
    let entry = get(store, &place, "a").await.expect("it was set");
    assert_eq!(
        (entry.value.as_slice(), entry.version),
        (&b"\0\xffone"[..], version)
    );
    set(store, &place, "empty", b"").await;
    assert_eq!(
        get(store, &place, "empty").await.map(|e| e.value),
        Some(vec![])
    );
    let many = store
        .get(&place, vec![key("empty"), key("none"), key("a")])
        .await;
    let found: Vec<_> = many
        .expect("a get succeeds")
        .iter()
        .map(Option::is_some)
        .collect();
    assert_eq!(found, [true, false, true]);
    assert_eq!(store.exists(&place, key("a")).await, Ok(true));
    assert!(delete(store, &place, "a").await);
    assert!(!delete(store, &place, "a").await);
    assert_eq!(store.exists(&place, key("a")).await, Ok(false));
}

async fn versions_grow_across_deletion(store: &dyn KvStore) {
    let place = place("versions");
    let first = set(store, &place, "a", b"1").await;
    let second = set(store, &place, "a", b"2").await;
    delete(store, &place, "a").await;
    let third = set(store, &place, "a", b"3").await;
    assert!(0 < first && first < second && second < third);
    let stale = Exchange {
        key: key("a"),
        expected: Some(second),
        value: value(b"4"),
    };
    let refused = store.compare_and_set(&place, stale).await;
    assert_eq!(refused, Err(KvError::Conflict(Some(third))));
}

async fn a_set_on_condition_has_one_winner(store: &Arc<dyn KvStore>) {
    let place = place("rivals");
    for expected in [None, Some(set(&**store, &place, "taken", b"0").await)] {
        let name = if expected.is_none() { "free" } else { "taken" };
        let rivals: Vec<_> = (0..RIVALS)
            .map(|number| {
                let (store, place) = (Arc::clone(store), place.clone());
                let exchange = Exchange {
                    key: key(name),
                    expected,
                    value: value(number.to_string().as_bytes()),
                };
                tokio::spawn(async move { store.compare_and_set(&place, exchange).await })
            })
            .collect();
        let mut winners = Vec::new();
        for (number, rival) in rivals.into_iter().enumerate() {
            match rival.await.expect("no task panics") {
                Ok(version) => winners.push((number, version)),
                Err(error) => assert!(matches!(error, KvError::Conflict(Some(_))), "{error:?}"),
            }
        }
        assert_eq!(winners.len(), 1, "{winners:?}");
        let entry = get(&**store, &place, name).await.expect("one has won");
        assert_eq!(entry.value, winners[0].0.to_string().into_bytes());
        assert_eq!(entry.version, winners[0].1);
    }
}

async fn increments_add_up(store: &Arc<dyn KvStore>) {
    let place = place("sums");
    let tasks: Vec<_> = (0..RIVALS)
        .map(|_| {
            let (store, place) = (Arc::clone(store), place.clone());
            tokio::spawn(async move { store.increment(&place, key("n"), 2).await })
        })
        .collect();
    let mut sums = Vec::new();
    for task in tasks {
        sums.push(
            task.await
                .expect("no task panics")
                .expect("an increment succeeds"),
        );
    }
    sums.sort_unstable();
    let expected: Vec<i64> = (1..=RIVALS as i64).map(|n| 2 * n).collect();
    assert_eq!(sums, expected, "every sum is seen once");
    let entry = get(&**store, &place, "n").await.expect("it was counted");
    assert_eq!(entry.value, b"400");
    assert_eq!(store.increment(&place, key("n"), -401).await, Ok(-1));
}

async fn only_numbers_are_incremented(store: &dyn KvStore) {
    let place = place("numbers");
    for text in ["x", "", "1.5", "9223372036854775807", "\u{663}"] {
        let version = set(store, &place, "n", text.as_bytes()).await;
        assert_eq!(
            store.increment(&place, key("n"), 1).await,
            Err(KvError::NotANumber),
            "{text}"
        );
        let entry = get(store, &place, "n").await.expect("it is still there");
        assert_eq!(
            (entry.value.as_slice(), entry.version),
            (text.as_bytes(), version)
        );
    }
}

async fn pages_are_complete_and_in_order(store: &dyn KvStore) {
    let place = place("pages");
    let mut all: Vec<String> = (0..25).map(|n| format!("k/{n}")).collect();
    all.extend(["k", "k0", "l/1", "ä", "K/1"].map(str::to_owned));
    for name in &all {
        set(store, &place, name, b"v").await;
    }
    all.sort_unstable_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
    for prefix in ["", "k/", "k", "none", "ä"] {
        let expected: Vec<_> = all
            .iter()
            .filter(|k| k.starts_with(prefix))
            .cloned()
            .collect();
        for (by_offset, limit) in [(false, 4), (true, 4), (false, 1_000)] {
            let mut listed: Vec<String> = Vec::new();
            loop {
                let start = match listed.last() {
                    None => Start::First,
                    Some(_) if by_offset => Start::Offset(listed.len() as u64),
                    Some(last) => Start::After(last.clone()),
                };
                let listing = Listing {
                    prefix: prefix.to_owned(),
                    start,
                    limit,
                };
                let page = store.list(&place, listing).await.expect("a list succeeds");
                assert!(page.keys.len() <= limit);
                listed.extend(page.keys);
                if !page.more {
                    break;
                }
            }
            assert_eq!(listed, expected, "prefix `{prefix}`, limit {limit}");
        }
    }
}

async fn batches_are_all_or_nothing(store: &dyn KvStore) {
    // The storage is too small for the whole batch, so its beginning must not be there either.
    let place = place_in(InstanceId::generate(), "stock", "batch", 1 << 20);
    set(store, &place, "kept", b"1").await;
    let mut changes = vec![
        Change::Delete(key("kept")),
        Change::Set(key("new"), value(b"2")),
    ];
    let large = vec![7; VALUE_BYTES_MAX];
    changes.extend((0..4).map(|n| Change::Set(key(&format!("large{n}")), value(&large))));
    assert_eq!(store.change(&place, changes).await, Err(KvError::Full));
    assert_eq!(
        get(store, &place, "kept").await.map(|e| e.value),
        Some(b"1".to_vec())
    );
    assert_eq!(get(store, &place, "new").await, None);
    let changes = vec![
        Change::Set(key("a"), value(b"1")),
        Change::Delete(key("kept")),
        Change::Delete(key("none")),
    ];
    let changed = store
        .change(&place, changes)
        .await
        .expect("a batch succeeds");
    assert!(matches!(
        changed[..],
        [
            Changed::Set(_),
            Changed::Deleted(true),
            Changed::Deleted(false)
        ]
    ));
}

async fn buckets_apps_and_instances_are_apart(store: &dyn KvStore) {
    let instance = InstanceId::generate();
    let places = [
        place_in(instance, "stock", "one", 64 << 20),
        place_in(instance, "stock", "two", 64 << 20),
        place_in(instance, "sales", "one", 64 << 20),
        place_in(InstanceId::generate(), "stock", "one", 64 << 20),
    ];
    for (number, place) in places.iter().enumerate() {
        assert_eq!(get(store, place, "a").await, None);
        set(store, place, "a", number.to_string().as_bytes()).await;
    }
    for (number, place) in places.iter().enumerate() {
        let entry = get(store, place, "a").await.expect("it was set");
        assert_eq!(entry.value, number.to_string().into_bytes());
    }
    assert!(delete(store, &places[0], "a").await);
    for place in &places[1..] {
        assert!(get(store, place, "a").await.is_some());
    }
}

async fn a_full_storage_refuses_and_keeps_what_it_has(store: &dyn KvStore) {
    let place = place_in(InstanceId::generate(), "stock", "full", 1 << 20);
    let chunk = vec![1; 100 << 10];
    let mut kept = 0;
    let refusal = loop {
        let changes = vec![Change::Set(key(&format!("k{kept}")), value(&chunk))];
        match store.change(&place, changes).await {
            Ok(_) => kept += 1,
            Err(error) => break error,
        }
        assert!(
            kept < 100,
            "a storage of 1 MiB took {kept} values of 100 KiB"
        );
    };
    assert_eq!(refusal, KvError::Full);
    assert!(kept > 0);
    for number in 0..kept {
        assert!(get(store, &place, &format!("k{number}")).await.is_some());
    }
    assert!(delete(store, &place, "k0").await, "room can be made");
    set(store, &place, "again", b"1").await;
}

async fn ever_more_keys_end_with_the_storage(store: &dyn KvStore) {
    let place = place_in(InstanceId::generate(), "stock", "many", 2 << 20);
    let mut kept = 0;
    let refusal = loop {
        let changes = (kept..kept + CALL_KEYS_MAX)
            .map(|number| Change::Set(key(&format!("k{number:07}")), value(b"")))
            .collect();
        match store.change(&place, changes).await {
            Ok(_) => kept += CALL_KEYS_MAX,
            Err(error) => break error,
        }
        assert!(kept < 1_000_000, "a storage of 2 MiB took a million keys");
    };
    assert_eq!(refusal, KvError::Full);
    assert!(kept > 0, "at least one batch fits");
    // All that was acknowledged is there, also by a far offset, and no page has more than it should.
    let mut listing = Listing {
        prefix: "k".to_owned(),
        start: Start::Offset(kept as u64 - 10),
        limit: CALL_KEYS_MAX,
    };
    let last = store.list(&place, listing.clone()).await;
    assert_eq!(last.expect("a list succeeds").keys.len(), 10);
    listing.start = Start::First;
    let first = store.list(&place, listing).await.expect("a list succeeds");
    assert_eq!(
        (first.keys.len(), first.more),
        (CALL_KEYS_MAX, kept > CALL_KEYS_MAX)
    );
    let deletions = first.keys.iter().map(|name| Change::Delete(key(name)));
    let deleted = store.change(&place, deletions.collect()).await;
    assert!(deleted.is_ok(), "room can be made: {deleted:?}");
    set(store, &place, "again", b"1").await;
}

async fn bounds_are_reached_and_not_passed(store: &dyn KvStore) {
    let place = place("bounds");
    let longest = "k".repeat(KEY_BYTES_MAX);
    let largest = vec![0; VALUE_BYTES_MAX];
    set(store, &place, &longest, &largest).await;
    let entry = get(store, &place, &longest).await.expect("it was set");
    assert_eq!(entry.value.len(), VALUE_BYTES_MAX);
    assert!(matches!(
        Key::parse(longest + "k"),
        Err(KvError::InvalidName(_))
    ));
    assert!(matches!(
        Key::parse(String::new()),
        Err(KvError::InvalidName(_))
    ));
    assert!(matches!(
        Value::parse(vec![0; VALUE_BYTES_MAX + 1]),
        Err(KvError::ValueTooLarge(_))
    ));
    for name in ["", "A", "a b", "ä", &"a".repeat(65)] {
        assert!(matches!(
            BucketName::parse(name),
            Err(KvError::InvalidName(_))
        ));
    }
    for number in 0..20 {
        set(store, &place, &format!("large{number}"), &largest).await;
    }
    let keys = (0..20)
        .map(|number| key(&format!("large{number}")))
        .collect();
    let refused = store.get(&place, keys).await;
    assert!(matches!(refused, Err(KvError::ValueTooLarge(_))));
}

async fn acknowledged_is_durable(store: Arc<dyn KvStore>, open: impl Fn() -> Arc<dyn KvStore>) {
    let place = place("durable");
    let version = set(&*store, &place, "a", b"1").await;
    drop(store);
    let store = open();
    let entry = get(&*store, &place, "a")
        .await
        .expect("it was acknowledged");
    assert_eq!(
        (entry.value.as_slice(), entry.version),
        (&b"1"[..], version)
    );
    assert!(set(&*store, &place, "a", b"2").await > version);
}
