//! The servers that both probers ask.

use std::collections::BTreeMap;

use futures::future::join_all;

use super::Case;
use crate::server::Reply;

pub(super) const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";

pub(super) fn redirect(location: &[u8]) -> Reply {
    let head = b"HTTP/1.1 302 Found\r\nContent-Length: 0\r\nLocation: ";
    Reply::Bytes([&head[..], location, b"\r\n\r\n"].concat())
}

fn with_head(fields: &str) -> String {
    format!("HTTP/1.1 200 OK\r\n{fields}Content-Length: 2\r\n\r\nok")
}

/// A name, and what a server sends.
type Bytes = Vec<(&'static str, Vec<u8>)>;

fn x(length: usize) -> String {
    "x".repeat(length)
}

fn fields(count: usize, value: &str) -> String {
    let fields: Vec<_> = (0..count).map(|n| format!("X-{n}: {value}\r\n")).collect();
    fields.concat()
}

fn heads() -> Bytes {
    vec![
        ("a folded line", with_head("Content-Security-Policy: default-src 'self';\r\n  script-src 'self'\r\n").into()),
        ("a line folded by bare line feeds", "HTTP/1.1 200 OK\r\nServer: nginx\r\nContent-Security-Policy: default-src 'self';\n    script-src 'self';\n\timg-src *\r\nContent-Length: 2\r\n\r\nok".into()),
        ("a line folded into nothing", with_head("X-A: b\r\n \r\n\t\r\n").into()),
        ("a folded length", "HTTP/1.1 200 OK\r\nContent-Length:\r\n 2\r\n\r\nok".into()),
        ("a first line that is folded", with_head(" X-A: b\r\n").into()),
        ("99 fields", with_head(&fields(98, "v")).into()),
        ("150 fields", with_head(&fields(149, "v")).into()),
        ("5000 fields", with_head(&fields(4999, "v")).into()),
        ("early hints", format!("HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n{OK}").into()),
        ("100 before the answer", format!("HTTP/1.1 100 Continue\r\n\r\n{OK}").into()),
        ("102 and 103 before the answer", format!("HTTP/1.1 102 P\r\n\r\nHTTP/1.1 103 E\r\nA: b\r\n\r\n{OK}").into()),
        ("100 and nothing else", "HTTP/1.1 100 Continue\r\n\r\n".into()),
        ("101", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: Upgrade\r\n\r\n".into()),
        ("a blank before the colon", with_head("Server : foo\r\n").into()),
        ("a tab before the colon", with_head("Server\t: foo\r\n").into()),
        ("a blank in the length's name", "HTTP/1.1 200 OK\r\nContent-Length : 20\r\n\r\nok".into()),
        ("the same length twice", with_head("Content-Length: 2\r\n").into()),
        ("two lengths", with_head("Content-Length: 3\r\n").into()),
        ("a length with a sign", "HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nok".into()),
        ("an empty length", "HTTP/1.1 200 OK\r\nContent-Length: \r\n\r\nok".into()),
        ("a length that no number holds", "HTTP/1.1 200 OK\r\nContent-Length: 99999999999999999999\r\n\r\nok".into()),
        ("a length of 2^63", "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775808\r\n\r\nok".into()),
        ("a length that is too long", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok".into()),
        ("a length that is too short", "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nok".into()),
        ("length and chunks", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("no reason", "HTTP/1.1 200\r\nContent-Length: 2\r\n\r\nok".into()),
        ("blanks before the status", "HTTP/1.1    200 OK\r\nContent-Length: 2\r\n\r\nok".into()),
        ("bare line feeds", "HTTP/1.1 200 OK\nContent-Length: 2\n\nok".into()),
        ("a bare carriage return", with_head("X-A: a\rb\r\n").into()),
        ("two carriage returns", with_head("X-A: a\r\r\n").into()),
        ("a field of 64 KiB", with_head(&format!("Set-Cookie: a={}\r\n", x(65536))).into()),
        ("fields of 500 KiB", with_head(&fields(64, &x(8000))).into()),
        ("a head of 9 MiB", with_head(&format!("X-A: {}\r\n", x(9 << 20))).into()),
        ("a head of 11 MiB", with_head(&format!("X-A: {}\r\n", x(11 << 20))).into()),
        ("a Location of 100 KB that leads nowhere", with_head(&format!("Location: {}\r\n", x(100_000))).into()),
        ("a length of 900 zeros", format!("HTTP/1.1 200 OK\r\nContent-Length: {}2\r\n\r\nok", "0".repeat(900)).into()),
        ("a length of 2000 zeros", format!("HTTP/1.1 200 OK\r\nContent-Length: {}2\r\n\r\nok", "0".repeat(2000)).into()),
        ("a name of 100 KB", with_head(&format!("{}: a\r\n", x(100_000))).into()),
        ("a reason of 100 KB", format!("HTTP/1.1 200 {}\r\nContent-Length: 2\r\n\r\nok", x(100_000)).into()),
        ("Latin-1", b"HTTP/1.1 200 D\xe9j\xe0\r\nX-A: caf\xe9\r\nContent-Length: 2\r\n\r\nok".to_vec()),
        ("HTTP/1.0 with an encoding", "HTTP/1.0 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nok".into()),
        ("HTTP/1.0", "HTTP/1.0 200 OK\r\n\r\nok".into()),
        ("HTTP/1.2", "HTTP/1.2 200 OK\r\n\r\nok".into()),
        ("HTTP/2.0", "HTTP/2.0 200 OK\r\n\r\nok".into()),
        ("HTTP/0.9", "ok".into()),
        ("a version in small letters", "http/1.1 200 OK\r\n\r\nok".into()),
        ("ICY", "ICY 200 OK\r\n\r\nok".into()),
        ("a status of two digits", "HTTP/1.1 20 OK\r\n\r\nok".into()),
        ("a status of four digits", "HTTP/1.1 2000 OK\r\n\r\nok".into()),
        ("a status of 999", "HTTP/1.1 999 OK\r\n\r\nok".into()),
        ("a status of 000", "HTTP/1.1 000 OK\r\n\r\nok".into()),
        ("an empty line before the status", format!("\r\n{OK}").into()),
        ("an underscore in a name", with_head("X_Foo: a\r\n").into()),
        ("a parenthesis in a name", with_head("X(Foo): a\r\n").into()),
        ("a blank inside a name", with_head("X Foo: a\r\n").into()),
        ("a control character", with_head("X-A: a\x01b\r\n").into()),
        ("a NUL", with_head("X-A: a\0b\r\n").into()),
        ("a tab in a value", with_head("X-A: a\tb\r\n").into()),
        ("an empty name", with_head(": x\r\n").into()),
        ("an empty value", with_head("X-A:\r\n").into()),
        ("a line without a colon", with_head("garbage\r\n").into()),
        ("204 with chunks", "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n".into()),
        ("304 with a length", "HTTP/1.1 304 Not Modified\r\nContent-Length: 10\r\n\r\n".into()),
        ("204 with a bad length", "HTTP/1.1 204 No Content\r\nContent-Length: x\r\n\r\n".into()),
        ("a head that is cut", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n".into()),
        ("a status line that is cut", "HTTP/1.1 200".into()),
        ("nothing", "".into()),
        ("a body of 100 KB", format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", x(100_000)).into()),
        ("a body of 100 KB that is cut", format!("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n{}", x(50_000)).into()),
        ("a body of 10 KB that is cut", format!("HTTP/1.1 200 OK\r\nContent-Length: 10240\r\n\r\n{}", x(10_239)).into()),
        ("400", "HTTP/1.1 400 Bad\r\n\r\n".into()),
        ("303 without a Location", "HTTP/1.1 303 See\r\n\r\n".into()),
    ]
}

fn chunks() -> Bytes {
    let chunked =
        |body: &str| format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    vec![
        ("chunks", chunked("2;a=b\r\nok\r\n0\r\n\r\n").into()),
        ("chunks with a trailer", chunked("2\r\nok\r\n0\r\nX-A: b\r\n c\r\n\r\n").into()),
        ("chunks with a trailer that is none", chunked("2\r\nok\r\n0\r\nX-A\r\n\r\n").into()),
        ("chunks with a trailer of 8 KB", chunked(&format!("2\r\nok\r\n0\r\nX-A: {}\r\n\r\n", x(8000))).into()),
        ("chunks that are cut", chunked("2\r\nok\r\n").into()),
        ("chunks without their last line", chunked("2\r\nok\r\n0\r\n").into()),
        ("chunks with bare line feeds", chunked("2\nok\n0\n\n").into()),
        ("a chunk without its end", chunked("2\r\nokay\r\n0\r\n\r\n").into()),
        ("a chunk of no number", chunked("zz\r\nok\r\n0\r\n\r\n").into()),
        ("a chunk of a blank and a number", chunked(" 2\r\nok\r\n0\r\n\r\n").into()),
        ("a chunk of a number and a blank", chunked("2 \r\nok\r\n0\r\n\r\n").into()),
        ("a chunk of 17 digits", chunked("00000000000000002\r\nok\r\n0\r\n\r\n").into()),
        ("a chunk line of 5 KB", chunked(&format!("2;{}\r\nok\r\n0\r\n\r\n", x(5000))).into()),
        ("chunks of more noise than data", chunked(&format!("1;{}\r\nx\r\n", x(3000)).repeat(20)).into()),
        ("chunks of 20 KB", chunked(&"a\r\n0123456789\r\n".repeat(2000)).into()),
        ("a trailer that no trailer may be", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X-A, content-length\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("chunks that are called Chunked", "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("encoded twice", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("gzip and chunks", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n".into()),
        ("identity", "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\nok".into()),
    ]
}

pub(super) async fn answers() -> Vec<Case> {
    let cases = heads().into_iter().chain(chunks());
    let mut cases = join_all(cases.map(|(name, bytes)| Case::answering(name, bytes))).await;
    for (name, head) in [
        (
            "HTTP/1.0 that stays open",
            "HTTP/1.0 200 OK\r\nConnection: keep-alive\r\n\r\nok",
        ),
        (
            "half a body",
            "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nok",
        ),
        ("half a head", "HTTP/1.1 200 OK\r\nContent-Le"),
        ("a whole answer that stays open", OK),
        ("204 that stays open", "HTTP/1.1 204 No\r\n\r\n"),
    ] {
        let mut case = Case::of(name, move |_| Reply::Open(head.into())).await;
        case.never_ends = true;
        cases.push(case);
    }
    cases
}

pub(super) async fn redirects() -> Vec<Case> {
    let locations: [(&str, &[u8]); 40] = [
        (
            "to https of the same host, where nothing is",
            b"https://127.0.0.1:1/healthz",
        ),
        ("to localhost", b"http://localhost:PORT/x"),
        ("to itself", b"/healthz"),
        ("without a scheme", b"//127.0.0.1:PORT/x"),
        ("without a slash", b"login"),
        ("with blanks", b"/a b"),
        ("to nothing", b""),
        ("by FTP", b"ftp://127.0.0.1/x"),
        ("with a bad escape", b"/%zz"),
        ("with a bad escape in the fragment", b"/x#%zz"),
        ("with a fragment", b"/x#y"),
        ("to a short address", b"http://127.1:PORT/x"),
        ("to an address in hexadecimal", b"http://0x7f000001:PORT/x"),
        ("with a scheme in capitals", b"HTTP://127.0.0.1:PORT/x"),
        ("to a port out of range", b"http://127.0.0.1:99999/x"),
        ("to a port with zeros", b"http://127.0.0.1:000PORT/x"),
        ("to an empty port", b"http://127.0.0.1:/x"),
        ("to a port that is none", b"http://127.0.0.1:x/x"),
        ("with a backslash", b"\\x"),
        ("with two backslashes", b"\\\\127.0.0.1\\x"),
        ("with one slash", b"http:/127.0.0.1:PORT/x"),
        ("without any slash", b"http:x"),
        ("with dot segments", b"/a/../x/./y/.."),
        ("with dot segments at the end", b"/a/.."),
        ("with dots that are escaped", b"/a/%2e%2e/x"),
        ("up from the root", b"../../x"),
        ("with empty segments", b"/..//x"),
        ("to three slashes", b"///127.0.0.1:PORT/x"),
        ("without a path", b"http://127.0.0.1:PORT"),
        ("to a query", b"?x=1"),
        ("to an empty query", b"?"),
        ("to a fragment", b"#x"),
        ("with a user", b"http://u:p%40@127.0.0.1:PORT/x"),
        (
            "with a user without a password",
            b"http://u@127.0.0.1:PORT/x",
        ),
        ("with a bad user", b"http://u<@127.0.0.1:PORT/x"),
        ("in Latin-1", b"/caf\xe9"),
        ("with a bracket", b"http://["),
        ("to IPv6", b"http://[::1]:PORT/x"),
        ("with a colon in the first segment", b"a:b/c"),
        ("with quotes, bars and braces", b"/\"'|{}^`<>?\"'|{}^`<>"),
    ];
    let mut cases = join_all(
        locations.map(|(name, location)| async move { Case::redirecting(name, location).await }),
    )
    .await;
    cases.push(Case::redirecting("a Location of 100 KB", "/x".repeat(50_000).as_bytes()).await);
    for (name, last) in [("nine redirects", 9), ("ten redirects", 10)] {
        cases.push(
            Case::of(name, move |asked| {
                let target = asked.head.split(' ').nth(1).unwrap();
                let count: usize = target.trim_start_matches('/').parse().unwrap_or(0);
                if count == last {
                    return Reply::Bytes(OK.into());
                }
                redirect(format!("/{}", count + 1).as_bytes())
            })
            .await,
        );
    }
    let mut headers = Case::redirecting("with headers", b"x/../y").await;
    for (name, value) in [
        ("Host", "shop.example"),
        ("Authorization", "Bearer x"),
        ("Cookie", "a=b"),
        ("x-team", "shop"),
    ] {
        headers.headers.push((name.to_owned(), value.to_owned()));
    }
    cases.push(headers);
    let mut absolute = Case::redirecting("with a Host, absolute", b"http://127.0.0.1:1/x").await;
    absolute
        .headers
        .push(("Host".to_owned(), "shop.example".to_owned()));
    cases.push(absolute);
    cases.extend(odd_redirects().await);
    cases
}

async fn odd_redirects() -> Vec<Case> {
    let mut cases = Vec::new();
    for (status, name) in [
        (300, "300"),
        (301, "301"),
        (303, "303"),
        (305, "305"),
        (307, "307"),
        (308, "308"),
    ] {
        let name = format!("by {name}");
        let case = Case::of(&name, move |asked| {
            match asked.head.split(' ').nth(1).unwrap() {
                "/healthz" => Reply::Bytes(
                    format!("HTTP/1.1 {status} Go\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n")
                        .into(),
                ),
                _ => Reply::Bytes(b"HTTP/1.1 500 Oh\r\n\r\n".to_vec()),
            }
        });
        cases.push(case.await);
    }
    let two_locations = "HTTP/1.1 302 Go\r\nLocation: /healthz?x\r\nlocation: http://elsewhere/\r\nContent-Length: 0\r\n\r\n";
    let folded = "HTTP/1.1 302 Go\r\nLocation:\r\n http://elsewhere/ \r\nContent-Length: 0\r\n\r\n";
    let blank = "HTTP/1.1 302 Go\r\nLocation : /x\r\nContent-Length: 0\r\n\r\n";
    cases.push(Case::answering("two Locations", two_locations).await);
    cases.push(Case::answering("a folded Location", folded).await);
    cases.push(Case::answering("a Location with a blank before the colon", blank).await);
    cases
}

pub(super) async fn requests() -> Vec<Case> {
    let paths = [
        "/",
        "/a/b?c=d&e=f",
        "/a/../b",
        "/a/./b",
        "/..",
        "/a/%2e%2e/b",
        "/%2E/",
        "/a\\b",
        "/'",
        "/|",
        "/a b",
        "/a%20b",
        "/ä",
        "/%e4",
        "/%C3%A4",
        "//a",
        "//a/b",
        "///a",
        "//u@a/b",
        "//u:p@a/b",
        "//[",
        "//a:b/c",
        "/a#b",
        "/%zz",
        "/%zz?a#b",
        "/%",
        "/a%2fb",
        "/a;b=c,d",
        "/[a]",
        "/{a}",
        "/<a>",
        "/\"",
        "/^`",
        "/~a",
        "/a*",
        "/!$&()+,:@=",
        "/a?",
        "/a??",
        "/?a b",
        "/?ä",
        "/?%zz",
        "/?a'b|c\\d\"<>",
        "/a?b#c",
        "/@127.0.0.2:1",
        "/a//b",
        "healthz",
        "a/../b",
        "/:80",
        "/*",
    ];
    let headers: [&[(&str, &str)]; 22] = [
        &[("X-Team", "a"), ("x-team", "b"), ("A-Header", "c")],
        &[("User-Agent", "me")],
        &[("user-agent", "me"), ("User-Agent", "you")],
        &[("User-Agent", "")],
        &[("Accept", "application/json")],
        &[("Accept", "")],
        &[("Accept", ""), ("Accept", "a")],
        &[("Accept", "a"), ("Accept", "")],
        &[("Host", "shop.example")],
        &[("Host", "")],
        &[("host", "shop.example:80"), ("Host", "other")],
        &[("Host", "a b")],
        &[("Host", "a/b")],
        &[("Connection", "keep-alive")],
        &[("Connection", "close")],
        &[("Connection", "Upgrade"), ("Upgrade", "websocket")],
        &[("Content-Length", "5")],
        &[("Transfer-Encoding", "chunked")],
        &[("Trailer", "x")],
        &[("X-Blanks", "  a  b \t")],
        &[("Accept-Encoding", "gzip")],
        &[
            ("Authorization", "Bearer x"),
            ("Cookie", "a=b; c=d"),
            ("Expect", "100-continue"),
            ("Range", "bytes=0-1"),
        ],
    ];
    let paths = join_all(paths.map(|path| async move { Case::asking(path, &[]).await })).await;
    let headers =
        join_all(headers.map(|headers| async move { Case::asking("/healthz", headers).await }))
            .await;
    paths.into_iter().chain(headers).collect()
}

pub(super) fn tls(servers: &BTreeMap<String, u16>) -> Vec<Case> {
    let mut cases: Vec<_> = servers
        .iter()
        .map(|(name, port)| Case::tls(name, *port, "/"))
        .collect();
    let http2 = servers["only HTTP/2 by ALPN"];
    let cbc = servers["ECDHE-RSA-AES128-CBC"];
    for (name, port) in [("HTTP/2", http2), ("CBC", cbc)] {
        for (what, path) in [
            ("a status of 500", "/bad"),
            ("a redirect", "/to-bad"),
            ("a body of 1 MiB", "/large"),
            ("a head of 1 MiB", "/large-head"),
            ("blanks in the query", "/?a=b%20c"),
        ] {
            cases.push(Case::tls(&format!("{what} by {name}"), port, path));
        }
    }
    cases
}
