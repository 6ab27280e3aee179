//! The floor: UDP from one port of a pair to the other and back. What any relay in user space must spend at least.

use std::io::{self, Write as _};
use std::net::{SocketAddr, UdpSocket};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};

use super::Failed;

/// Ports from one leg to the next: RTP has the even ones.
pub(super) const STEP: u16 = 2;

/// `hil bench relay`.
#[derive(clap::Args, Debug)]
pub(super) struct Args {
    /// Where the first leg's packets come in; the next legs have every second port after it
    #[arg(long)]
    listen: SocketAddr,
    /// Where the first leg's far end is; the next in the same way
    #[arg(long)]
    peer: SocketAddr,
    /// Pairs of legs
    #[arg(long)]
    calls: u16,
}

/// The address of the leg `n` after `first`; none beyond the last port.
pub(super) fn leg_address(first: SocketAddr, n: u16) -> Option<SocketAddr> {
    let port = n.checked_mul(STEP).and_then(|more| first.port().checked_add(more))?;
    Some(SocketAddr::new(first.ip(), port))
}

/// A connected socket for leg `n`.
fn leg(args: &Args, n: u16) -> Result<UdpSocket, Failed> {
    let missing = || Failed::call("ports", "there are not so many above the first");
    let (listen, peer) = leg_address(args.listen, n).zip(leg_address(args.peer, n)).ok_or_else(missing)?;
    let made = || -> io::Result<UdpSocket> {
        let socket = UdpSocket::bind(listen)?;
        socket.connect(peer)?;
        socket.set_nonblocking(true)?;
        Ok(socket)
    };
    made().map_err(Failed::io(format!("a socket on {listen}")))
}

/// Relays until it is killed; prints a line when it is ready.
pub(super) fn run(args: &Args) -> Result<(), Failed> {
    super::process::raise_descriptors();
    let legs = (0..args.calls.saturating_mul(2)).map(|n| leg(args, n)).collect::<Result<Vec<_>, _>>()?;
    let poll = epoll::create(CreateFlags::CLOEXEC).map_err(Failed::io("epoll"))?;
    for (n, socket) in (0_u64..).zip(&legs) {
        epoll::add(&poll, socket, EventData::new_u64(n), EventFlags::IN).map_err(Failed::io("epoll"))?;
    }
    println!("{}", serde_json::json!({ "ready": true, "legs": legs.len() }));
    io::stdout().flush().map_err(Failed::io("standard output"))?;
    let mut events = Vec::with_capacity(64);
    let mut packet = [0_u8; 2048];
    loop {
        events.clear();
        match epoll::wait(&poll, spare_capacity(&mut events), None) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(why) => return Err(Failed::io("epoll")(why)),
        }
        for event in &events {
            let at = usize::try_from(event.data.u64()).unwrap_or(usize::MAX);
            let (Some(from), Some(to)) = (legs.get(at), legs.get(at ^ 1)) else { continue };
            // What cannot be received or sent is lost, as on any network.
            if let Ok(length) = from.recv(&mut packet) {
                to.send(packet.get(..length).unwrap_or_default()).ok();
            }
        }
    }
}
