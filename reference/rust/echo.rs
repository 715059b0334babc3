//! An echo server: a thread per client, with the standard library alone. Course text, sections "pthread create()" and
//! "Multi-thread TCP Echo Server".
//!
//! The rules that c/thread.c keeps by care are kept here by the compiler. A thread owns its socket, for it was moved
//! into it (CONC-7); the socket closes when its owner ends, on whichever way (ECHO-9); a thread whose handle is dropped
//! is detached (THRD-2). The library sees to SO_REUSEADDR, SIGPIPE and short writes, and to EINTR in accept and
//! write_all. Left to us are EINTR in read, the shortages, and keepalive, which the library cannot ask for.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::raw::c_int;
use std::os::unix::io::AsRawFd;
use std::{env, process, thread, time::Duration};

// errno(3), as Linux numbers them; the standard library has no names for them.
const SHORTAGES: [i32; 4] = [24, 23, 105, 12]; // EMFILE, ENFILE, ENOBUFS, ENOMEM
const MISTAKES: [i32; 3] = [9, 22, 88]; // EBADF, EINVAL, ENOTSOCK

fn main() {
    let argument = env::args().nth(1);
    let port = argument.map_or(7007, |text| text.parse().expect("a port number"));
    let listener = TcpListener::bind(("0.0.0.0", port)).expect("bind");
    keep_alive(&listener).expect("setsockopt");
    loop {
        let client = next_client(&listener);
        let worker = thread::Builder::new().stack_size(128 * 1024);
        // thread::spawn would panic. Here the closure is dropped when no thread can be made, and with it the socket.
        if let Err(error) = worker.spawn(move || report(serve(client))) {
            eprintln!("thread: {error}");
        }
    }
}

/// Wait for the next client, and survive everything that can happen to somebody else's connection meanwhile.
fn next_client(listener: &TcpListener) -> TcpStream {
    let mut told = false;
    loop {
        let error = match listener.accept() {
            Ok((client, _)) => return client,
            Err(error) => error,
        };
        let number = error.raw_os_error().unwrap_or(0);
        if MISTAKES.contains(&number) {
            eprintln!("accept: {error}"); // of this program: trying again cannot help
            process::exit(1);
        }
        if SHORTAGES.contains(&number) {
            // It fails at once until a client leaves. The new one loses nothing: it waits in the backlog.
            if !told {
                eprintln!("accept: {error}");
            }
            told = true;
            thread::sleep(Duration::from_millis(100));
        }
    }
}

/// Return bytes, whatever they are, until the client says that no more will come, or is gone.
fn serve(mut client: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 16384];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(size) => client.write_all(&buffer[..size])?,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        }
    }
}

fn report(session: io::Result<()>) {
    if let Err(error) = session {
        eprintln!("client: {error}");
    }
}

extern "C" {
    fn setsockopt(fd: c_int, level: c_int, name: c_int, value: *const c_int, size: u32) -> c_int;
}

/// Linux passes it on to every accepted socket; a client's host that has vanished is found in the end.
fn keep_alive(listener: &TcpListener) -> io::Result<()> {
    const SOL_SOCKET: c_int = 1;
    const SO_KEEPALIVE: c_int = 9;
    let on: c_int = 1;
    // Sound: the descriptor is open, and the kernel reads the 4 bytes of `on` before the call returns.
    match unsafe { setsockopt(listener.as_raw_fd(), SOL_SOCKET, SO_KEEPALIVE, &on, 4) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
