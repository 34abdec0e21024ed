//! How much of the places of handshakes one address may have, so that who connects and says nothing keeps out its own
//! neighbours alone (`spec/doors.md`, D-2.7).
//!
//! Nobody is refused for it: a connection over the allowance of its address waits, accepted and unread.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The bits of an IPv6 address by which it is counted: who has a network of 64 bits, which is what providers give, has all
/// addresses in it.
const IPV6_NETWORK: u128 = !0 << 64;

/// The allowances of all addresses that have somebody in the handshake.
#[derive(Debug)]
pub(super) struct Allowances {
    each: usize,
    /// Those that some [`Share`] is of.
    of: Mutex<HashMap<IpAddr, Arc<Semaphore>>>,
}

/// A connection's part of the allowance of its address, taken or waited for.
#[derive(Debug)]
pub(super) struct Share {
    allowances: Arc<Allowances>,
    network: IpAddr,
    permit: Option<OwnedSemaphorePermit>,
}

impl Allowances {
    /// Each address may have so many connections in their handshake.
    pub(super) fn new(each: usize) -> Self {
        Self { each, of: Mutex::default() }
    }

    /// The share of a connection from this address, not taken yet.
    pub(super) fn share(self: &Arc<Self>, address: IpAddr) -> Share {
        Share { allowances: self.clone(), network: network(address), permit: None }
    }

    fn of(&self, network: IpAddr) -> Arc<Semaphore> {
        self.lock().entry(network).or_insert_with(|| Arc::new(Semaphore::new(self.each))).clone()
    }

    /// Nothing is kept of an address that nobody comes from any more.
    fn forget(&self, network: IpAddr) {
        let mut all = self.lock();
        if all.get(&network).is_some_and(|allowance| Arc::strong_count(allowance) == 1) {
            all.remove(&network);
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<IpAddr, Arc<Semaphore>>> {
        // Each change of the map is a single call.
        self.of.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Share {
    /// Takes the share unless the allowance is used up; whether it did.
    pub(super) fn try_take(&mut self) -> bool {
        self.permit = self.allowances.of(self.network).try_acquire_owned().ok();
        self.permit.is_some()
    }

    /// Waits until it has its share, in the order of those who wait. May be dropped while it waits.
    pub(super) async fn take(&mut self) {
        // The allowance is never closed.
        self.permit = self.allowances.of(self.network).acquire_owned().await.ok();
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.permit = None;
        self.allowances.forget(self.network);
    }
}

/// What an address is counted as.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & IPV6_NETWORK).into(),
        address => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_its_own_allowance_and_an_ipv6_network_is_one() {
        for (left, right, is_one) in [
            ("127.0.0.1", "127.0.0.2", false),
            ("::ffff:127.0.0.1", "127.0.0.1", true),
            ("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true),
            ("2001:db8::1", "2001:db8:0:1::1", false),
        ] {
            let allowances = Arc::new(Allowances::new(1));
            let (mut first, mut second) = (allowances.share(address(left)), allowances.share(address(right)));
            assert!(first.try_take(), "{left}");
            assert_eq!(second.try_take(), !is_one, "{left} {right}");
        }
    }

    #[tokio::test]
    async fn who_waits_gets_what_another_gives_back_and_nothing_is_kept() {
        let allowances = Arc::new(Allowances::new(2));
        let share = || allowances.share(address("127.0.0.1"));
        let (mut one, mut two, mut three) = (share(), share(), share());
        assert!(one.try_take() && two.try_take() && !three.try_take());
        let waiting = tokio::spawn(async move {
            three.take().await;
            three
        });
        tokio::task::yield_now().await;
        assert!(!waiting.is_finished());
        drop(one);
        let three = waiting.await.unwrap();
        assert!(!share().try_take());
        // One that no longer waits leaves nothing behind either.
        let mut four = share();
        assert!(tokio::time::timeout(std::time::Duration::from_millis(1), four.take()).await.is_err());
        drop((two, three, four));
        assert!(allowances.lock().is_empty());
    }
}
