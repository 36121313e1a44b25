//! Places, rates and refusals, by hand.

use super::*;

fn admission(concurrency: u64, rate: u64) -> Arc<Admission> {
    let mut limits = Limits::default();
    limits.set(Dimension::Concurrency, concurrency).unwrap();
    limits.set(Dimension::RequestRate, rate).unwrap();
    Arc::new(Admission::new(&limits))
}

#[test]
fn a_permit_comes_back_when_dropped() {
    let admission = admission(2, 1_000_000);
    let first = admission.admit().unwrap();
    let _second = admission.admit().unwrap();
    assert_eq!(
        admission.admit().unwrap_err().cause,
        StopCause::limit(Dimension::Concurrency, Class::Request, 3, 2)
    );
    drop(first);
    assert!(admission.admit().is_ok());
    assert_eq!(admission.running(), 1);
}

#[test]
fn what_goes_on_behind_answers_has_places_of_its_own() {
    let admission = admission(1, 1_000_000);
    let mut behind: Vec<_> = (0..=BEHIND_MORE)
        .map(|_| {
            let mut permit = admission.admit().unwrap();
            permit.step_behind();
            permit.step_behind();
            permit
        })
        .collect();
    let mut last = admission.admit().unwrap();
    last.step_behind();
    assert!(admission.admit().is_err());
    assert_eq!(admission.running(), 1);
    assert_eq!(admission.running_in_all(), BEHIND_MORE + 2);
    behind.pop();
    last.step_behind();
    assert!(admission.admit().is_ok());
    drop((behind, last));
    assert_eq!(admission.running_in_all(), 0);
}

#[test]
fn an_instance_has_as_many_sandboxes_as_it_leaves() {
    let pool = Arc::new(Semaphore::new(10));
    let [one, other] = [(); 2].map(|()| admission(100, 1_000_000));
    let take = |admission: &Arc<Admission>| -> Vec<_> {
        std::iter::from_fn(|| admission.sandbox_place(&pool)).collect()
    };
    let mut places = take(&one);
    assert_eq!((places.len(), pool.available_permits()), (5, 5));
    assert_eq!(take(&other).len(), 3);
    places.pop();
    assert_eq!(take(&one).len(), 1);
    drop(places);
    assert_eq!(pool.available_permits(), 10);
    assert_eq!(take(&one).len(), 5);
}

/// Admissions of instances whose runs wait for as many milliseconds at most.
fn beside<const N: usize>(lag: &Arc<Lag>, queue_times: [u64; N]) -> [Arc<Admission>; N] {
    queue_times.map(|queue_time| {
        let mut limits = Limits::default();
        limits.set(Dimension::QueueTime, queue_time).unwrap();
        Arc::new(Admission::new(&limits).on(lag, &Arc::default()))
    })
}

#[test]
fn an_overloaded_host_refuses_what_can_wait_and_then_the_least_patient() {
    let lag = Arc::new(Lag::default());
    let [hasty, patient] = beside(&lag, [100, 1_000]);
    let refused = |admission: &Arc<Admission>| {
        let refused = (0..100).filter(|_| admission.admit().is_err()).count();
        (refused > 0, admission.gives_way().is_some())
    };
    for (millis, of_hasty, of_patient) in [
        (50, (false, false), (false, false)),
        (51, (false, true), (false, false)),
        (101, (true, true), (false, false)),
        (501, (true, true), (false, true)),
        (1_001, (true, true), (true, true)),
        (0, (false, false), (false, false)),
    ] {
        lag.set(millis);
        assert_eq!(refused(&hasty), of_hasty, "{millis}");
        assert_eq!(refused(&patient), of_patient, "{millis}");
    }
    let [hastier] = beside(&lag, [10]);
    for (admission, millis, max, resets_in) in [(&hasty, 312, 100, 312), (&hastier, 41, 10, 100)] {
        lag.set(millis);
        let refusal = (0..100).find_map(|_| admission.admit().err()).unwrap();
        let cause = StopCause::limit(Dimension::QueueTime, Class::Request, millis, max);
        assert_eq!(refusal.cause, cause);
        assert_eq!(refusal.resets_in, Some(Duration::from_millis(resets_in)));
        assert!(refusal.is_of_host, "nobody pays for it");
    }
    assert_eq!(hasty.running(), 0);
    assert!(hasty.near().next().is_none(), "it is not the instance's");
}

#[test]
fn an_overloaded_host_spares_who_asks_for_little() {
    let lag = Arc::new(Lag::default());
    let [flooding, modest] = beside(&lag, [10, 10]);
    lag.set(40);
    let admitted = |admission: &Arc<Admission>, requests: usize| {
        let asked = (0..requests).filter(|_| admission.admit().is_ok());
        asked.count()
    };
    // A thread that loses the processor meanwhile may have one more each tenth of a second.
    assert!((10..20).contains(&admitted(&flooding, 1_000)));
    assert_eq!(admitted(&modest, 5), 5);
    assert!(modest.gives_way().is_some());
    // Nobody asks for much, and still it is too much.
    lag.set(41);
    assert_eq!(admitted(&modest, 5), 0);
    lag.set(0);
    assert_eq!(admitted(&flooding, 100), 100);
    assert!(modest.gives_way().is_none());
}

#[test]
fn a_rate_that_is_nearly_used_up_is_near() {
    let admission = admission(100, 5);
    let near = |admission: &Admission| {
        admission
            .near()
            .any(|near| near.limit == Dimension::RequestRate.into())
    };
    assert!(admission.admit().is_ok());
    assert!(!near(&admission));
    assert_eq!((0..9).filter(|_| admission.admit().is_ok()).count(), 4);
    assert!(near(&admission));
}

#[test]
fn what_is_nearly_used_up_of_an_instance_is_near() {
    let mut limits = Limits::default();
    for (dimension, max) in [
        (Dimension::Concurrency, 5),
        (Dimension::FuelPerMinute, 1_000_000),
        (Dimension::FuelPerDay, 10_000_000),
        (Dimension::Storage, 1_000_000),
    ] {
        limits.set(dimension, max).unwrap();
    }
    let admission = Arc::new(Admission::new(&limits));
    let near = || -> Vec<_> {
        admission
            .near()
            .map(|near| near.limit.dimension())
            .collect()
    };
    let mut held: Vec<_> = (0..3).map(|_| admission.admit().unwrap()).collect();
    admission.note_storage(799_999);
    assert!(admission.burn(1_000).is_ok());
    assert_eq!(near(), []);
    held.push(admission.admit().unwrap());
    admission.note_storage(800_000);
    assert!(admission.burn(900_000).is_ok());
    let expected = [
        Dimension::FuelPerMinute,
        Dimension::Concurrency,
        Dimension::Storage,
    ];
    assert_eq!(near(), expected);
    assert!(admission.burn(8_000_000).is_err());
    assert_eq!(near()[1], Dimension::FuelPerDay);
}

#[test]
fn a_refusal_for_the_rate_says_when_to_come_again() {
    let admission = admission(100, 1);
    assert!(admission.admit().is_ok());
    let refusal = admission.admit().unwrap_err();
    assert_eq!(
        refusal.cause,
        StopCause::limit(Dimension::RequestRate, Class::Request, 2, 1)
    );
    assert!(refusal.resets_in.unwrap() <= Duration::from_secs(1));
    assert_eq!(admission.running(), 0);
}
