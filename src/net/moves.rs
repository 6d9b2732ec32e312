//! Tells when the box's place in the network has changed: a cable plugged in again, another Wi-Fi, a new address. Nothing is
//! sent for it and nothing polled: the kernel tells over netlink that something about addresses or routes is new, and what
//! counts is from which addresses the box would speak to the world then.

use netlink_sys::{AsyncSocket, AsyncSocketExt, SocketAddr, TokioSocket, protocols::NETLINK_ROUTE};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::time::Duration;
use tokio::sync::mpsc;

/// `RTMGRP_*` of `linux/rtnetlink.h`: addresses and routes of both families.
const GROUPS: u32 = 0x10 | 0x40 | 0x100 | 0x400;
/// A change comes as a dozen messages: counted is what there is once they have ended.
const SETTLE: Duration = Duration::from_millis(300);
/// Addresses of documentation (RFC 5737, RFC 3849): nobody has them, and the default route leads there.
const WORLD: [IpAddr; 2] = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1))];

/// What has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Change {
    /// There is a way out again, from the same address.
    Back,
    /// The box speaks from another address: paths and connections over the old one are dead.
    Moved,
}

/// Starts watching, inside a tokio runtime; it ends with its receiver. Without netlink, as in some containers, one line in the
/// log says so and nothing is ever told: connections then find out by their own deadlines.
pub fn watch() -> mpsc::Receiver<Change> {
    let (tell, told) = mpsc::channel(4);
    match open() {
        Ok(socket) => drop(tokio::spawn(run(socket, tell))),
        Err(e) => {
            log::warn!(MESSAGE_ID = crate::journal::messages::NETWORK_UNWATCHED.id; "changes of the network cannot be watched: {e}; they are noticed later. Allow AF_NETLINK sockets");
            // Kept open: a closed channel would be an end.
            tokio::spawn(async move { tell.closed().await });
        }
    }
    told
}

fn open() -> std::io::Result<TokioSocket> {
    let mut socket = TokioSocket::new(NETLINK_ROUTE)?;
    socket.socket_mut().bind(&SocketAddr::new(0, GROUPS))?;
    Ok(socket)
}

async fn run(mut socket: TokioSocket, tell: mpsc::Sender<Change>) {
    let mut place = Place::new(sources());
    let mut message = Vec::with_capacity(8192);
    loop {
        tokio::select! {
            () = tell.closed() => return,
            heard = next(&mut socket, &mut message) => if !heard {
                return log::warn!(MESSAGE_ID = crate::journal::messages::NETWORK_UNWATCHED.id; "changes of the network are not told any more; they are noticed later");
            }
        }
        while let Ok(true) = tokio::time::timeout(SETTLE, next(&mut socket, &mut message)).await {}
        if let Some(change) = place.now(sources()) {
            log::info!("the network has changed: {change:?}");
            if tell.send(change).await.is_err() {
                return;
            }
        }
    }
}

/// Something has changed. What exactly is not read: messages may have been lost anyway (`ENOBUFS`).
async fn next(socket: &mut TokioSocket, message: &mut Vec<u8>) -> bool {
    message.clear();
    match socket.recv(message).await {
        Ok(()) => true,
        Err(e) => e.raw_os_error() == Some(libc::ENOBUFS),
    }
}

/// From where the box would speak to the world, by family. No packet is sent.
fn sources() -> [Option<IpAddr>; 2] {
    WORLD.map(|world| {
        let any: IpAddr = if world.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0)).ok()?;
        socket.connect((world, 9)).ok()?;
        socket.local_addr().ok().map(|address| address.ip())
    })
}

/// Where the box is, and was when it last was anywhere.
struct Place {
    here: [Option<IpAddr>; 2],
    last: [Option<IpAddr>; 2],
}

impl Place {
    fn new(here: [Option<IpAddr>; 2]) -> Place {
        Place { here, last: here }
    }

    fn now(&mut self, here: [Option<IpAddr>; 2]) -> Option<Change> {
        let before = std::mem::replace(&mut self.here, here);
        if here == before || here == [None; 2] {
            return None;
        }
        let last = std::mem::replace(&mut self.last, here);
        // A family that went away, or came in addition, leaves the other's connections as they are.
        let moved = last.iter().zip(here).any(|(last, here)| last.is_some() && here.is_some() && *last != here);
        let none_left = !last.iter().zip(here).any(|(last, here)| last.is_some() && *last == here);
        Some(if moved || none_left { Change::Moved } else { Change::Back })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(v4: &str, v6: &str) -> [Option<IpAddr>; 2] {
        [v4.parse().ok(), v6.parse().ok()]
    }

    #[test]
    fn only_a_new_address_is_a_move() {
        let mut place = Place::new(at("10.0.0.2", ""));
        for (here, told) in [
            (at("10.0.0.2", ""), None),
            (at("", ""), None),
            (at("10.0.0.2", ""), Some(Change::Back)),
            (at("10.0.0.2", "fd00::2"), Some(Change::Back)),
            (at("10.0.0.3", "fd00::2"), Some(Change::Moved)),
            (at("", "fd00::2"), Some(Change::Back)),
            (at("", ""), None),
            (at("10.0.0.3", ""), Some(Change::Moved)),
            (at("", ""), None),
            (at("10.0.0.9", ""), Some(Change::Moved)),
        ] {
            assert_eq!(place.now(here), told, "{here:?}");
        }
    }

    #[tokio::test]
    async fn watching_ends_with_its_receiver() {
        let told = watch();
        drop(told);
        tokio::task::yield_now().await;
    }
}
