//! The deliveries of a host: what is served, what people see of it and do with it.

use std::{
    collections::HashMap,
    sync::{Arc, OnceLock, Weak},
    time::Duration,
};

use cloudware_instance_db::{Error, Holder, InstanceDbs, OnCommit, PlatformScope};
use cloudware_types::{
    DeliveryId, DeliveryRecord, DeliveryState, DesiredHook, DesiredInstance, Dimension, InstanceId,
    Limit, PointKind,
};
use parking_lot::Mutex;
use rusqlite::Connection;
use tokio::{
    runtime::Handle,
    sync::{Semaphore, watch},
    time::Instant,
};
use tokio_util::task::TaskTracker;

use crate::{
    Clock, Config, Deliver, DeliveryEvent, Happened, HookPlace, Observer,
    limits::{BOOKKEEPING_BYTES, ROUND_TIME_MAX, ROUNDS_AT_ONCE_MAX},
    queue::{Queue, Served},
    rows,
    worker::Worker,
};

/// The deliveries of a host. Cheap to share behind an [`Arc`].
pub struct Deliveries {
    pub(crate) inner: Arc<Inner>,
}

/// What [`Deliveries`] are composed of.
pub struct Parts {
    /// Where calls are written down.
    pub databases: Arc<InstanceDbs>,
    /// Who hears what happens.
    pub observer: Arc<dyn Observer>,
    /// What time it is.
    pub clock: Arc<dyn Clock>,
    /// What the operator has set.
    pub config: Config,
}

/// Which deliveries of an instance are wanted.
#[derive(Clone, Debug, Default)]
pub struct DeliveryFilter {
    /// Only those in this state.
    pub state: Option<DeliveryState>,
    /// Only those of this hook, by id or name.
    pub hook: Option<String>,
    /// Only those before this one.
    pub before: Option<DeliveryId>,
    /// At most this many.
    pub count_max: u32,
}

/// Which dead deliveries are to be tried again.
#[derive(Clone, Debug)]
pub enum Replay {
    /// This one.
    One(DeliveryId),
    /// All, or those of one hook by id or name.
    All {
        /// The hook.
        hook: Option<String>,
    },
}

pub(crate) struct Inner {
    pub(crate) databases: Arc<InstanceDbs>,
    pub(crate) observer: Arc<dyn Observer>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: Config,
    pub(crate) target: OnceLock<Arc<dyn Deliver>>,
    /// Places for attempts of all instances.
    pub(crate) places: Arc<Semaphore>,
    /// Places for rounds that use databases.
    pub(crate) rounds: Semaphore,
    /// Until when attempts may go on; nothing while the host runs.
    pub(crate) stop: watch::Sender<Option<Instant>>,
    queues: Mutex<HashMap<InstanceId, Arc<Queue>>>,
    tasks: TaskTracker,
    /// Commits are told on threads that know no runtime.
    runtime: Handle,
    on_commit: OnCommit,
}

impl Deliveries {
    /// Deliveries that can be recorded and looked at. Nothing is attempted before [`Self::start`]. Must be called
    /// within the runtime on which attempts are to run.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let inner = Arc::new_cyclic(|inner: &Weak<Inner>| {
            let told = Weak::clone(inner);
            Inner {
                databases: parts.databases,
                observer: parts.observer,
                clock: parts.clock,
                places: Arc::new(Semaphore::new(parts.config.attempts_max)),
                config: parts.config,
                target: OnceLock::new(),
                rounds: Semaphore::new(ROUNDS_AT_ONCE_MAX),
                stop: watch::channel(None).0,
                queues: Mutex::default(),
                tasks: TaskTracker::new(),
                runtime: Handle::current(),
                on_commit: Arc::new(move |instance| {
                    if let Some(inner) = told.upgrade() {
                        inner.rouse(instance);
                    }
                }),
            }
        });
        Self { inner }
    }

    /// Begins to hand on what is due, through `target`. Called once, when what is to be served has been applied.
    pub fn start(&self, target: Arc<dyn Deliver>) {
        if self.inner.target.set(target).is_err() {
            return;
        }
        let queues: Vec<_> = self.inner.queues.lock().values().cloned().collect();
        for queue in queues.iter().filter(|queue| queue.has_news()) {
            self.inner.run(queue);
        }
    }

    /// Tells the hooks of this instance from now on, and no others: what those are owed waits for them. Called
    /// after each change and for every instance at the start. Opens no database unless a hook is new here.
    pub fn apply(&self, desired: &DesiredInstance) {
        let served = served(desired);
        let mut queues = self.inner.queues.lock();
        if served.hooks.is_empty() {
            let ended = queues
                .get(&desired.id)
                .is_some_and(|queue| queue.serve(served).is_at_rest());
            if ended {
                queues.remove(&desired.id);
            }
            return;
        }
        let queue = queues
            .entry(desired.id)
            .or_insert_with(|| Arc::new(Queue::new(desired.id)));
        let queue = Arc::clone(queue);
        let change = queue.serve(served);
        drop(queues);
        if change.has_new_hooks() || !change.is_at_rest() {
            self.inner.run(&queue);
        }
    }

    /// Deliveries of an instance that fit, the newest first.
    ///
    /// # Errors
    /// [`Error`] where the database can't be read.
    pub async fn list(
        &self,
        instance: InstanceId,
        filter: DeliveryFilter,
    ) -> Result<Vec<DeliveryRecord>, Error> {
        let listed = self.read(instance, move |sqlite| rows::list(sqlite, &filter));
        Ok(listed.await?.unwrap_or_default())
    }

    /// One delivery of an instance, with the arguments of its call as JSON text as long as they are kept.
    ///
    /// # Errors
    /// [`Error`] where the database can't be read.
    pub async fn get(
        &self,
        instance: InstanceId,
        id: DeliveryId,
    ) -> Result<Option<(DeliveryRecord, Option<String>)>, Error> {
        let found = self.read(instance, move |sqlite| rows::find(sqlite, id));
        Ok(found.await?.flatten())
    }

    /// Has dead deliveries tried again, as if they had never been tried. Gives how many; those of a hook that is
    /// not served wait for it.
    ///
    /// # Errors
    /// [`Error`] where the database can't be written; nothing was changed.
    pub async fn replay(&self, instance: InstanceId, which: Replay) -> Result<u64, Error> {
        let now_ms = self.inner.clock.now_ms();
        let replayed = self.write(instance, move |sqlite| match &which {
            Replay::One(id) => rows::replay_one(sqlite, *id, now_ms).map(u64::from),
            Replay::All { hook } => rows::replay_all(sqlite, hook.as_deref(), now_ms),
        });
        let replayed = replayed.await?.unwrap_or(0);
        if replayed > 0 {
            self.inner.rouse(instance);
        }
        Ok(replayed)
    }

    /// Gives up what a hook is owed that was removed. Gives how many deliveries that were; its dead letters stay.
    ///
    /// # Errors
    /// [`Error`] where the database can't be written; nothing was changed.
    pub async fn forget_hook(
        &self,
        instance: InstanceId,
        removed: HookPlace,
    ) -> Result<u64, Error> {
        const REASON: &str = "the hook was removed";
        let hook = removed.id;
        let now_ms = self.inner.clock.now_ms();
        let dropped = self
            .write(instance, move |sqlite| {
                rows::drop_hook(sqlite, hook, REASON, now_ms)
            })
            .await?
            .unwrap_or(0);
        if dropped > 0 {
            self.inner.observer.happened(DeliveryEvent {
                instance,
                hook: removed,
                happened: Happened::Dropped {
                    count: dropped,
                    delivery: None,
                    reason: REASON.to_owned(),
                },
            });
        }
        Ok(dropped)
    }

    /// Begins no more attempts, and waits for those in flight for as long as `grace`. What they have not taken then
    /// is repeated after the next start.
    pub async fn stop(&self, grace: Duration) {
        self.inner.stop.send_replace(Some(Instant::now() + grace));
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    /// `None` where the instance has no database yet, which is then not made either.
    async fn read<R: Send + 'static>(
        &self,
        instance: InstanceId,
        work: impl FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
    ) -> Result<Option<R>, Error> {
        if !self.inner.databases.exists(instance) {
            return Ok(None);
        }
        let database = self.inner.databases.get(instance)?;
        let worked = database.read(self.inner.scope(instance), work).await;
        worked.result.map(Some)
    }

    /// As [`Self::read`].
    async fn write<R: Send + 'static>(
        &self,
        instance: InstanceId,
        work: impl FnOnce(&Connection) -> Result<R, Error> + Send + 'static,
    ) -> Result<Option<R>, Error> {
        if !self.inner.databases.exists(instance) {
            return Ok(None);
        }
        let database = self.inner.databases.get(instance)?;
        let worked = database.write(self.inner.scope(instance), work).await;
        worked.result.map(Some)
    }
}

impl Inner {
    /// What is told when a call is committed.
    pub(crate) fn on_commit(&self) -> OnCommit {
        Arc::clone(&self.on_commit)
    }

    /// The bounds of the platform's own work in an instance's database.
    pub(crate) fn scope(&self, instance: InstanceId) -> PlatformScope {
        let queue = self.queues.lock().get(&instance).cloned();
        match queue {
            Some(queue) => scope(&queue.served()),
            None => scope(&Served::default()),
        }
    }

    /// Looks what an instance's hooks are due, where it has hooks.
    pub(crate) fn rouse(self: &Arc<Self>, instance: InstanceId) {
        let queue = self.queues.lock().get(&instance).cloned();
        if let Some(queue) = queue {
            queue.tell();
            self.run(&queue);
        }
    }

    /// Sees that somebody works on a queue.
    fn run(self: &Arc<Self>, queue: &Arc<Queue>) {
        let Some(target) = self.target.get() else {
            return;
        };
        if let Some(turn) = queue.begin() {
            let work = Worker::new(Arc::clone(self), turn, Arc::clone(target)).run();
            self.tasks.spawn_on(work, &self.runtime);
        }
    }
}

/// Bounds that go with what is served.
pub(crate) fn scope(served: &Served) -> PlatformScope {
    PlatformScope {
        storage_bytes_max: served.storage_bytes_max.saturating_add(BOOKKEEPING_BYTES),
        time_max: ROUND_TIME_MAX,
        holder: Holder::PLATFORM.with_weight(served.weight),
    }
}

fn served(desired: &DesiredInstance) -> Served {
    let points = desired.installs.iter().flat_map(|install| &install.points);
    let hooks = points
        .filter(|point| point.kind == PointKind::Observe)
        .flat_map(|point| &point.hooks);
    let by_id = |hook: &DesiredHook| (hook.id, Arc::new(hook.clone()));
    Served {
        hooks: Arc::new(hooks.map(by_id).collect()),
        storage_bytes_max: desired.limits.get(Dimension::Storage),
        weight: desired.limits.get(Dimension::CpuWeight),
    }
}

impl Default for Served {
    fn default() -> Self {
        Self {
            hooks: Arc::default(),
            storage_bytes_max: Limit::from(Dimension::Storage).default_value(),
            weight: Limit::from(Dimension::CpuWeight).default_value(),
        }
    }
}
