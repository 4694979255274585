//! `server`: listeners, TLS, threads.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::thread::available_parallelism;

use doorward_core::clock::{Clock as _, SystemClock};

use super::super::bad_value::BadValue;
use super::super::key_path::KeyPath;
use super::super::raw;
use super::super::settings::{ListenAddress, ListenerSettings, ServerSettings, TlsSettings};
use super::super::warning::Warning;
use super::{Checker, values};
use crate::loopback::is_loopback_host;
use crate::tls_files::{Lifetime, TlsFiles, told};

const NAMES: [&str; 4] = ["server.grpc", "server.http", "server.admin", "server.console"];
/// `sun_path` of Linux, without the closing NUL.
const MAX_SOCKET_PATH: usize = 107;

pub(super) fn check(c: &mut Checker, server: &raw::Server) -> Option<ServerSettings> {
    let [grpc, http, admin, console] = NAMES;
    let grpc = listener(c, grpc, &server.grpc);
    let http = listener(c, http, &server.http);
    let admin = listener(c, admin, &server.admin);
    let console = if server.console.enabled {
        let raw::Console { listen, tls, .. } = server.console.clone();
        let listener = listener(c, console, &raw::Listener { listen, tls });
        if listener.as_ref().is_some_and(|listener| !is_for_its_people(listener)) {
            c.bad(&KeyPath::dotted(console).join("listen"), BadValue::ConsoleForEverybody);
        }
        Some(listener)
    } else {
        None
    };
    // What nobody asked for is in nobody's way: the start does without it.
    let asked_for = console.as_ref().filter(|_| c.is_console_asked_for);
    distinct(c, [&grpc, &http, &admin, asked_for.unwrap_or(&None)]);
    let workers = match server.workers {
        Some(workers) => c
            .number("server.workers", workers as u64, (1, 1024))
            .and_then(|workers| usize::try_from(workers).ok()),
        None => Some(available_parallelism().map_or(1, usize::from)),
    };
    let max_connections = match server.max_connections {
        Some(most) => c
            .number("server.max_connections", most as u64, (1, 1_000_000))
            .map(|most| usize::try_from(most).ok()),
        None => Some(None),
    };
    let drain = c.span("server.drain", &server.drain, values::ZERO, values::LONG);
    Some(ServerSettings {
        grpc: grpc?,
        http: http?,
        admin: admin?,
        // Switched off, or without a fault.
        console: match console {
            Some(listener) => Some(listener?),
            None => None,
        },
        is_console_asked_for: c.is_console_asked_for,
        workers: workers?,
        max_connections: max_connections?,
        drain: drain?,
    })
}

/// The first listener that others than this machine can reach.
pub(super) fn beyond_this_machine(server: &ServerSettings) -> Option<&'static str> {
    server
        .listeners()
        .zip(NAMES)
        .find(|((_, listener), _)| !listener.listen.is_local())
        .map(|(_, name)| name)
}

/// Whether the console can be reached by this machine alone, or asks who it is.
fn is_for_its_people(listener: &ListenerSettings) -> bool {
    listener.listen.is_local() || listener.tls.as_ref().is_some_and(|tls| tls.client_ca.is_some())
}

fn listener(c: &mut Checker, name: &str, raw: &raw::Listener) -> Option<ListenerSettings> {
    let section = KeyPath::dotted(name);
    let listen = c.keep(&section.join("listen"), address(&raw.listen));
    let tls = match &raw.tls {
        Some(tls) => self::tls(c, &section.join("tls"), tls).map(Some),
        None => Some(None),
    };
    Some(ListenerSettings { listen: listen?, tls: tls? })
}

fn address(text: &str) -> Result<ListenAddress, BadValue> {
    if let Some(path) = text.strip_prefix("unix:") {
        // `unix:///path` is how gRPC writes the same.
        let path = path.strip_prefix("//").unwrap_or(path);
        let good = Path::new(path).is_absolute() && path.len() <= MAX_SOCKET_PATH;
        let path = Path::new(path);
        return match path.parent().filter(|_| good) {
            Some(directory) if directory.is_dir() => Ok(ListenAddress::Unix(path.to_owned())),
            Some(directory) => Err(BadValue::NoSocketDirectory(directory.into())),
            None => Err(BadValue::BadSocketPath),
        };
    }
    if let Ok(address) = text.parse() {
        return Ok(ListenAddress::Tcp(address));
    }
    // A name would be looked up, and could lead anywhere; these lead home.
    let home =
        text.rsplit_once(':').filter(|(host, _)| !host.contains(':') && is_loopback_host(host));
    home.and_then(|(_, port)| port.parse().ok())
        .map(|port| ListenAddress::Tcp(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)))
        .ok_or_else(|| BadValue::NotAnAddress(text.into()))
}

fn tls(c: &mut Checker, section: &KeyPath, tls: &raw::Tls) -> Option<TlsSettings> {
    let file = |c: &mut Checker, name, path: Option<&Path>, wanted| {
        c.keep_given(&section.join(name), path.map(|path| values::pem(path, wanted)))
    };
    let cert = file(c, "cert", tls.cert.as_deref(), "CERTIFICATE");
    let key = file(c, "key", tls.key.as_deref(), "PRIVATE KEY");
    let client_ca = tls.client_ca.as_deref().map(values::ca_file);
    let client_ca = c.keep_given(&section.join("client_ca"), client_ca);
    let given = [("cert", &tls.cert), ("key", &tls.key), ("client_ca", &tls.client_ca)];
    for missing in ["cert", "key"] {
        let absent = given.iter().any(|(name, path)| *name == missing && path.is_none());
        let other = given.iter().find(|(_, path)| path.is_some());
        if absent && let Some((other, _)) = other {
            let why = BadValue::TlsIncomplete { other };
            c.missing(&section.join(missing), &section.join(other), why);
        } else if absent {
            c.missing(&section.join(missing), section, BadValue::Empty);
        }
    }
    let (cert, key_file, client_ca) = (cert??, key??, client_ca?);
    // What each file holds is known; whether it goes together, only the start would tell.
    let files = TlsFiles::read(&cert, &key_file, client_ca.as_deref());
    let files = c.keep(&section.join("key"), files)?;
    let now = SystemClock.now();
    if let Some(expires) = files.expires
        && Lifetime::left(expires, now) > Lifetime::Long
    {
        let key = section.join("cert").to_string();
        let (path, when) = (cert.as_path().into(), told(expires, now));
        c.warnings.push(Warning::CertificateRunsOut { key, path, when });
    }
    Some(TlsSettings { cert, key: key_file, client_ca })
}

fn distinct(c: &mut Checker, listeners: [&Option<ListenerSettings>; 4]) {
    let mut seen: Vec<(&ListenAddress, &'static str)> = Vec::new();
    for (listener, name) in listeners.into_iter().zip(NAMES) {
        let Some(listener) = listener else { continue };
        // Port 0 is another one each time.
        if matches!(&listener.listen, ListenAddress::Tcp(address) if address.port() == 0) {
            continue;
        }
        let taken = seen.iter().find(|(address, _)| **address == listener.listen);
        if let Some((address, elsewhere)) = taken {
            let why = BadValue::AddressTaken { address: address.to_string(), elsewhere };
            c.bad(&KeyPath::dotted(name).join("listen"), why);
        } else {
            seen.push((&listener.listen, name));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses() {
        let parsed = |text: &str| address(text).ok().map(|address| address.to_string());
        assert_eq!(parsed("127.0.0.1:9191").as_deref(), Some("127.0.0.1:9191"));
        for name in ["localhost:9191", "LOCALHOST:9191", "doorward.localhost:9191"] {
            assert_eq!(parsed(name).as_deref(), Some("127.0.0.1:9191"), "{name}");
        }
        assert_eq!(parsed("[::]:9191").as_deref(), Some("[::]:9191"));
        assert_eq!(parsed("unix:/tmp/d.sock").as_deref(), Some("unix:/tmp/d.sock"));
        assert_eq!(parsed("unix:///tmp/d.sock").as_deref(), Some("unix:/tmp/d.sock"));
        for bad in
            ["", ":9191", "9191", "example.com:80", "127.0.0.1", "unix:run/d.sock", "1.2.3.4:99999"]
        {
            assert_eq!(parsed(bad), None, "{bad}");
        }
        let said = address("unix:/no/such/d.sock").unwrap_err().to_string();
        assert!(said.starts_with("`/no/such` does not exist"), "{said}");
        assert!(address(&format!("unix:/{}", "x".repeat(107))).is_err());
    }
}
