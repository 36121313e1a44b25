//! `cloudware:kv/store`, the platform's own interface.

use cloudware_capability::{CapabilityLinker, Invocation};
use wasmtime::component::{HasData, Resource};

use crate::{
    Entry, KvError, Start,
    operation::{self, Bucket, Failure},
};

mod bindings {
    wasmtime::component::bindgen!({
        path: ["../../../wit/types", "../../../wit/kv"],
        world: "cloudware:kv/imports",
        imports: { default: async | trappable },
        with: { "cloudware:kv/store.bucket": crate::operation::Bucket },
        trappable_error_type: { "cloudware:kv/store.error" => crate::operation::Failure },
    });
}

use bindings::cloudware::{
    kv::store::{self, Change, Host, HostBucket},
    types::failures::StorageFailure,
};

pub(crate) fn link(linker: &mut CapabilityLinker) -> wasmtime::Result<()> {
    store::add_to_linker::<_, InvocationData>(linker, |invocation| invocation)
}

struct InvocationData;

impl HasData for InvocationData {
    type Data<'a> = &'a mut Invocation;
}

impl Host for Invocation {
    async fn open(&mut self, name: String) -> Result<Resource<Bucket>, Failure> {
        operation::open(self, "kv.open", &name)
    }

    fn convert_error(&mut self, failure: Failure) -> wasmtime::Result<store::Error> {
        let refusal = match failure {
            // The call is not left: the stop says that the guest was in it.
            Failure::Trap(error) => return Err(error),
            Failure::Refused(refusal) => refusal,
        };
        self.leave();
        Ok(match refusal {
            KvError::InvalidName(text) => store::Error::InvalidName(text),
            KvError::ValueTooLarge(max) => store::Error::ValueTooLarge(max),
            KvError::Conflict(current) => store::Error::Conflict(current),
            KvError::NotANumber => store::Error::NotANumber,
            KvError::Busy => store::Error::Storage(StorageFailure::Busy),
            KvError::Full => {
                self.note_full();
                store::Error::Storage(StorageFailure::Full)
            }
            KvError::Unavailable => store::Error::Storage(StorageFailure::Unavailable),
        })
    }
}

impl HostBucket for Invocation {
    async fn get(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
    ) -> Result<Option<store::Entry>, Failure> {
        let entry = operation::get(self, "kv.get", &bucket, key).await?;
        Ok(entry.map(Into::into))
    }

    async fn set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        value: Vec<u8>,
    ) -> Result<u64, Failure> {
        operation::set(self, "kv.set", &bucket, key, value).await
    }

    async fn compare_and_set(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        expected: Option<u64>,
        value: Vec<u8>,
    ) -> Result<u64, Failure> {
        operation::compare_and_set(self, "kv.compare-and-set", &bucket, (key, expected, value))
            .await
    }

    async fn delete(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Failure> {
        operation::delete(self, "kv.delete", &bucket, key).await
    }

    async fn exists(&mut self, bucket: Resource<Bucket>, key: String) -> Result<bool, Failure> {
        operation::exists(self, "kv.exists", &bucket, key).await
    }

    async fn increment(
        &mut self,
        bucket: Resource<Bucket>,
        key: String,
        delta: i64,
    ) -> Result<i64, Failure> {
        operation::increment(self, "kv.increment", &bucket, key, delta).await
    }

    async fn list_keys(
        &mut self,
        bucket: Resource<Bucket>,
        prefix: String,
        after: Option<String>,
        limit: u32,
    ) -> Result<store::Page, Failure> {
        let start = after.map_or(Start::First, Start::After);
        let part = (start, limit as usize);
        let page = operation::list(self, "kv.list-keys", &bucket, prefix, part).await?;
        Ok(store::Page {
            next: page.keys.last().filter(|_| page.more).cloned(),
            keys: page.keys,
        })
    }

    async fn get_many(
        &mut self,
        bucket: Resource<Bucket>,
        keys: Vec<String>,
    ) -> Result<Vec<Option<store::Entry>>, Failure> {
        let entries = operation::get_many(self, "kv.get-many", &bucket, keys).await?;
        Ok(entries.into_iter().map(|e| e.map(Into::into)).collect())
    }

    async fn write_many(
        &mut self,
        bucket: Resource<Bucket>,
        changes: Vec<Change>,
    ) -> Result<(), Failure> {
        let changes = changes.into_iter().map(|change| match change {
            Change::Set((key, value)) => (key, Some(value)),
            Change::Delete(key) => (key, None),
        });
        operation::change(self, "kv.write-many", &bucket, changes.collect()).await?;
        Ok(())
    }

    async fn drop(&mut self, bucket: Resource<Bucket>) -> wasmtime::Result<()> {
        operation::close(self, bucket)
    }
}

impl From<Entry> for store::Entry {
    fn from(entry: Entry) -> Self {
        Self {
            value: entry.value,
            version: entry.version,
        }
    }
}
