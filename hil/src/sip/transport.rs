//! Sockets: UDP and TCP on the same port, one queue of what arrived. Datagrams go through the [`Network`].

use super::{Message, Network, lock};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, Weak};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::AbortHandle;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Protocol {
    #[default]
    Udp,
    Tcp,
}

impl Protocol {
    /// As in a Via.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Udp => "UDP",
            Protocol::Tcp => "TCP",
        }
    }
}

/// Who is at the other end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Peer {
    pub protocol: Protocol,
    pub address: SocketAddr,
}

/// What arrived: a message, or bytes that are none.
pub(super) type Arrival = (Result<Message, super::Malformed>, Peer);

pub(super) struct Transport {
    pub(super) local: SocketAddr,
    udp: Arc<UdpSocket>,
    network: Arc<Network>,
    connections: Mutex<HashMap<SocketAddr, UnboundedSender<Vec<u8>>>>,
    arrived: UnboundedSender<Arrival>,
    tasks: Mutex<Vec<AbortHandle>>,
}

impl Transport {
    /// Listens on `ip` and `port` (0: any) with both protocols.
    pub(super) async fn open(
        ip: IpAddr,
        port: u16,
        network: Arc<Network>,
    ) -> io::Result<(Arc<Transport>, UnboundedReceiver<Arrival>)> {
        let (udp, tcp) = bind(ip, port).await?;
        let (arrived, arrivals) = unbounded_channel();
        let transport = Arc::new(Transport {
            local: udp.local_addr()?,
            udp: Arc::new(udp),
            network,
            connections: Mutex::new(HashMap::new()),
            arrived,
            tasks: Mutex::new(Vec::new()),
        });
        let listen = tokio::spawn(accept(tcp, Arc::downgrade(&transport)));
        let datagrams = tokio::spawn(receive(
            transport.udp.clone(),
            transport.network.clone(),
            transport.arrived.clone(),
        ));
        lock(&transport.tasks).extend([listen.abort_handle(), datagrams.abort_handle()]);
        Ok((transport, arrivals))
    }

    /// Sends as the network lets it; what cannot be sent is lost, as it would be further out.
    pub(super) fn send(self: &Arc<Self>, bytes: Vec<u8>, to: Peer) {
        match to.protocol {
            Protocol::Udp => {
                for after in self.network.fate().into_iter().flatten() {
                    let (socket, bytes) = (self.udp.clone(), bytes.clone());
                    if after.is_zero() && socket.try_send_to(&bytes, to.address).is_ok() {
                        continue;
                    }
                    tokio::spawn(async move {
                        tokio::time::sleep(after).await;
                        socket.send_to(&bytes, to.address).await
                    });
                }
            }
            Protocol::Tcp => {
                let mut connections = lock(&self.connections);
                let known = connections.get(&to.address).filter(|sender| !sender.is_closed());
                let sender = known.cloned().unwrap_or_else(|| {
                    let (sender, outgoing) = unbounded_channel();
                    self.keep(
                        tokio::spawn(connect(to.address, outgoing, Arc::downgrade(self))).abort_handle(),
                    );
                    connections.insert(to.address, sender.clone());
                    sender
                });
                // A connection that just ended loses what is written to it.
                drop(sender.send(bytes));
            }
        }
    }

    /// Cuts all connections.
    pub(super) fn cut(&self) {
        lock(&self.connections).clear();
    }

    fn keep(&self, task: AbortHandle) {
        let mut tasks = lock(&self.tasks);
        tasks.retain(|task| !task.is_finished());
        tasks.push(task);
    }
}

impl Drop for Transport {
    fn drop(&mut self) {
        lock(&self.tasks).iter().for_each(AbortHandle::abort);
    }
}

/// The two protocols on one port; a free one may be taken in between, so that there are several tries.
async fn bind(ip: IpAddr, port: u16) -> io::Result<(UdpSocket, TcpListener)> {
    let mut tries = 0;
    loop {
        let udp = UdpSocket::bind((ip, port)).await?;
        match TcpListener::bind(udp.local_addr()?).await {
            Ok(tcp) => return Ok((udp, tcp)),
            Err(why) if port != 0 || tries == 20 => return Err(why),
            Err(_) => tries += 1,
        }
    }
}

async fn receive(socket: Arc<UdpSocket>, network: Arc<Network>, arrived: UnboundedSender<Arrival>) {
    let mut buffer = vec![0; 65_536];
    loop {
        // An ICMP error of an earlier datagram is told here; the socket goes on.
        let Ok((length, address)) = socket.recv_from(&mut buffer).await else { continue };
        let bytes = buffer.get(..length).unwrap_or_default();
        // Keep-alives, RFC 5626 §3.5.1.
        if bytes.iter().all(|b| matches!(b, b'\r' | b'\n' | 0)) {
            continue;
        }
        let peer = Peer { protocol: Protocol::Udp, address };
        for after in network.fate().into_iter().flatten() {
            let (message, arrived) = (Message::read(bytes), arrived.clone());
            if after.is_zero() {
                drop(arrived.send((message, peer)));
            } else {
                tokio::spawn(async move {
                    tokio::time::sleep(after).await;
                    drop(arrived.send((message, peer)));
                });
            }
        }
    }
}

async fn accept(listener: TcpListener, transport: Weak<Transport>) {
    while let Ok((stream, address)) = listener.accept().await {
        let Some(transport) = transport.upgrade() else { return };
        let (sender, outgoing) = unbounded_channel();
        lock(&transport.connections).insert(address, sender);
        let task = tokio::spawn(serve(stream, address, outgoing, transport.arrived.clone()));
        transport.keep(task.abort_handle());
    }
}

async fn connect(address: SocketAddr, outgoing: UnboundedReceiver<Vec<u8>>, transport: Weak<Transport>) {
    let connecting = tokio::time::timeout(Duration::from_secs(5), TcpStream::connect(address));
    let Ok(Ok(stream)) = connecting.await else { return };
    let Some(arrived) = transport.upgrade().map(|t| t.arrived.clone()) else { return };
    // Ends with the connection.
    drop(serve(stream, address, outgoing, arrived).await);
}

/// One connection until either end has enough of it.
async fn serve(
    mut stream: TcpStream,
    address: SocketAddr,
    mut outgoing: UnboundedReceiver<Vec<u8>>,
    arrived: UnboundedSender<Arrival>,
) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let peer = Peer { protocol: Protocol::Tcp, address };
    let (mut read, mut write) = stream.split();
    let (mut held, mut piece) = (Vec::new(), vec![0; 16 * 1024]);
    loop {
        tokio::select! {
            bytes = outgoing.recv() => match bytes {
                Some(bytes) => write.write_all(&bytes).await?,
                None => return Ok(()),
            },
            length = read.read(&mut piece) => {
                let length = length?;
                if length == 0 {
                    return Ok(());
                }
                held.extend_from_slice(piece.get(..length).unwrap_or_default());
                loop {
                    match Message::read_stream(&held) {
                        Ok(None) => break,
                        Ok(Some((message, taken))) => {
                            held.drain(..taken);
                            drop(arrived.send((Ok(message), peer)));
                        }
                        Err(why) => {
                            drop(arrived.send((Err(why), peer)));
                            return Ok(());
                        }
                    }
                }
            }
        }
    }
}
