//! gRPC: protobuf over HTTP/2, by tonic as it is without options, in the clear.
//!
//! The services are written by hand as tonic's generator would write them; `schema` has their text.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::net::{Ipv4Addr, SocketAddr};
use std::task::{Context, Poll};

use blazedb::blazebinary::Record;
use futures_util::future::BoxFuture;
use futures_util::stream::{self, BoxStream};
use futures_util::{FutureExt, StreamExt, TryStreamExt};
use http::uri::PathAndQuery;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::body::Body;
use tonic::client::Grpc as Caller;
use tonic::codec::CompressionEncoding;
use tonic::server::{ClientStreamingService, Grpc as Answerer, StreamingService, UnaryService};
use tonic::transport::{Channel, Endpoint, Server};
use tonic::{Request, Response, Status, Streaming};
use tonic_prost::ProstCodec;
use tower_service::Service;

use crate::link::{Fault, Link, Shape};
use crate::schema::{Acknowledged, Insert, InsertMany, Inserted, Kind};

/// Messages that wait between a caller and its stream: a whole window.
const QUEUE: usize = 64;

/// The server of one kind: takes everything and keeps nothing.
#[derive(Debug)]
struct Records<K>(PhantomData<K>);

impl<K> Clone for Records<K> {
    fn clone(&self) -> Self {
        Self(PhantomData)
    }
}

impl<K: Kind> UnaryService<Insert<K>> for Records<K> {
    type Response = Inserted;
    type Future = BoxFuture<'static, Result<Response<Inserted>, Status>>;

    fn call(&mut self, _: Request<Insert<K>>) -> Self::Future {
        async { Ok(Response::new(Inserted {})) }.boxed()
    }
}

impl<K: Kind> UnaryService<InsertMany<K>> for Records<K> {
    type Response = Inserted;
    type Future = BoxFuture<'static, Result<Response<Inserted>, Status>>;

    fn call(&mut self, _: Request<InsertMany<K>>) -> Self::Future {
        async { Ok(Response::new(Inserted {})) }.boxed()
    }
}

impl<K: Kind> ClientStreamingService<Insert<K>> for Records<K> {
    type Response = Inserted;
    type Future = BoxFuture<'static, Result<Response<Inserted>, Status>>;

    fn call(&mut self, request: Request<Streaming<Insert<K>>>) -> Self::Future {
        async move {
            request.into_inner().try_for_each(|_| async { Ok(()) }).await?;
            Ok(Response::new(Inserted {}))
        }
        .boxed()
    }
}

impl<K: Kind> StreamingService<Insert<K>> for Records<K> {
    type Response = Acknowledged;
    type ResponseStream = BoxStream<'static, Result<Acknowledged, Status>>;
    type Future = BoxFuture<'static, Result<Response<Self::ResponseStream>, Status>>;

    fn call(&mut self, request: Request<Streaming<Insert<K>>>) -> Self::Future {
        let numbered = request.into_inner().zip(stream::iter(1..));
        let answers = numbered.map(|(insert, number)| insert.map(|_| Acknowledged { number }));
        async move { Ok(Response::new(answers.boxed())) }.boxed()
    }
}

impl<K: Kind> Service<http::Request<Body>> for Records<K> {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let this = self.clone();
        let path = request.uri().path().to_owned();
        async move {
            Ok(if path == K::INSERT {
                Answerer::new(ProstCodec::<Inserted, Insert<K>>::default()).unary(this, request).await
            } else if path == K::INSERT_MANY {
                let codec = ProstCodec::<Inserted, InsertMany<K>>::default();
                Answerer::new(codec).accept_compressed(CompressionEncoding::Gzip).unary(this, request).await
            } else if path == K::INSERT_ALL {
                Answerer::new(ProstCodec::<Inserted, Insert<K>>::default())
                    .client_streaming(this, request)
                    .await
            } else if path == K::INSERT_EACH {
                Answerer::new(ProstCodec::<Acknowledged, Insert<K>>::default()).streaming(this, request).await
            } else {
                Status::unimplemented(path).into_http()
            })
        }
        .boxed()
    }
}

/// Serves one kind on a free port of loopback.
pub async fn serve<K: Kind>() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    let incoming = TcpListenerStream::new(listener).inspect_ok(|stream| drop(stream.set_nodelay(true)));
    tokio::spawn(Server::builder().serve_with_incoming(Records::<K>(PhantomData), incoming));
    Ok(address)
}

async fn connect(at: SocketAddr) -> Result<Caller<Channel>, Fault> {
    Ok(Caller::new(Endpoint::from_shared(format!("http://{at}"))?.connect().await?))
}

/// Unary calls, a call an operation.
pub struct Unary<K> {
    caller: Caller<Channel>,
    shape: Shape,
    kind: PhantomData<K>,
}

impl<K: Kind> Unary<K> {
    /// Connects; HTTP/2's settings are exchanged.
    pub async fn open(at: SocketAddr, shape: Shape, gzip: bool) -> Result<Self, Fault> {
        let caller = connect(at).await?;
        let caller = if gzip { caller.send_compressed(CompressionEncoding::Gzip) } else { caller };
        Ok(Self { caller, shape, kind: PhantomData })
    }
}

/// One call, by a caller of its own: clones share the connection.
async fn insert<K: Kind>(mut caller: Caller<Channel>, records: Vec<K>, single: bool) -> Result<(), Fault> {
    caller.ready().await?;
    if single {
        let request = Request::new(Insert { record: records.into_iter().next() });
        let codec = ProstCodec::<Insert<K>, Inserted>::default();
        caller.unary(request, PathAndQuery::from_static(K::INSERT), codec).await?;
    } else {
        let codec = ProstCodec::<InsertMany<K>, Inserted>::default();
        let request = Request::new(InsertMany { records });
        caller.unary(request, PathAndQuery::from_static(K::INSERT_MANY), codec).await?;
    }
    Ok(())
}

impl<K: Kind> Link for Unary<K> {
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault> {
        let single = self.shape.batch == 1;
        let batches = records.chunks(self.shape.batch).map(|batch| batch.iter().map(K::from).collect());
        let calls = stream::iter(batches).map(|batch: Vec<K>| insert(self.caller.clone(), batch, single));
        calls.buffer_unordered(self.shape.window).try_collect::<()>().await
    }

    async fn close(self) -> Result<(), Fault> {
        Ok(())
    }
}

/// One call of a stream of records for each run of them; one answer behind the last.
pub struct ClientStream<K> {
    caller: Caller<Channel>,
    kind: PhantomData<K>,
}

impl<K: Kind> ClientStream<K> {
    /// Connects.
    pub async fn open(at: SocketAddr) -> Result<Self, Fault> {
        Ok(Self { caller: connect(at).await?, kind: PhantomData })
    }
}

impl<K: Kind> Link for ClientStream<K> {
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault> {
        let inserts: Vec<_> = records.iter().map(|record| Insert { record: Some(K::from(record)) }).collect();
        self.caller.ready().await?;
        let codec = ProstCodec::<Insert<K>, Inserted>::default();
        let request = Request::new(stream::iter(inserts));
        self.caller.client_streaming(request, PathAndQuery::from_static(K::INSERT_ALL), codec).await?;
        Ok(())
    }

    async fn close(self) -> Result<(), Fault> {
        Ok(())
    }
}

/// One call for all: a stream of records, and a stream of an answer for each.
pub struct BothStreams<K: Kind> {
    inserts: mpsc::Sender<Insert<K>>,
    answers: Streaming<Acknowledged>,
    sent: u64,
    shape: Shape,
    /// The connection lives as long as one.
    _caller: Caller<Channel>,
}

impl<K: Kind> BothStreams<K> {
    /// Connects and opens the streams.
    pub async fn open(at: SocketAddr, shape: Shape) -> Result<Self, Fault> {
        let mut caller = connect(at).await?;
        caller.ready().await?;
        let (inserts, queued) = mpsc::channel(QUEUE);
        let codec = ProstCodec::<Insert<K>, Acknowledged>::default();
        let request = Request::new(ReceiverStream::new(queued));
        let path = PathAndQuery::from_static(K::INSERT_EACH);
        let answers = caller.streaming(request, path, codec).await?.into_inner();
        Ok(Self { inserts, answers, sent: 0, shape, _caller: caller })
    }

    async fn next_acknowledged(&mut self) -> Result<u64, Fault> {
        Ok(self.answers.message().await?.ok_or("the stream ended")?.number)
    }
}

impl<K: Kind> Link for BothStreams<K> {
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault> {
        let mut acknowledged = self.sent;
        for record in records {
            self.inserts.send(Insert { record: Some(K::from(record)) }).await?;
            self.sent += 1;
            if self.sent - acknowledged == self.shape.window as u64 {
                acknowledged = self.next_acknowledged().await?;
            }
        }
        while acknowledged < self.sent {
            acknowledged = self.next_acknowledged().await?;
        }
        Ok(())
    }

    async fn close(self) -> Result<(), Fault> {
        let Self { inserts, mut answers, .. } = self;
        drop(inserts);
        while answers.message().await?.is_some() {}
        Ok(())
    }
}
