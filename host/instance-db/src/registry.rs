//! All private databases of a host: found by instance, opened on demand, closed when idle.

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{Arc, mpsc},
    time::{Duration, Instant},
};

use cloudware_types::{InstanceId, Migration};
use parking_lot::Mutex;

use crate::{
    Config, Database, Error, Holder, MigrationError, Namespace,
    database::Shared,
    file::{check_directory, copy, file_bytes, remove_files},
    lane::{Lane, Lease},
    limits, memory, migrate,
    pool::Pool,
    scope::Bounds,
};

/// The private databases of a host. One per process and directory: turns are kept in memory.
pub struct InstanceDbs {
    shared: Arc<Shared>,
    open: Arc<Mutex<HashMap<InstanceId, Arc<Database>>>>,
    closing: mpsc::Sender<Arc<Database>>,
}

/// Why the databases can't be used at all.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The settings are wrong.
    #[error("the settings of the private databases are wrong: {}", .0.join("; "))]
    Config(Vec<String>),
    /// See the source.
    #[error(transparent)]
    AlreadyInUse(#[from] memory::AlreadyInUse),
    /// The directory can't be made or written.
    #[error("the directory of the private databases, {}, can't be used: {reason}; check that it exists and that this user may write it", dir.display())]
    Directory {
        /// The directory.
        dir: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl InstanceDbs {
    /// Prepares the directory; opens no database.
    ///
    /// # Errors
    /// [`StartError`] in words for the operator.
    pub fn new(config: Config) -> Result<Arc<Self>, StartError> {
        let mistakes = config.mistakes();
        if !mistakes.is_empty() {
            return Err(StartError::Config(mistakes));
        }
        memory::init()?;
        check_directory(&config.dir).map_err(|reason| StartError::Directory {
            dir: config.dir.clone(),
            reason,
        })?;
        raise_open_files(&config);
        let idle_close = Duration::from_secs(config.idle_close_seconds);
        let no_thread = |error: std::io::Error| StartError::Directory {
            dir: config.dir.clone(),
            reason: format!("no thread could be started: {error}"),
        };
        let pool = Pool::start(config.workers_max, config.worker_nice).map_err(no_thread)?;
        let shared = Arc::new(Shared {
            pool,
            started: Instant::now(),
            config,
        });
        let open = Arc::new(Mutex::new(HashMap::new()));
        let (closing, to_close) = mpsc::channel();
        let sweeper = Sweeper {
            open: Arc::clone(&open),
            started: shared.started,
            idle_close,
        };
        std::thread::Builder::new()
            .name("instance-db-close".into())
            .spawn(move || sweeper.run(&to_close))
            .map_err(|error| StartError::Directory {
                dir: shared.config.dir.clone(),
                reason: format!("no thread could be started: {error}"),
            })?;
        Ok(Arc::new(Self {
            shared,
            open,
            closing,
        }))
    }

    /// Has `charge` told what processor time each call has taken for its instance, on the thread that worked: before the
    /// next call begins there, and of a long one every now and then. Whoever was named first is told; it must neither wait nor
    /// call a database.
    pub fn charge_to(&self, charge: impl Fn(InstanceId, Duration) + Send + Sync + 'static) {
        self.shared.pool.charge_to(Box::new(charge));
    }

    /// Whether a call computes at this moment, or would if it had a processor. Those that wait for the disk or for their turns
    /// do not.
    #[must_use]
    pub fn is_at_work(&self) -> bool {
        self.shared.pool.is_at_work()
    }

    /// The database of an instance. Costs a look into a map: files are opened at the first call.
    ///
    /// # Errors
    /// [`Error::Busy`] where as many databases as may be open are all in use.
    pub fn get(&self, instance: InstanceId) -> Result<Arc<Database>, Error> {
        let mut open = self.open.lock();
        if let Some(database) = open.get(&instance) {
            return Ok(Arc::clone(database));
        }
        if open.len() >= self.shared.config.open_max {
            let oldest = open
                .iter()
                .filter(|(_, database)| Arc::strong_count(database) == 1)
                .min_by_key(|(_, database)| database.last_used_ms())
                .map(|(id, _)| *id)
                .ok_or(Error::Busy)?;
            if let Some(database) = open.remove(&oldest) {
                // Closing waits for the disk; the sweeper's thread may.
                let _ = self.closing.send(database);
            }
        }
        let database = Arc::new(Database::new(
            instance,
            self.path(instance),
            Arc::clone(&self.shared),
        ));
        open.insert(instance, Arc::clone(&database));
        Ok(database)
    }

    /// Databases that are open at the moment.
    #[must_use]
    pub fn open_count(&self) -> usize {
        self.open.lock().len()
    }

    /// Brings an app's schema to version `target` (0: nothing is left of it), in one transaction. Steps
    /// up come from `migrations`; steps down too, or else from what was recorded when they were applied.
    ///
    /// # Errors
    /// [`MigrationError`]; nothing was changed.
    pub async fn migrate(
        &self,
        instance: InstanceId,
        namespace: &Namespace,
        migrations: Vec<Migration>,
        target: u32,
        storage_bytes_max: u64,
    ) -> Result<(), MigrationError> {
        let database = self.get(instance)?;
        let plan = migrate::Plan {
            namespace: namespace.clone(),
            migrations,
            target,
        };
        let pages = storage_bytes_max / limits::PAGE_BYTES;
        let in_turn = Arc::clone(&database);
        database
            .in_turn(
                Lane::Write,
                Holder::PLATFORM,
                Bounds::MIGRATION,
                move |conn| {
                    in_turn.ready_to_write(conn, pages)?;
                    Ok(migrate::apply(conn, &plan))
                },
            )
            .await
            .result?
    }

    /// The version that an app's schema has; 0 where it has none.
    ///
    /// # Errors
    /// [`Error`] where the database can't be read.
    pub async fn schema_version(
        &self,
        instance: InstanceId,
        namespace: &Namespace,
    ) -> Result<u32, Error> {
        let namespace = namespace.clone();
        self.get(instance)?
            .in_turn(
                Lane::Read,
                Holder::PLATFORM,
                Bounds::PLATFORM,
                move |conn| migrate::version(conn, &namespace),
            )
            .await
            .result
    }

    /// Removes a database for good, after the calls that run have ended. Deleting one that does not
    /// exist succeeds.
    ///
    /// # Errors
    /// [`Error::Busy`] where a call does not end in time; [`Error::Unavailable`] where a file can't be
    /// removed.
    pub async fn delete(&self, instance: InstanceId) -> Result<(), Error> {
        let database = self.get(instance)?;
        let wait = Duration::from_millis(self.shared.config.lock_wait_ms);
        // Nothing of it runs any more once every turn is here.
        let all_turns = async {
            let mut turns = vec![Lease::take(&database, Lane::Write, Holder::PLATFORM).await?];
            for _ in 0..self.shared.config.readers_max {
                turns.push(Lease::take(&database, Lane::Read, Holder::PLATFORM).await?);
            }
            Ok::<_, Error>(turns)
        };
        let turns = tokio::time::timeout(wait, all_turns)
            .await
            .map_err(|_| Error::Busy)??;
        let removed = Arc::clone(&database);
        let result = tokio::task::spawn_blocking(move || {
            removed.close();
            drop(turns);
            remove_files(&removed.path)
        })
        .await
        .map_err(|error| Error::Unavailable(error.to_string()))?;
        self.open.lock().remove(&instance);
        result.map_err(|error| database.report(error))
    }

    /// Bytes of the database that hold something: what a storage quota bounds. Asks it, in the platform's turn, and opens it
    /// for that. 0 where it does not exist yet.
    ///
    /// # Errors
    /// [`Error::Busy`] where it has not said it within `wait`, and others where it can't be read.
    pub async fn used_bytes(&self, instance: InstanceId, wait: Duration) -> Result<u64, Error> {
        if !self.exists(instance) {
            return Ok(0);
        }
        used(&self.get(instance)?, wait).await
    }

    /// As [`Self::used_bytes`], of a database that is open; none of another one. Its file is not to be opened and closed
    /// beside it: that would end the locks of the process (SQLite's “How To Corrupt”, section 2.2).
    ///
    /// # Errors
    /// As [`Self::used_bytes`].
    pub async fn used_bytes_if_open(
        &self,
        instance: InstanceId,
        wait: Duration,
    ) -> Result<Option<u64>, Error> {
        let open = self.open.lock().get(&instance).map(Arc::clone);
        match open.filter(|open| open.is_set_up()) {
            Some(database) => used(&database, wait).await.map(Some),
            None => Ok(None),
        }
    }

    /// Bytes of the database's file, those included that are free in it, and without what is only in its log. 0 where there is
    /// none.
    #[must_use]
    pub fn file_bytes(&self, instance: InstanceId) -> u64 {
        file_bytes(&self.path(instance))
    }

    /// Writes a complete, compact and consistent copy to `file`, which must not exist, while the
    /// database goes on working.
    ///
    /// # Errors
    /// [`Error::Unavailable`] where the copy can't be written.
    pub async fn snapshot(&self, instance: InstanceId, file: PathBuf) -> Result<(), Error> {
        let database = self.get(instance)?;
        // The first connection makes the file where it does not exist yet.
        let ready = database
            .in_turn(Lane::Read, Holder::PLATFORM, Bounds::PLATFORM, |_| Ok(()))
            .await;
        ready.result?;
        let copied = Arc::clone(&database);
        let result = tokio::task::spawn_blocking(move || copy(&copied.path, &file)).await;
        result
            .map_err(|error| Error::Unavailable(error.to_string()))?
            .map_err(|error| database.report(error))
    }

    /// Whether the instance has a database file. One that an app's migrations made and that is gone has
    /// been lost, and must not be taken for a new one.
    #[must_use]
    pub fn exists(&self, instance: InstanceId) -> bool {
        self.path(instance).is_file()
    }

    /// One of 256 subdirectories by the last two digits of the id, which are random.
    fn path(&self, instance: InstanceId) -> PathBuf {
        let id = instance.to_string();
        let directory = self.shared.config.dir.join(&id[id.len() - 2..]);
        directory.join(format!("{id}.db"))
    }
}

/// Bytes of a database that hold something, as it says itself.
async fn used(database: &Arc<Database>, wait: Duration) -> Result<u64, Error> {
    const USED: &str =
        "SELECT page_count - freelist_count FROM pragma_page_count, pragma_freelist_count";
    let pages = database.in_turn(Lane::Read, Holder::PLATFORM, Bounds::PLATFORM, |conn| {
        Ok(conn
            .platform()
            .query_row(USED, (), |row| row.get::<_, i64>(0))?)
    });
    let pages = tokio::time::timeout(wait, pages).await;
    let pages = pages.map_err(|_| Error::Busy)?.result?;
    Ok(pages.unsigned_abs() * limits::PAGE_BYTES)
}

/// Databases take file descriptors, and the usual soft limit of 1,024 is meant for programs that
/// use `select`. The hard limit is the operator's word and stays.
fn raise_open_files(config: &Config) {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    // Most databases have a writer and one or two readers open.
    let wanted = (config.open_max as u64).saturating_mul(6);
    if current.is_none_or(|current| current >= wanted) {
        return;
    }
    let raised = Rlimit {
        current: Some(maximum.map_or(wanted, |maximum| maximum.min(wanted))),
        maximum,
    };
    let is_enough = setrlimit(Resource::Nofile, raised).is_ok()
        && raised.current.is_some_and(|current| current >= wanted);
    if !is_enough {
        tracing::warn!(
            wanted,
            allowed = ?maximum,
            "few open files are allowed for this many databases; raise the limit (ulimit -n) or lower open_max"
        );
    }
}

/// Closes databases off the request path.
struct Sweeper {
    open: Arc<Mutex<HashMap<InstanceId, Arc<Database>>>>,
    started: Instant,
    idle_close: Duration,
}

impl Sweeper {
    /// Runs until the [`InstanceDbs`] is dropped.
    fn run(&self, to_close: &mpsc::Receiver<Arc<Database>>) {
        loop {
            match to_close.recv_timeout(self.idle_close / 4) {
                Ok(evicted) => drop(evicted),
                Err(mpsc::RecvTimeoutError::Timeout) => drop(self.take_idle()),
                Err(mpsc::RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    /// Databases that nobody uses and nobody has used for long.
    fn take_idle(&self) -> Vec<Arc<Database>> {
        let now = self.started.elapsed().as_millis() as u64;
        let idle_ms = self.idle_close.as_millis() as u64;
        self.open
            .lock()
            .extract_if(|_, database| {
                Arc::strong_count(database) == 1
                    && now.saturating_sub(database.last_used_ms()) >= idle_ms
            })
            .map(|(_, database)| database)
            .collect()
    }
}

impl Drop for InstanceDbs {
    fn drop(&mut self) {
        let open = std::mem::take(&mut *self.open.lock());
        // Closing writes the logs back into the files, which waits for the disk.
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(open))),
            Err(_) => drop(open),
        }
    }
}
