//! REST: JSON over HTTP/1.1, one connection that is kept alive.
//!
//! ```text
//!   PUT /v1/bugs/ID            one record, without its id, which is in the path
//!   POST /v1/bugs              an array of records, with their ids
//! ```
//!
//! Both are answered `204 No Content`. The client sends what the library reqwest sends without being told more: Host, Accept,
//! Content-Type, Content-Length; no User-Agent, no cookies, no Authorization. The server adds Date, as HTTP asks of it.

use std::convert::Infallible;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr};

use blazedb::blazebinary::Record;
use blazedb_peers::records::to_map;
use bytes::Bytes;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use http::header::{ACCEPT, CONTENT_ENCODING, CONTENT_TYPE, HOST};
use http::{Method, Request, Response, StatusCode};
use http_body_util::{BodyExt, Empty, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde_json::Value as Json;
use tokio::net::{TcpListener, TcpStream};

use crate::link::{Fault, Link, Shape};

/// Serves on a free port of loopback.
pub async fn serve() -> Result<SocketAddr, Fault> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let address = listener.local_addr()?;
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let _ = stream.set_nodelay(true);
            let connection = hyper::server::conn::http1::Builder::new()
                .serve_connection(TokioIo::new(stream), service_fn(answer));
            tokio::spawn(connection);
        }
    });
    Ok(address)
}

/// Reads all of the document, as a server that stores it would, and keeps nothing.
async fn answer(request: Request<Incoming>) -> Result<Response<Empty<Bytes>>, Infallible> {
    let status = if taken(request).await.is_ok() { StatusCode::NO_CONTENT } else { StatusCode::BAD_REQUEST };
    let mut response = Response::new(Empty::new());
    *response.status_mut() = status;
    Ok(response)
}

async fn taken(request: Request<Incoming>) -> Result<(), Fault> {
    let is_packed = request.headers().contains_key(CONTENT_ENCODING);
    let body = request.into_body().collect().await?.to_bytes();
    let mut text = Vec::new();
    if is_packed {
        GzDecoder::new(&*body).read_to_end(&mut text)?;
    } else {
        text.extend_from_slice(&body);
    }
    serde_json::from_slice::<Json>(&text)?;
    Ok(())
}

/// A client with one connection.
pub struct Rest {
    sender: SendRequest<Full<Bytes>>,
    host: String,
    collection: &'static str,
    shape: Shape,
    gzip: bool,
}

impl Rest {
    /// Connects. A connection of HTTP/1.1 has no setup of its own.
    pub async fn open(
        at: SocketAddr,
        collection: &'static str,
        shape: Shape,
        gzip: bool,
    ) -> Result<Self, Fault> {
        let stream = TcpStream::connect(at).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self { sender, host: at.to_string(), collection, shape, gzip })
    }

    async fn send(&mut self, method: Method, path: String, body: Vec<u8>) -> Result<(), Fault> {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(CONTENT_TYPE, "application/json")
            .header(ACCEPT, "*/*")
            .header(HOST, &self.host);
        let request = match self.gzip {
            true => request.header(CONTENT_ENCODING, "gzip").body(gzipped(&body)?),
            false => request.body(body),
        }?;
        self.sender.ready().await?;
        let response = self.sender.send_request(request.map(|body| Full::new(body.into()))).await?;
        let status = response.status();
        response.into_body().collect().await?;
        if status == StatusCode::NO_CONTENT { Ok(()) } else { Err(status.to_string().into()) }
    }
}

/// With the level that most tools use without being told: 6.
fn gzipped(body: &[u8]) -> Result<Vec<u8>, Fault> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    packed.write_all(body)?;
    Ok(packed.finish()?)
}

impl Link for Rest {
    async fn store(&mut self, records: &[Record]) -> Result<(), Fault> {
        if self.shape.batch == 1 {
            for record in records {
                let mut document = to_map(record);
                let id =
                    document.remove("id").and_then(|id| id.as_str().map(str::to_owned)).ok_or("no id")?;
                let body = serde_json::to_vec(&document)?;
                self.send(Method::PUT, format!("/v1/{}/{id}", self.collection), body).await?;
            }
            return Ok(());
        }
        for batch in records.chunks(self.shape.batch) {
            let documents: Vec<Json> = batch.iter().map(|record| Json::Object(to_map(record))).collect();
            self.send(Method::POST, format!("/v1/{}", self.collection), serde_json::to_vec(&documents)?)
                .await?;
        }
        Ok(())
    }

    async fn close(self) -> Result<(), Fault> {
        Ok(())
    }
}
