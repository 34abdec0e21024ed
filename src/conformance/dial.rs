//! A stream of bytes to the server under test: the one place that knows a transport.

use tokio::io::{AsyncRead, AsyncWrite};

use super::failure::Failure;
use crate::transport::{Dialer, Url};

/// A stream of bytes each way.
pub(super) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// Connects to the server of `url`.
pub(super) async fn dial(url: &Url) -> Result<Box<dyn Stream>, Failure> {
    Ok(Box::new(Dialer::new(url.clone(), None).dial().await?))
}
