//! BlazeDB: its server in this process, and the Rust client.

use std::collections::VecDeque;
use std::net::{Ipv4Addr, SocketAddr};

use blazedb::blazebinary::{Layout, Record, encode_record};
use blazedb::client::{Client, Options, Pending};
use blazedb::server::{Config, Place, Server};
use blazedb::wire::message::{Action, OperationBody, OperationBuilder, RecordOperation};
use blazedb::wire::{CollectionName, FramedRecord};

use crate::link::{Fault, Link, Shape};

/// Starts a server on a free port of loopback. Call it outside of a runtime: it has its own.
pub fn serve(place: Place) -> Result<(Server, SocketAddr), Fault> {
    let server = Server::start(&Config::new((Ipv4Addr::LOCALHOST, 0).into(), place, None)?)?;
    let url = server.urls().first().ok_or("it listens nowhere")?;
    let address = url.address().parse()?;
    Ok((server, address))
}

/// A record as it travels.
pub fn encoded(record: &Record) -> Result<Vec<u8>, Fault> {
    let mut bytes = Vec::new();
    encode_record(record, Layout::V1, &mut bytes)?;
    Ok(bytes)
}

/// Upserts in one collection, durable, through the client as it is without options but LZ4.
pub struct Blaze {
    client: Client,
    collection: &'static str,
    shape: Shape,
}

impl Blaze {
    /// Connects by `scheme`, `blaze` or `ws`.
    pub async fn open(
        scheme: &str,
        at: SocketAddr,
        collection: &'static str,
        shape: Shape,
        compression: bool,
    ) -> Result<Self, Fault> {
        let url = format!("{scheme}://{at}").parse()?;
        let client = Client::connect(&url, Options { compression, ..Options::default() }).await?;
        Ok(Self { client, collection, shape })
    }

    fn operation(&self, records: &[Record]) -> Result<OperationBody, Fault> {
        let mut builder = OperationBuilder::new();
        for record in records {
            let bytes = encoded(record)?;
            let record = FramedRecord::new(&bytes).ok_or("the record is too large")?;
            let action = Action::Upsert { record, skip_unchanged: false };
            builder.push(CollectionName::new(self.collection)?, &RecordOperation { base: None, action })?;
        }
        Ok(builder.finish()?)
    }
}

impl Link for Blaze {
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault> {
        let mut under_way: VecDeque<Pending> = VecDeque::new();
        for batch in records.chunks(self.shape.batch) {
            if under_way.len() == self.shape.window
                && let Some(oldest) = under_way.pop_front()
            {
                oldest.await?;
            }
            under_way.push_back(self.client.submit(self.operation(batch)?).await?);
        }
        for pending in under_way {
            pending.await?;
        }
        Ok(())
    }

    async fn close(self) -> Result<(), Fault> {
        self.client.close().await;
        Ok(())
    }
}
