//! Works on the deliveries of one instance for as long as some are under way or due at a known time: rounds with
//! its database, and attempts in between.

use std::{collections::HashMap, future::pending, sync::Arc};

use cloudware_instance_db::Error;
use cloudware_types::{DeliveryId, DesiredHook, HookId, InstanceId};
use tokio::{
    sync::{OwnedSemaphorePermit, watch},
    task::JoinSet,
    time::{Instant, timeout_at},
};

use crate::{
    Call, Deliver, Delivery, DeliveryEvent, DeliveryFailure, Happened, HookPlace,
    attempt::{Attempted, attempt},
    clock::millis,
    deliveries::{Inner, scope},
    limits::{FAILURE_PAUSES, TRIM_EVERY},
    queue::{Served, Turn},
    round::{Asked, Round},
    rows::{Claimed, GivenUp, Settled},
};

/// What is being attempted, and for which hook.
pub(crate) type InFlight = HashMap<DeliveryId, HookId>;

/// See the module.
pub(crate) struct Worker {
    inner: Arc<Inner>,
    turn: Turn,
    target: Arc<dyn Deliver>,
    stop: watch::Receiver<Option<Instant>>,
    attempts: JoinSet<Attempted>,
    in_flight: InFlight,
    /// What has ended and is not noted in the database yet.
    ended: Vec<Attempted>,
    /// Rounds that failed one after the other.
    failures: u32,
    trimmed_ms: u64,
}

/// What comes after a round.
enum Next {
    /// Nothing: there is no work left.
    End,
    /// Another round.
    Round,
    /// A round when there are news, when an attempt has ended, or at this time.
    Wait(Option<u64>),
    /// A round at this time and not before: the database failed.
    Pause(u64),
}

impl Worker {
    pub(crate) fn new(inner: Arc<Inner>, turn: Turn, target: Arc<dyn Deliver>) -> Self {
        Self {
            stop: inner.stop.subscribe(),
            inner,
            turn,
            target,
            attempts: JoinSet::new(),
            in_flight: InFlight::new(),
            ended: Vec::new(),
            failures: 0,
            trimmed_ms: 0,
        }
    }

    /// Works until there is nothing left to do or the host stops.
    pub(crate) async fn run(mut self) {
        loop {
            let stopping = *self.stop.borrow();
            if let Some(until) = stopping {
                return self.finish(until).await;
            }
            match self.round().await {
                Next::End => return,
                Next::Round => {}
                Next::Wait(due_ms) => self.wait(due_ms).await,
                Next::Pause(until_ms) => self.pause(until_ms).await,
            }
        }
    }

    async fn round(&mut self) -> Next {
        // Before the round begins: while it waits for a place, what is served may change.
        let places = self.places().await;
        let served = self.turn.begin_round();
        let round = match self.exchange(&served, places.len()).await {
            Ok(round) => round,
            Err(_) => return Next::Pause(self.failed()),
        };
        self.failures = 0;
        let (has_more, next_due_ms) = (round.has_more, round.next_due_ms);
        for (claimed, place) in round.claimed.into_iter().zip(places) {
            if let Some(hook) = served.hooks.get(&claimed.hook) {
                self.attempt(claimed, Arc::clone(hook), place);
            }
        }
        if !self.in_flight.is_empty() {
            return Next::Wait(next_due_ms);
        }
        if has_more || !self.ended.is_empty() {
            return Next::Round;
        }
        match next_due_ms {
            Some(due_ms) => Next::Wait(Some(due_ms)),
            None if self.turn.try_end() => Next::End,
            None => Next::Round,
        }
    }

    /// Places for attempts: at least one, waited for, where nothing else is to be done.
    async fn places(&mut self) -> Vec<OwnedSemaphorePermit> {
        let room = self.inner.config.attempts_per_instance_max - self.in_flight.len();
        let mut places = Vec::with_capacity(room);
        let all = &self.inner.places;
        if self.in_flight.is_empty() && self.ended.is_empty() {
            tokio::select! {
                place = Arc::clone(all).acquire_owned() => places.extend(place),
                () = stopping(&mut self.stop) => return places,
            }
        }
        while places.len() < room {
            match Arc::clone(all).try_acquire_owned() {
                Ok(place) => places.push(place),
                Err(_) => break,
            }
        }
        places
    }

    /// One round with the database. What has ended is kept until it is noted.
    async fn exchange(&mut self, served: &Served, count_max: usize) -> Result<Round, Error> {
        let instance = self.instance();
        let now_ms = self.inner.clock.now_ms();
        let settled: Vec<_> = self
            .ended
            .iter()
            .map(|ended| ended.settle(now_ms))
            .collect();
        let is_time = now_ms.saturating_sub(self.trimmed_ms) >= millis(TRIM_EVERY);
        let asked = Asked {
            trims: is_time && !settled.is_empty(),
            settled: settled.clone(),
            hooks: Arc::clone(&served.hooks),
            in_flight: self.in_flight.clone(),
            count_max,
            per_hook_max: self.inner.config.attempts_per_hook_max(),
            now_ms,
        };
        if !asked.writes() && !self.inner.databases.exists(instance) {
            return Ok(Round::default());
        }
        if asked.trims {
            self.trimmed_ms = now_ms;
        }
        let round = {
            let _place = self.inner.rounds.acquire().await;
            let database = self.inner.databases.get(instance)?;
            let (scope, writes) = (scope(served), asked.writes());
            let worked = if writes {
                database.write(scope, move |sqlite| asked.run(sqlite)).await
            } else {
                database.read(scope, move |sqlite| asked.run(sqlite)).await
            };
            worked.result?
        };
        let ended = std::mem::take(&mut self.ended);
        self.tell(&ended, &settled, &round);
        Ok(round)
    }

    fn attempt(&mut self, claimed: Claimed, hook: Arc<DesiredHook>, place: OwnedSemaphorePermit) {
        let (id, number) = (claimed.id, claimed.attempts + 1);
        let arguments = match serde_json::from_str(&claimed.payload) {
            Ok(arguments) => arguments,
            Err(error) => {
                let reason = format!("the arguments that were kept can't be read: {error}");
                self.ended.push(Attempted {
                    id,
                    hook,
                    point: (claimed.app, claimed.point),
                    attempt: number,
                    result: Err(DeliveryFailure::never(reason)),
                });
                return;
            }
        };
        self.in_flight.insert(id, hook.id);
        let delivery = Delivery {
            id,
            instance: self.instance(),
            hook,
            call: Call {
                app: claimed.app,
                point: claimed.point,
                interface: claimed.interface,
                function: claimed.function,
                arguments,
                items: claimed.items,
                request_id: claimed.request_id,
            },
            called_ms: claimed.called_ms,
            attempt: number,
        };
        self.attempts
            .spawn(attempt(Arc::clone(&self.target), delivery, place));
    }

    /// Waits for the next reason to do a round.
    async fn wait(&mut self, due_ms: Option<u64>) {
        tokio::select! {
            Some(ended) = self.attempts.join_next(), if !self.attempts.is_empty() => self.note(ended),
            () = self.turn.queue().news() => {}
            () = at(&self.inner, due_ms) => {}
            () = stopping(&mut self.stop) => {}
        }
        while let Some(ended) = self.attempts.try_join_next() {
            self.note(ended);
        }
    }

    /// Waits, while attempts may end.
    async fn pause(&mut self, until_ms: u64) {
        loop {
            tokio::select! {
                Some(ended) = self.attempts.join_next(), if !self.attempts.is_empty() => self.note(ended),
                () = at(&self.inner, Some(until_ms)) => return,
                () = stopping(&mut self.stop) => return,
            }
        }
    }

    /// Lets attempts end until the host stops, and notes what came of them.
    async fn finish(mut self, until: Instant) {
        while let Ok(Some(ended)) = timeout_at(until, self.attempts.join_next()).await {
            self.note(ended);
        }
        self.attempts.shutdown().await;
        if self.ended.is_empty() {
            return;
        }
        let served = self.turn.begin_round();
        if let Err(error) = self.exchange(&served, 0).await {
            tracing::warn!(instance = %self.instance(), %error, deliveries = self.ended.len(),
                "what hooks have taken can't be noted; they are told again after the next start");
        }
    }

    /// Takes in what an attempt gave. One that was cut off gives nothing, and is repeated.
    fn note(&mut self, ended: Result<Attempted, tokio::task::JoinError>) {
        if let Ok(ended) = ended {
            self.in_flight.remove(&ended.id);
            self.ended.push(ended);
        }
    }

    /// When to try again after the database failed once more.
    fn failed(&mut self) -> u64 {
        let (first, longest) = FAILURE_PAUSES;
        let pause = first.saturating_mul(2_u32.saturating_pow(self.failures));
        self.failures += 1;
        self.inner.clock.now_ms() + millis(pause.min(longest))
    }

    /// Tells others what is on disk now.
    fn tell(&self, ended: &[Attempted], settled: &[Settled], round: &Round) {
        let instance = self.instance();
        for (ended, settled) in ended.iter().zip(settled) {
            if !round.noted.contains(&ended.id) {
                continue;
            }
            for happened in ended.happened(settled) {
                self.inner
                    .observer
                    .happened(ended.event(instance, happened));
            }
        }
        for event in dropped(instance, &round.given_up) {
            self.inner.observer.happened(event);
        }
    }

    fn instance(&self) -> InstanceId {
        self.turn.queue().instance
    }
}

/// Waits until the host is told to stop.
async fn stopping(stop: &mut watch::Receiver<Option<Instant>>) {
    // Fails where the host is gone already.
    drop(stop.wait_for(Option::is_some).await);
}

/// Waits for a time, or for ever.
async fn at(inner: &Inner, moment_ms: Option<u64>) {
    match moment_ms {
        Some(moment_ms) => inner.clock.sleep_until(moment_ms).await,
        None => pending().await,
    }
}

/// One event for each hook and reason.
fn dropped(instance: InstanceId, given_up: &[GivenUp]) -> Vec<DeliveryEvent> {
    let mut counts: HashMap<(&HookPlace, &str), (u64, DeliveryId)> = HashMap::new();
    for one in given_up {
        let count = counts.entry((&one.hook, one.reason.as_str()));
        count.or_insert((0, one.delivery)).0 += 1;
    }
    let event = |((hook, reason), (count, delivery)): ((&HookPlace, &str), (u64, DeliveryId))| {
        DeliveryEvent {
            instance,
            hook: hook.clone(),
            happened: Happened::Dropped {
                count,
                delivery: Some(delivery),
                reason: reason.to_owned(),
            },
        }
    };
    counts.into_iter().map(event).collect()
}
