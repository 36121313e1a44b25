//! What is known in memory of an instance's deliveries: its hooks, and whether somebody works on them. What
//! they are owed is in its database.

use std::{collections::HashMap, sync::Arc};

use cloudware_types::{DesiredHook, HookId, InstanceId};
use parking_lot::Mutex;
use tokio::sync::Notify;

/// The deliveries of one instance.
pub(crate) struct Queue {
    pub(crate) instance: InstanceId,
    state: Mutex<State>,
    news: Notify,
}

#[derive(Default)]
struct State {
    served: Served,
    /// Whether something may be due that the last round did not see.
    has_news: bool,
    is_running: bool,
}

/// What is served of an instance.
#[derive(Clone)]
pub(crate) struct Served {
    pub(crate) hooks: Arc<HashMap<HookId, Arc<DesiredHook>>>,
    pub(crate) storage_bytes_max: u64,
    pub(crate) weight: u64,
}

/// What [`Queue::serve`] found.
#[derive(Clone, Copy)]
pub(crate) struct Change {
    has_new_hooks: bool,
    is_running: bool,
}

impl Change {
    /// Whether a hook is served that was not.
    pub(crate) fn has_new_hooks(self) -> bool {
        self.has_new_hooks
    }

    /// Whether nobody works on the queue.
    pub(crate) fn is_at_rest(self) -> bool {
        !self.is_running
    }
}

/// The right to work on a queue: one at a time has it.
pub(crate) struct Turn {
    queue: Arc<Queue>,
    is_over: bool,
}

impl Queue {
    pub(crate) fn new(instance: InstanceId) -> Self {
        Self {
            instance,
            state: Mutex::default(),
            news: Notify::new(),
        }
    }

    /// What is served of the instance.
    pub(crate) fn served(&self) -> Served {
        self.state.lock().served.clone()
    }

    /// Replaces what is served.
    pub(crate) fn serve(&self, served: Served) -> Change {
        let mut state = self.state.lock();
        let known = &state.served.hooks;
        let has_new_hooks = served.hooks.keys().any(|hook| !known.contains_key(hook));
        state.served = served;
        state.has_news |= has_new_hooks || state.is_running;
        if state.is_running {
            self.news.notify_one();
        }
        Change {
            has_new_hooks,
            is_running: state.is_running,
        }
    }

    /// Something may be due.
    pub(crate) fn tell(&self) {
        self.state.lock().has_news = true;
        self.news.notify_one();
    }

    /// Whether something may be due that no round has seen.
    pub(crate) fn has_news(&self) -> bool {
        self.state.lock().has_news
    }

    /// Waits until something may be due that the last round did not see.
    pub(crate) async fn news(&self) {
        self.news.notified().await;
    }

    /// The right to work on it; `None` where somebody has it, who then looks again.
    pub(crate) fn begin(self: &Arc<Self>) -> Option<Turn> {
        let mut state = self.state.lock();
        if state.is_running {
            return None;
        }
        state.is_running = true;
        Some(Turn {
            queue: Arc::clone(self),
            is_over: false,
        })
    }
}

impl Turn {
    pub(crate) fn queue(&self) -> &Arc<Queue> {
        &self.queue
    }

    /// What is served at the beginning of a round, which sees everything that is there up to now.
    pub(crate) fn begin_round(&self) -> Served {
        let mut state = self.queue.state.lock();
        state.has_news = false;
        state.served.clone()
    }

    /// Ends the work, unless there are news. False where the work goes on.
    pub(crate) fn try_end(&mut self) -> bool {
        let mut state = self.queue.state.lock();
        if !state.has_news {
            state.is_running = false;
            self.is_over = true;
        }
        self.is_over
    }
}

impl Drop for Turn {
    /// Also where the work panicked: the next news begin it anew.
    fn drop(&mut self) {
        if !self.is_over {
            self.queue.state.lock().is_running = false;
        }
    }
}
