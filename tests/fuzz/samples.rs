//! What the mutants are made of: good inputs of every kind, and the words of each grammar.

fn wire(text: &str) -> Vec<u8> {
    let (head, body) = text.trim_start().split_once("\n\n").unwrap_or((text.trim_start(), ""));
    let body = body.replace('\n', "\r\n");
    let head: String =
        head.lines().map(|l| format!("{}\r\n", l.replace("LENGTH", &body.len().to_string()))).collect();
    format!("{head}\r\n{body}").into_bytes()
}

const INVITE: &str = "INVITE sip:100@192.0.2.1;user=phone SIP/2.0
Via: SIP/2.0/UDP 198.51.100.7:5060;branch=z9hG4bK1;rport, SIP/2.0/TCP [2001:db8::9]:5061;branch=z9hG4bK0;received=192.0.2.9
Max-Forwards: 70
From: \"A, \\\"B\\\"\" <sip:x%20y@198.51.100.7>;tag=ft
t: <sip:100@192.0.2.1>
i: c1@198.51.100.7
CSeq: 1 INVITE
m: <sip:x@198.51.100.7:5060;transport=udp;ob>;+sip.instance=\"<urn:uuid:1>\";expires=60
Route: <sip:p1.example;lr>, <sip:p2.example;lr>
Record-Route: <sip:p3.example;lr>
k: 100rel, timer, replaces
Session-Expires: 1800;refresher=uac
Min-SE: 90
Allow: INVITE, ACK, BYE, CANCEL
P-Asserted-Identity: \"Shop\" <sip:+12065550101@p.example>, <tel:+12065550101>
Privacy: id; critical
Date: Sat, 13 Nov 2010 23:29:00 GMT
Subject: folded
 over
\ttwo lines
c: application/sdp
l: LENGTH

v=0
o=- 1 1 IN IP4 198.51.100.7
s=-
c=IN IP4 198.51.100.7
t=0 0
m=audio 4000 RTP/AVP 0 8 101
a=rtpmap:101 telephone-event/8000
a=fmtp:101 0-16
";

const OTHERS: [&str; 7] = [
    "REGISTER sip:shop.example SIP/2.0
v: SIP/2.0/TLS phone.example:5061;branch=z9hG4bKr;alias
f: <sip:101@shop.example>;tag=a
t: <sip:101@shop.example>
i: r1
CSeq: 2147483647 REGISTER
Contact: *
Expires: 0
Authorization: Digest username=\"101\", realm=\"backroom\", nonce=\"00\", uri=\"sip:shop.example\", response=\"00\", \
cnonce=\"x\", qop=auth, nc=00000001, algorithm=SHA-256
Content-Length: 0
",
    "SIP/2.0 200 OK
Via: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK77;received=203.0.113.4;rport=61000
From: <sip:a@b>;tag=1
To: <sip:c@d>;tag=2
Call-ID: x
CSeq: 3 REGISTER
Contact: <sip:br-00@192.0.2.1:5060>;expires=3600;q=0.5
Service-Route: <sip:edge.example;lr>
Retry-After: 120 (I am (very) busy);duration=60
Warning: 307 isi.example \"x \\\" y\", 301 h:5 \"z\"
Content-Length: 0
",
    "SIP/2.0 401 Unauthorized
Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK77
From: <sip:a@b>;tag=1
To: <sip:c@d>;tag=2
Call-ID: x
CSeq: 3 INVITE
WWW-Authenticate: Digest realm=\"a\", nonce=\"b\", Digest realm=\"c\", nonce=\"d\", qop=\"auth,auth-int\", stale=TRUE
Proxy-Authenticate: Digest realm=\"a\", nonce=\"b\", algorithm=MD5-sess, opaque=\"\"
Content-Length: 0
",
    "REFER sip:x@192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKref
From: <sip:a@b>;tag=1
To: <sip:c@d>;tag=2
Call-ID: x
CSeq: 4 REFER
Contact: <sip:a@b>
r: \"T\" <sip:t@192.0.2.1?Replaces=c%40h%3Bto-tag%3D1%3Bfrom-tag%3D2>
b: <sip:a@b>
Replaces: a@b;to-tag=1;from-tag=2;early-only
Reason: Q.850;cause=16;text=\"Terminated, so\", SIP;cause=200
Content-Length: 0
",
    "PRACK sip:x@192.0.2.1 SIP/2.0
Via: SIP / 2.0 / UDP 192.0.2.7 ; branch = z9hG4bKpr
From: <sip:a@b>;tag=1
To: <sip:c@d>;tag=2
Call-ID: x
CSeq: 5 PRACK
RAck: 776656 1 INVITE
RSeq: 7
Require: 100rel, foo
Proxy-Require: bar
Content-Length: 0
",
    "NOTIFY sip:x@192.0.2.1 SIP/2.0
Via: SIP/2.0/UDP 192.0.2.7;branch=z9hG4bKno
From: <sip:a@b>;tag=1
To: <sip:c@d>;tag=2
Call-ID: x
CSeq: 6 NOTIFY
o: refer;id=1
Subscription-State: active;expires=60
Content-Type: message/sipfrag;version=2.0
Content-Disposition: session;handling=optional
Content-Length: LENGTH

SIP/2.0 100 Trying
",
    "!odd-Method0123456789_*+`.%indeed'~ tel:+1-206-555-0101;ext=1 SIP/2.0
Via: SIP/2.0/UDP old.example
From: sip:a@b
To: urn:service:sos
Call-ID: odd
CSeq: 0 !odd-Method0123456789_*+`.%indeed'~
Max-Forwards: 0
Accept: */*;q=0
",
];

/// Whole messages.
pub(crate) fn messages() -> Vec<Vec<u8>> {
    [INVITE].iter().chain(&OTHERS).map(|text| wire(text)).collect()
}

/// Several messages behind each other, with keep-alives.
pub(crate) fn streams() -> Vec<Vec<u8>> {
    let all = messages();
    let mut both = b"\r\n\r\n".to_vec();
    all.iter().for_each(|m| both.extend_from_slice(m));
    both.extend_from_slice(b"\r\n\r\n\r\n");
    let mut seeds: Vec<_> =
        all.iter().zip(all.iter().rev()).map(|(a, b)| [a.as_slice(), b].concat()).collect();
    seeds.push(both);
    seeds
}

/// Words of messages.
pub(crate) const SIP_WORDS: &[&str] = &[
    "\r\n\r\n",
    "\r\n ",
    "\n",
    "SIP/2.0",
    "SIP/3.0",
    "sip:",
    "sips:",
    "tel:",
    "urn:",
    "INVITE ",
    "ACK ",
    "BYE ",
    "CANCEL ",
    "OPTIONS ",
    "REGISTER ",
    "PRACK ",
    "UPDATE ",
    "Via: SIP/2.0/UDP h;branch=z9hG4bK",
    "z9hG4bK",
    ";rport",
    ";received=",
    ";branch=",
    ";tag=",
    ";lr",
    ";q=0.",
    ";expires=",
    "Contact: ",
    "Contact: *\r\n",
    "Content-Length: ",
    "l: ",
    "Content-Type: ",
    "multipart/mixed;boundary=x",
    "Require: ",
    "Max-Forwards: ",
    "Route: <sip:h;lr>\r\n",
    "Replaces: ",
    "Authorization: Digest ",
    "Call-ID: ",
    "CSeq: ",
    "From: ",
    "To: ",
    "\"",
    "\\\"",
    "<",
    ">",
    "%00",
    "%",
    "[::1]",
    "[::ffff:1.2.3.4]",
    ",",
    ", ,",
    "\0",
    "\u{20ac}",
];

/// URIs, name-addrs, Vias.
pub(crate) fn addresses() -> Vec<Vec<u8>> {
    [
        "sip:alice.smith@example.com",
        "sip:+15551234;phone-context=x:pass%20word@10.0.0.1:5060;user=phone;transport=tcp?Subject=a&Route=%3Csip:x%3E",
        "sips:[2001:db8::1]:5061;maddr=[ff02::1];ttl=15;lr",
        "sip:user;par=u%40example.net@example.com",
        "tel:+1-201-555-0123;ext=22;phone-context=example.com",
        "urn:service:sos.fire",
        "\"Bob \\\" <x>\" <sip:bob@h;lr>;tag=1;q=0.123;expires=60;x=\"y;z\"",
        "Joe Doe <sip:%61lice@atlanta.com;transport=TCP>;methods=\"INVITE,BYE\"",
        "sip:a@h;tag=1",
        "*",
        "SIP/2.0/UDP [2001:db8::9]:5060;received=[2001:db8::9];branch=z9hG4bKx;rport=1;ttl=16 (comment (inside))",
        "SIP / 2.0 / TCP  host.example : 5060 ;branch=z9hG4bK;maddr=224.2.0.1",
        "192.0.2.0/24",
        "2001:db8::/32",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

/// Words of addresses.
pub(crate) const ADDRESS_WORDS: &[&str] = &[
    "sip:",
    "sips:",
    "tel:",
    "urn:",
    "@",
    ":",
    ";",
    "?",
    "&",
    "=",
    "%",
    "%00",
    "%2",
    "%zz",
    "[",
    "]",
    "[::1]",
    "[:::1]",
    "[::1%25eth0]",
    "1.2.3.4",
    "999.1.1.1",
    ":0",
    ":65536",
    ";lr",
    ";transport=",
    ";maddr=",
    "\"",
    "\\",
    "<",
    ">",
    "SIP/2.0/UDP ",
    ";branch=z9hG4bK",
    ";received=",
    ";rport=",
    "(",
    ")",
    "\u{e9}",
    "\0",
];

/// Descriptions.
pub(crate) fn descriptions() -> Vec<Vec<u8>> {
    [
        "v=0\r\no=- 20518 0 IN IP4 203.0.113.1\r\ns= \r\nc=IN IP4 203.0.113.1\r\nt=0 0\r\na=sendrecv\r\n\
         m=audio 54400 RTP/AVP 0 8 9 96 101\r\na=rtpmap:96 opus/48000/2\r\na=rtpmap:101 telephone-event/8000\r\n\
         a=fmtp:101 0-15\r\na=ptime:20\r\na=rtcp-mux\r\na=rtcp:54401 IN IP4 203.0.113.1\r\n",
        "v=0\r\no=jdoe 2890844526 2890842807 IN IP6 2001:db8::1\r\ns=x\r\nc=IN IP6 2001:db8::1\r\nb=AS:64\r\nt=0 0\r\n\
         m=audio 4000/2 RTP/SAVP 8\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 \
         inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj|2^20|1:4\r\na=crypto:2 AES_CM_128_HMAC_SHA1_32 \
         inline:d0RmdmcmVCspeEc3QGZiNWpVLFJhQX1cfHAwJSoj\r\na=inactive\r\n\
         m=video 0 RTP/AVP 31\r\nm=image 5000 udptl t38\r\n",
        "v=0\no=- 1 1 IN IP4 0.0.0.0\ns=-\nc=IN IP4 0.0.0.0\nt=0 0\nm=audio 9 RTP/AVP 0\na=sendonly\n",
        "v=0\r\no=- 1 2 IN IP4 10.0.0.1\r\ns=-\r\nt=0 0\r\nm=audio 7000 RTP/AVP 18 4 13 97\r\nc=IN IP4 224.2.1.1/127/3\r\n\
         a=rtpmap:18 G729/8000\r\na=fmtp:18 annexb=no\r\na=rtpmap:97 CN/8000\r\na=recvonly\r\na=maxptime:150\r\n",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

/// Words of descriptions.
pub(crate) const SDP_WORDS: &[&str] = &[
    "v=0\r\n",
    "o=",
    "s=-\r\n",
    "c=IN IP4 ",
    "c=IN IP6 ",
    "t=0 0\r\n",
    "m=audio ",
    "m=",
    " RTP/AVP ",
    " RTP/SAVP ",
    " RTP/AVPF ",
    "a=rtpmap:",
    "a=fmtp:",
    "a=ptime:",
    "a=crypto:",
    "inline:",
    "a=rtcp:",
    "a=rtcp-mux\r\n",
    "a=sendonly\r\n",
    "telephone-event/8000",
    "PCMU/8000",
    "G722/8000",
    "CN/8000",
    "b=AS:",
    "r=",
    "z=",
    "k=",
    "/",
    "0.0.0.0",
    "::",
    "127",
    "128",
    "\r\n",
    "=",
    "\0",
    "\u{e9}",
];

/// Challenges and credentials.
pub(crate) fn credentials() -> Vec<Vec<u8>> {
    [
        "Digest username=\"101\", realm=\"backroom\", nonce=\"0000000000000000000000000000000100112233445566778899aabbccddeeff\", \
         uri=\"sip:shop.example\", response=\"6629fae49393a05397450978507c4ef1\", algorithm=MD5, cnonce=\"0a4f113b\", \
         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\", qop=auth, nc=0000000a",
        "Digest realm=\"r, \\\"x\\\"\", nonce=\"dcd98b7102dd2f0e\", qop=\"auth,auth-int\", algorithm=SHA-256, stale=true",
        "Digest realm=\"a\", nonce=\"b\", algorithm=MD5-sess, opaque=\"\"",
        "digest  Realm = a , NONCE = b , qop = \"\" , domain = \"sip:x sip:y\"",
        "Basic dXNlcjpwYXNz==",
        "NoOneKnowsThisScheme opaque-data=here",
        "Digest realm=\"a\", nonce=\"b\", Digest realm=\"c\", nonce=\"d\"",
    ]
    .iter()
    .map(|text| text.as_bytes().to_vec())
    .collect()
}

/// Words of challenges and credentials.
pub(crate) const DIGEST_WORDS: &[&str] = &[
    "Digest ",
    "realm=",
    "nonce=",
    "qop=",
    "auth",
    "auth-int",
    "nc=",
    "cnonce=",
    "response=",
    "uri=",
    "username=",
    "algorithm=",
    "MD5",
    "MD5-sess",
    "SHA-256",
    "SHA-256-sess",
    "SHA-512-256",
    "stale=",
    "true",
    "opaque=",
    ", ",
    "\"\"",
    "\"",
    "\\\"",
    "=",
    "==",
    "00000001",
    "ffffffff",
    "backroom",
    "\r\n",
    "\0",
    "\u{e9}",
];

fn packet(sequence: u8, payload_type: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x80, payload_type, 0, sequence, 0, 0, sequence, 0, 0, 0, 0, 7];
    bytes.extend_from_slice(payload);
    bytes
}

fn listed(datagrams: &[Vec<u8>]) -> Vec<u8> {
    datagrams.iter().flat_map(|d| [&[u8::try_from(d.len()).unwrap_or(0)], d.as_slice()].concat()).collect()
}

/// RTP: several datagrams each, with their lengths before them.
pub(crate) fn packets() -> Vec<Vec<u8>> {
    let audio: Vec<_> = (0..30).map(|n| packet(n, 0, &[0xd5; 160])).collect();
    let mixed: Vec<_> =
        (0..20).map(|n| packet(n, [0, 13, 101, 96][usize::from(n) % 4], &[n, 10, 3, 32])).collect();
    let mut extended = packet(1, 0, &[0xbe, 0xde, 0, 1, 0x10, 0xff, 0, 0, 1, 2, 3, 4]);
    extended[0] = 0x90;
    let mut sources = packet(2, 0, &[0, 0, 0, 1, 0, 0, 0, 2, 9, 9, 0, 2]);
    sources[0] = 0xa2;
    vec![listed(&audio), listed(&mixed), listed(&[extended, sources])]
}

/// RTCP compounds in the same form.
pub(crate) fn reports() -> Vec<Vec<u8>> {
    let sender = [&[0x81, 200, 0, 12, 0, 0, 0, 7][..], &[1; 20], &[0, 0, 0, 1], &[9; 20]].concat();
    let receiver = [&[0x81, 201, 0, 7, 0, 0, 0, 7][..], &[2; 24]].concat();
    let description = [&[0x81, 202, 0, 3, 0, 0, 0, 7, 1, 4][..], b"a@bc", &[0, 0]].concat();
    let goodbye = [&[0x82, 203, 0, 4, 0, 0, 0, 7, 0, 0, 0, 8, 6][..], b"reason", &[0]].concat();
    vec![
        listed(&[[sender, description.clone(), goodbye].concat()]),
        listed(&[[receiver.clone(), description.clone()].concat(), receiver]),
        listed(&[description]),
    ]
}

/// Packets of telephone-events; see the target.
pub(crate) fn keys() -> Vec<Vec<u8>> {
    let key = |event: u8, step: u8| -> Vec<u8> {
        (0..8)
            .flat_map(|n| [1, if n == 0 { 2 } else { 20 }, event, if n > 5 { 0x8a } else { 10 }, 0, step * n])
            .collect()
    };
    vec![key(1, 20), [key(11, 10), key(11, 30), key(16, 5)].concat(), key(255, 31)]
}
