// An echo server: a goroutine per client. Course text, section "Multi-thread TCP Echo Server".
//
// It reads like c/thread.c and is another thing below. Read and Write seem to block; in truth the runtime parks the
// goroutine, waits for all sockets in one epoll, and lets a few threads run whoever is ready. The library sees to
// SO_REUSEADDR and SO_KEEPALIVE, to EINTR, short writes and SIGPIPE, and to connections that are gone before accept
// returns. Left to us are the shortage of descriptors, and closing.
package main

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"syscall"
	"time"
)

func main() {
	port := "7007"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	listener, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	for {
		go serve(nextClient(listener))
	}
}

// nextClient waits for the next client, and survives what happens to somebody else's connection meanwhile.
func nextClient(listener net.Listener) net.Conn {
	for told := false; ; {
		client, err := listener.Accept()
		switch {
		case err == nil:
			return client
		case isAny(err, syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM):
			// It fails at once until some are free. The client loses nothing: it waits in the backlog.
			if !told {
				log.Print(err)
			}
			told = true
			time.Sleep(100 * time.Millisecond)
		case isAny(err, net.ErrClosed, syscall.EBADF, syscall.EINVAL, syscall.ENOTSOCK):
			log.Fatal(err) // a mistake in this program: trying again cannot help
		}
	}
}

func isAny(err error, kinds ...error) bool {
	for _, kind := range kinds {
		if errors.Is(err, kind) {
			return true
		}
	}
	return false
}

// serve returns bytes until the client says that no more will come, or is gone.
func serve(client net.Conn) {
	defer client.Close()
	buffer := make([]byte, 16384) // io.Copy would do, but it splices: a pipe a client, which is two more descriptors
	for {
		received, err := client.Read(buffer)
		if err != nil {
			if err != io.EOF {
				log.Print(err)
			}
			return
		}
		if _, err := client.Write(buffer[:received]); err != nil {
			log.Print(err)
			return
		}
	}
}
