//! `wasi:keyvalue` 0.2.0-draft: cursors are numbers of keys, increments are unsigned.

use cloudware_capability::{CapabilityLinker, Invocation};
use wasmtime::component::{HasData, Resource};

use crate::{
    CALL_KEYS_MAX, KvError, Start,
    operation::{self, Bucket, Failure},
};

mod bindings {
    wasmtime::component::bindgen!({
        path: "../../../wit/deps/keyvalue",
        world: "wasi:keyvalue/imports",
        imports: { default: async | trappable },
        with: { "wasi:keyvalue/store.bucket": crate::operation::Bucket },
        trappable_error_type: { "wasi:keyvalue/store.error" => crate::operation::Failure },
    });
}

use bindings::wasi::keyvalue::{atomics, batch, store};

pub(crate) fn link(linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
    store::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)?;
    atomics::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)?;
    batch::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)
}

struct InvocationData;

impl HasData for InvocationData {
    type Data<'a> = &'a mut Invocation;
}

/// The bucket that a `wasi:keyvalue` guest means. Hosts differ in the name of the one that is always
/// there: empty in wasmtime, `default` in Spin.
pub(crate) fn bucket_name(identifier: &str) -> &str {
    match identifier {
        "" => "default",
        name => name,
    }
}

impl store::Host for Invocation {
    async fn open(&mut self, identifier: String) -> Result<Resource<Bucket>, Failure> {
        operation::open(self, "keyvalue.open", bucket_name(&identifier))
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<store::Error> {
        match failure {
            // The call is not left: the stop says that the guest was in it.
            Failure::Trap(error) => Err(error),
            Failure::Refused(refusal) => {
                self.leave();
                Ok(store::Error::Other(refusal.to_string()))
            }
        }
    }
}

impl store::HostBucket for Invocation {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Option<Vec<u8>>, Failure> {
        let entry = operation::get(self, "keyvalue.get", &bucket, key).await?;
        Ok(entry.map(|entry| entry.value))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<(), Failure> {
        operation::set(self, "keyvalue.set", &bucket, key, value).await?;
        Ok(())
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<(), Failure> {
        operation::delete(self, "keyvalue.delete", &bucket, key).await?;
        Ok(())
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Failure> {
        operation::exists(self, "keyvalue.exists", &bucket, key).await
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        cursor: Option<u64>,
    ) -> Result<store::KeyResponse, Failure> {
        let before = cursor.unwrap_or(0);
        let part = (Start::Offset(before), CALL_KEYS_MAX);
        let page =
            operation::list(self, "keyvalue.list-keys", &bucket, String::new(), part).await?;
        let next = before.saturating_add(page.keys.len() as u64);
        Ok(store::KeyResponse {
            keys: page.keys,
            cursor: page.more.then_some(next),
        })
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        operation::close(self, bucket)
    }
}

impl atomics::Host for Invocation {
    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: u64,
    ) -> Result<u64, Failure> {
        // Numbers are kept as signed ones, and this interface can't say a negative one.
        let delta = i64::try_from(delta).map_err(|_| KvError::NotANumber)?;
        let sum = operation::increment(self, "keyvalue.increment", &bucket, key, delta).await?;
        Ok(u64::try_from(sum).map_err(|_| KvError::NotANumber)?)
    }
}

impl batch::Host for Invocation {
    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<(String, Vec<u8>)>>, Failure> {
        let names = keys.clone();
        let entries = operation::get_many(self, "keyvalue.get-many", &bucket, keys).await?;
        let pairs = names.into_iter().zip(entries);
        Ok(pairs
            .map(|(key, entry)| entry.map(|entry| (key, entry.value)))
            .collect())
    }

    async fn set_many(
        &mut self,
        bucket: Resource<Bucket>,
        key_values: Vec<(String, Vec<u8>)>,
    ) -> Result<(), Failure> {
        let changes = key_values
            .into_iter()
            .map(|(key, value)| (key, Some(value)));
        operation::change(self, "keyvalue.set-many", &bucket, changes.collect()).await?;
        Ok(())
    }

    async fn delete_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<(), Failure> {
        let changes = keys.into_iter().map(|key| (key, None)).collect();
        operation::change(self, "keyvalue.delete-many", &bucket, changes).await?;
        Ok(())
    }
}
