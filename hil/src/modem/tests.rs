//! What a client sees on the port: the machine in transcripts, the whole modem over a real PTY.
