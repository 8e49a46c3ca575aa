//! `TCP_NODELAY` on the platforms' sockets.
//!
//! Neither runtime sets it, and a streamed answer is several small writes: Nagle's algorithm
//! then waits for the peer's delayed acknowledgement, about 43 ms for every answer (measured
//! on both emulators). The runtimes offer no hook, so the option is set on their descriptors.

use std::net::SocketAddrV4;

use crate::config::Env;

/// Descriptors that are looked at: a function has few, and one past these only loses the
/// speed-up.
const DESCRIPTORS: std::ops::Range<libc::c_int> = 3..64;

/// The address of Lambda's Runtime API; `None` when it is no IPv4 address and port.
pub(super) fn lambda_api(env: &Env) -> Option<SocketAddrV4> {
    let api = env.get("AWS_LAMBDA_RUNTIME_API")?;
    let api = api.strip_prefix("http://").unwrap_or(api);
    api.split('/').next()?.parse().ok()
}

/// For connections that we opened to `peer`.
pub(super) fn peers(peer: Option<SocketAddrV4>) {
    let Some(peer) = peer else { return };
    for fd in DESCRIPTORS {
        if name(fd, libc::getpeername) == Some(peer) {
            set(fd);
        }
    }
}

/// For connections that were made to our `port`.
pub(super) fn listeners(port: u16) {
    for fd in DESCRIPTORS {
        if name(fd, libc::getsockname).is_some_and(|own| own.port() == port) {
            set(fd);
        }
    }
}

type Ask = unsafe extern "C" fn(
    libc::c_int,
    *mut libc::sockaddr,
    *mut libc::socklen_t,
) -> libc::c_int;

#[expect(unsafe_code, reason = "plain system calls on our own descriptors")]
fn name(fd: libc::c_int, ask: Ask) -> Option<SocketAddrV4> {
    // SAFETY: `sockaddr_in` is plain data, and the kernel writes at most `length` bytes; a
    // descriptor of another kind answers with an error or another family.
    let address = unsafe {
        let mut address: libc::sockaddr_in = std::mem::zeroed();
        let mut length = size_of::<libc::sockaddr_in>() as libc::socklen_t;
        let outcome = ask(fd, (&raw mut address).cast(), &raw mut length);
        (outcome == 0 && i32::from(address.sin_family) == libc::AF_INET)
            .then_some(address)
    }?;
    let ip = u32::from_be(address.sin_addr.s_addr).into();
    Some(SocketAddrV4::new(ip, u16::from_be(address.sin_port)))
}

#[expect(unsafe_code, reason = "plain system calls on our own descriptors")]
fn set(fd: libc::c_int) {
    let on: libc::c_int = 1;
    // SAFETY: the kernel reads `size_of::<c_int>()` bytes from `on`.
    unsafe {
        libc::setsockopt(
            fd,
            libc::IPPROTO_TCP,
            libc::TCP_NODELAY,
            (&raw const on).cast(),
            size_of::<libc::c_int>() as libc::socklen_t,
        );
    }
}
