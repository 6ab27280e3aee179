//! Against real endpoints over sockets.
