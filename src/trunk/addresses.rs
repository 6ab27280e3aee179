//! Says when the machine's addresses or routes may have changed: the kernel's own notes (rtnetlink), read only to
//! be woken. What changed is found by asking for the way to each neighbour again; where there is no netlink, that
//! happens every two seconds all the same.

use std::io;

use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use tokio::net::UnixDatagram;

/// RTMGRP_LINK, RTMGRP_IPV4_IFADDR, RTMGRP_IPV4_ROUTE, RTMGRP_IPV6_IFADDR, RTMGRP_IPV6_ROUTE of `linux/rtnetlink.h`.
const GROUPS: u32 = 0x1 | 0x10 | 0x40 | 0x100 | 0x400;

/// A netlink socket, in the clothes of the one datagram socket that asks nothing about addresses.
pub(super) struct AddressWatch(Option<UnixDatagram>);

impl AddressWatch {
    /// Listens, if the system lets it.
    pub(super) fn open() -> Self {
        let opened = open();
        if let Err(why) = &opened {
            tracing::debug!(%why, "no netlink: changes of address are noticed by asking every two seconds");
        }
        Self(opened.ok())
    }

    /// Waits until something changed, and reads all that the kernel says of it.
    pub(super) async fn changed(&mut self) {
        while let Some(socket) = &self.0 {
            match drain(socket).await {
                Ok(()) => return,
                Err(why) => tracing::debug!(%why, "netlink is gone"),
            }
            self.0 = None;
        }
        std::future::pending().await
    }
}

async fn drain(socket: &UnixDatagram) -> io::Result<()> {
    let mut note = [0; 4096];
    loop {
        socket.readable().await?;
        let mut seen = false;
        loop {
            match socket.try_recv(&mut note) {
                Ok(_) => seen = true,
                // Notes that were lost are a change too.
                Err(why) if why.raw_os_error() == Some(rustix::io::Errno::NOBUFS.raw_os_error()) => {
                    seen = true
                }
                Err(why) if why.kind() == io::ErrorKind::WouldBlock => break,
                Err(why) => return Err(why),
            }
        }
        if seen {
            return Ok(());
        }
    }
}

fn open() -> io::Result<UnixDatagram> {
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    // Protocol 0 is NETLINK_ROUTE.
    let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, None)?;
    rustix::net::bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    UnixDatagram::from_std(socket.into())
}
