//! How many connections each address holds. Whoever opens connections and sends nothing must not keep others out, so that
//! an address may hold as many as are still free: at most half of them, two such addresses a third each, and there is
//! always room for the next one (dynamic thresholds: Choudhury and Hahne, IEEE/ACM Transactions on Networking 6(2),
//! 1998).

use std::{
    collections::HashMap,
    net::{IpAddr, Ipv6Addr},
    sync::Arc,
};

use parking_lot::Mutex;

/// The connections of all addresses that hold some.
#[derive(Default)]
pub(crate) struct Clients(Mutex<HashMap<IpAddr, usize>>);

/// A connection's place among those of its address; free again when dropped.
pub(crate) struct Held {
    clients: Arc<Clients>,
    address: IpAddr,
}

impl Clients {
    /// Notes a connection of an address, where it may have one more while `free` places are left, that of the connection
    /// not among them.
    pub(crate) fn hold(self: &Arc<Self>, address: IpAddr, free: usize) -> Option<Held> {
        let address = network(address);
        let mut clients = self.0.lock();
        let held = clients.get(&address).copied().unwrap_or(0);
        if held > 0 && held >= free {
            return None;
        }
        clients.insert(address, held + 1);
        Some(Held {
            clients: Arc::clone(self),
            address,
        })
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut clients = self.clients.0.lock();
        let Some(held) = clients.get_mut(&self.address) else {
            return;
        };
        *held -= 1;
        if *held == 0 {
            clients.remove(&self.address);
        }
    }
}

/// What one client has: an address, or a whole /64 of IPv6.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACES: usize = 12;

    /// As many connections as an address gets, beside those that are held.
    fn flood(clients: &Arc<Clients>, held: &mut Vec<Held>, address: &str) -> usize {
        let before = held.len();
        let address = address.parse().unwrap();
        while held.len() < PLACES
            && let Some(one) = clients.hold(address, PLACES - held.len() - 1)
        {
            held.push(one);
        }
        held.len() - before
    }

    #[test]
    fn nobody_gets_more_than_is_still_free() {
        let (clients, mut held) = (Arc::default(), Vec::new());
        assert_eq!(flood(&clients, &mut held, "192.0.2.1"), PLACES / 2);
        assert_eq!(flood(&clients, &mut held, "::ffff:192.0.2.1"), 0);
        assert_eq!(flood(&clients, &mut held, "192.0.2.2"), PLACES / 4);
        assert!(flood(&clients, &mut held, "2001:db8::1") >= 1);
        assert!(held.len() < PLACES);
    }

    #[test]
    fn the_last_place_is_for_somebody_who_has_none() {
        let clients: Arc<Clients> = Arc::default();
        let (one, other) = ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap());
        let _held = clients.hold(one, 1).unwrap();
        assert!(clients.hold(one, 0).is_none());
        assert!(clients.hold(other, 0).is_some());
    }

    #[test]
    fn a_network_of_ipv6_is_one_client_and_places_come_back() {
        let (clients, mut held) = (Arc::default(), Vec::new());
        assert_eq!(flood(&clients, &mut held, "2001:db8::1"), PLACES / 2);
        assert_eq!(flood(&clients, &mut held, "2001:db8::ffff:1"), 0);
        held.clear();
        assert!(clients.0.lock().is_empty());
        assert_eq!(flood(&clients, &mut held, "2001:db8::2"), PLACES / 2);
    }
}
