//! A counter for all clients: the number lies inside its lock. Course text, section "Synchronize threads".
//!
//! A Mutex of this language is a lock with the value in it. There is no way to the number but through lock(), for
//! reading too (SYNC-2): forgetting it does not compile. Nor can anybody forget to unlock, for the guard does so when
//! it goes out of scope (SYNC-5). The answer is made of a copy and sent without the lock (SYNC-4). The server around it
//! is that of echo.rs.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::os::raw::c_int;
use std::os::unix::io::AsRawFd;
use std::sync::{Mutex, PoisonError};
use std::{env, process, thread, time::Duration};

static NUMBER: Mutex<u64> = Mutex::new(0);

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

/// Answer every line, however it was cut. A line that the client left unfinished is no request.
fn serve(mut client: TcpStream) -> io::Result<()> {
    let mut buffer = [0; 4096];
    let mut line = Vec::new();
    loop {
        let size = match client.read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(size) => size,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        let mut answers = String::new();
        for &byte in &buffer[..size] {
            if byte == b'\n' {
                answers += &answer(&line);
                line.clear();
            } else if line.len() < 8 {
                line.push(byte); // of a line that is longer than any request the beginning will do
            }
        }
        client.write_all(answers.as_bytes())?;
    }
}

fn answer(line: &[u8]) -> String {
    match line {
        b"INCR" => format!("{}\n", with_number(|number| *number += 1)),
        b"GET" => format!("{}\n", with_number(|_| ())),
        _ => String::from("ERR\n"),
    }
}

/// Change the number, alone, and return a copy of what it is then.
fn with_number(change: impl FnOnce(&mut u64)) -> u64 {
    // A thread that panics while it has the lock leaves it "poisoned". A number is never half changed: go on.
    let mut number = NUMBER.lock().unwrap_or_else(PoisonError::into_inner);
    change(&mut number);
    *number
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
