// A thread a client, with the standard library alone.
use std::io::{ErrorKind, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::{env, thread, time::Duration};

fn serve(mut client: TcpStream) {
    let mut buffer = [0u8; 16384];
    loop {
        match client.read(&mut buffer) {
            Ok(0) => return,
            Ok(size) => {
                if client.write_all(&buffer[..size]).is_err() {
                    return;
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(_) => return,
        }
    }
}

fn main() {
    let port: u16 = env::args().nth(1).unwrap().parse().unwrap();
    let listener = TcpListener::bind(("0.0.0.0", port)).unwrap();
    for client in listener.incoming() {
        match client {
            Ok(client) => drop(thread::Builder::new().spawn(move || serve(client))),
            Err(error) => {
                eprintln!("{error}");
                thread::sleep(Duration::from_millis(10));
            }
        }
    }
}
