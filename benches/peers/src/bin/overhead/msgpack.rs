//! MessagePack over WebSocket: a binary message an operation, and one that answers it.
//!
//! ```text
//!   { number, collection, records }      ─▶
//!                                        ◀─      { number }
//! ```
//!
//! *Named* writes structures as maps with the names of their fields, *arrays* as arrays in an order that both sides know, as
//! rmp-serde does without being told. UUIDs are binary, dates integers of Unix milliseconds.

use std::net::{Ipv4Addr, SocketAddr};

use blazedb::blazebinary::{Record, Value};
use futures_util::{SinkExt, StreamExt};
use serde::de::IgnoredAny;
use serde::ser::{Error, SerializeMap, SerializeSeq};
use serde::{Deserialize, Serialize, Serializer};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, accept_async, client_async};

use crate::link::{Fault, Link, Shape};
use crate::workload::unix_millis;

/// How structures are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    Named,
    Arrays,
}

/// A record in one of the forms.
struct Packed<'a>(&'a Record, Form);

struct PackedValue<'a>(&'a Value, Form);

impl Serialize for Packed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record, form) = *self;
        match form {
            Form::Named => {
                let mut map = serializer.serialize_map(Some(record.len()))?;
                for (key, value) in record.iter() {
                    map.serialize_entry(key.as_str(), &PackedValue(value, form))?;
                }
                map.end()
            }
            Form::Arrays => {
                let mut items = serializer.serialize_seq(Some(record.len()))?;
                for (_, value) in record.iter() {
                    items.serialize_element(&PackedValue(value, form))?;
                }
                items.end()
            }
        }
    }
}

impl Serialize for PackedValue<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, form) = *self;
        match value {
            Value::Null => serializer.serialize_none(),
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::Int(value) => serializer.serialize_i64(*value),
            Value::Double(value) => serializer.serialize_f64(*value),
            Value::Date(date) => serializer.serialize_i64(unix_millis(*date)),
            Value::Uuid(id) => serializer.serialize_bytes(id.as_bytes()),
            Value::String(text) => serializer.serialize_str(text),
            Value::Data(data) => serializer.serialize_bytes(data),
            Value::Array(items) => serializer.collect_seq(items.iter().map(|item| PackedValue(item, form))),
            Value::Dict(dict) => Packed(dict, form).serialize(serializer),
            Value::Vector(_) => Err(S::Error::custom("no kind here holds one")),
        }
    }
}

#[derive(Serialize)]
struct Put<'a> {
    number: u64,
    collection: &'a str,
    records: Vec<Packed<'a>>,
}

/// What the server reads of a [`Put`], in either form. It looks at all of it and keeps nothing.
#[derive(Deserialize)]
struct Received {
    number: u64,
    #[serde(rename = "collection")]
    _collection: IgnoredAny,
    #[serde(rename = "records")]
    _records: Vec<IgnoredAny>,
}

#[derive(Serialize, Deserialize)]
struct Stored {
    number: u64,
}

/// A record alone.
pub fn encoded(record: &Record, form: Form) -> Result<Vec<u8>, Fault> {
    write(&Packed(record, form), form)
}

fn write(value: &impl Serialize, form: Form) -> Result<Vec<u8>, Fault> {
    Ok(match form {
        Form::Named => rmp_serde::to_vec_named(value)?,
        Form::Arrays => rmp_serde::to_vec(value)?,
    })
}

/// Serves on a free port of loopback, answering in `form`.
pub async fn serve(form: Form) -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, form));
        }
    });
    Ok(address)
}

async fn answer(stream: TcpStream, form: Form) -> Result<(), Fault> {
    stream.set_nodelay(true)?;
    let mut socket = accept_async(stream).await?;
    while let Some(message) = socket.next().await {
        if let Message::Binary(bytes) = message? {
            let Received { number, .. } = rmp_serde::from_slice(&bytes)?;
            socket.send(Message::binary(write(&Stored { number }, form)?)).await?;
        }
    }
    Ok(())
}

/// A client.
pub struct MessagePack {
    socket: WebSocketStream<TcpStream>,
    number: u64,
    collection: &'static str,
    shape: Shape,
    form: Form,
}

impl MessagePack {
    /// Connects and upgrades.
    pub async fn open(
        at: SocketAddr,
        collection: &'static str,
        shape: Shape,
        form: Form,
    ) -> Result<Self, Fault> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let (socket, _) = client_async(format!("ws://{at}/v1"), stream).await?;
        Ok(Self { socket, number: 0, collection, shape, form })
    }

    async fn next_stored(&mut self) -> Result<u64, Fault> {
        match self.socket.next().await.ok_or("the server is gone")?? {
            Message::Binary(bytes) => Ok(rmp_serde::from_slice::<Stored>(&bytes)?.number),
            other => Err(format!("no answer: {other:?}").into()),
        }
    }
}

impl Link for MessagePack {
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault> {
        let mut stored = self.number;
        for batch in records.chunks(self.shape.batch) {
            self.number += 1;
            let records = batch.iter().map(|record| Packed(record, self.form)).collect();
            let put = Put { number: self.number, collection: self.collection, records };
            let message = Message::binary(write(&put, self.form)?);
            self.socket.send(message).await?;
            if self.number - stored == self.shape.window as u64 {
                stored = self.next_stored().await?;
            }
        }
        while stored < self.number {
            stored = self.next_stored().await?;
        }
        Ok(())
    }

    async fn close(mut self) -> Result<(), Fault> {
        self.socket.close(None).await?;
        // The server's Close, and then the end.
        while let Some(Ok(_)) = self.socket.next().await {}
        Ok(())
    }
}
