//! Connections to endpoints, kept for each instance on its own.

use std::{collections::HashMap, sync::Arc, time::Instant};

use bytes::Bytes;
use cloudware_types::InstanceId;
use http_body_util::Full;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use parking_lot::Mutex;
use rustls::ClientConfig;
use tokio::sync::Semaphore;

use super::connect::{Connector, Reach};
use crate::limits::{
    ANSWER_HEAD_BYTES_MAX, CALLS_PER_INSTANCE_MAX, CLIENT_IDLE_MAX, CLIENTS_KEPT,
    CONNECTION_IDLE_MAX, CONNECTIONS_IDLE_MAX,
};

/// The connections of one instance.
pub(crate) struct InstanceClient {
    pub(crate) http: Client<HttpsConnector<Connector>, Full<Bytes>>,
    /// Places for calls.
    pub(crate) calls: Semaphore,
}

/// The connections of all instances.
pub(crate) struct Clients {
    tls: ClientConfig,
    reach: Reach,
    by_instance: Mutex<HashMap<InstanceId, (Instant, Arc<InstanceClient>)>>,
}

impl Clients {
    pub(crate) fn new(tls: ClientConfig, reach: Reach) -> Self {
        Self {
            tls,
            reach,
            by_instance: Mutex::default(),
        }
    }

    /// The connections of an instance; made at the first call.
    pub(crate) fn get(&self, instance: InstanceId) -> Arc<InstanceClient> {
        let now = Instant::now();
        let mut clients = self.by_instance.lock();
        if let Some((used, client)) = clients.get_mut(&instance) {
            *used = now;
            return Arc::clone(client);
        }
        if clients.len() >= CLIENTS_KEPT {
            // Those that are in use are kept by whoever uses them.
            clients.retain(|_, (used, _)| now.duration_since(*used) < CLIENT_IDLE_MAX);
        }
        let client = Arc::new(self.make());
        clients.insert(instance, (now, Arc::clone(&client)));
        client
    }

    fn make(&self) -> InstanceClient {
        // Addresses are checked before they get here: whether plain HTTP is allowed was decided there.
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(self.tls.clone())
            .https_or_http()
            .enable_http1()
            .wrap_connector(Connector::new(self.reach));
        InstanceClient {
            http: Client::builder(TokioExecutor::new())
                .pool_timer(TokioTimer::new())
                .pool_idle_timeout(CONNECTION_IDLE_MAX)
                .pool_max_idle_per_host(CONNECTIONS_IDLE_MAX)
                .http1_max_buf_size(ANSWER_HEAD_BYTES_MAX)
                .build(connector),
            calls: Semaphore::new(CALLS_PER_INSTANCE_MAX),
        }
    }
}
