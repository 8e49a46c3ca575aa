//! `TCP_NODELAY` on the platforms' sockets.
//!
//! Neither runtime sets it, and a streamed answer is several small writes: Nagle's algorithm
//! then waits for the peer's delayed acknowledgement, about 43 ms for every answer (measured
//! on both emulators). The runtimes offer no hook, so the option is set on their descriptors.

use std::{
    fs,
    net::SocketAddr,
    os::fd::{BorrowedFd, RawFd},
};

use socket2::SockRef;

use crate::config::Env;

/// The address of Lambda's Runtime API; `None` when it is no IP address and port.
pub(super) fn lambda_api(env: &Env) -> Option<SocketAddr> {
    let api = env.get("AWS_LAMBDA_RUNTIME_API")?;
    let api = api.strip_prefix("http://").unwrap_or(api);
    api.split('/').next()?.parse().ok()
}

/// For connections that we opened to `peer`.
pub(super) fn peers(peer: Option<SocketAddr>) {
    let Some(peer) = peer else { return };
    on_sockets(|it| it.peer_addr().is_ok_and(|its| its.as_socket() == Some(peer)));
}

/// For connections that were made to our `port`.
pub(super) fn listeners(port: u16) {
    on_sockets(|it| {
        let own = it.local_addr().ok().and_then(|own| own.as_socket());
        own.is_some_and(|own| own.port() == port)
    });
}

/// Sets the option on those of our sockets that are `wanted`. Where the kernel does not list
/// the descriptors, only the speed-up is lost.
#[expect(unsafe_code, reason = "the runtimes' descriptors are known by number alone")]
fn on_sockets(wanted: impl Fn(&SockRef<'_>) -> bool) {
    let open = fs::read_dir("/proc/self/fd").into_iter().flatten().flatten();
    for fd in open.filter_map(|it| it.file_name().to_str()?.parse::<RawFd>().ok()) {
        // SAFETY: the number was open a moment ago. Should another thread close it meanwhile,
        // the kernel answers the calls below with an error, or for the socket that has the
        // number by then; nothing is read, written or closed through it.
        let fd = unsafe { BorrowedFd::borrow_raw(fd) };
        let socket = SockRef::from(&fd);
        if wanted(&socket) {
            socket.set_tcp_nodelay(true).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        fs::File,
        net::{TcpListener, TcpStream},
    };

    use super::*;

    #[test]
    fn it_reaches_both_families_and_every_descriptor_and_only_those_that_are_meant() {
        let _many: Vec<File> =
            (0..100).map(|_| File::open("/dev/null").unwrap()).collect();
        // A machine without IPv6 has no such address.
        let listening: Vec<_> = ["127.0.0.1:0", "[::1]:0"]
            .iter()
            .filter_map(|address| TcpListener::bind(address).ok())
            .collect();
        assert!(!listening.is_empty());
        for listener in listening {
            let address = listener.local_addr().unwrap();
            let ours = TcpStream::connect(address).unwrap();
            let (theirs, _) = listener.accept().unwrap();
            listeners(address.port());
            assert!(theirs.nodelay().unwrap() && !ours.nodelay().unwrap(), "{address}");
            theirs.set_nodelay(false).unwrap();
            peers(Some(address));
            assert!(ours.nodelay().unwrap() && !theirs.nodelay().unwrap(), "{address}");
        }
    }

    #[test]
    fn the_runtime_api_is_an_address_with_or_without_a_scheme() {
        for (given, address) in [
            ("127.0.0.1:9001", Some("127.0.0.1:9001")),
            ("http://169.254.100.1:9001/2018-06-01", Some("169.254.100.1:9001")),
            ("[::1]:9001", Some("[::1]:9001")),
            ("runtime:9001", None),
        ] {
            let env = Env::from([("AWS_LAMBDA_RUNTIME_API", given)]);
            assert_eq!(
                lambda_api(&env),
                address.map(|it| it.parse().unwrap()),
                "{given}"
            );
        }
    }
}
