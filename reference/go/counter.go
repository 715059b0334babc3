// A counter for all clients: one goroutine owns the number, the others ask it. Course text, section "Synchronize
// threads".
//
// No lock: nobody but the owner can touch the number, and it does one thing at a time. "Share memory by communicating",
// says the language's proverb. A sync.Mutex or an atomic.Int64 would be as right, and quicker. The server around it is
// that of echo.go.
package main

import (
	"errors"
	"io"
	"log"
	"net"
	"os"
	"strconv"
	"syscall"
	"time"
)

// A request to the owner: how much to add (0 to read), and where the new value goes.
type request struct {
	add   int64
	reply chan int64
}

func own(requests <-chan request) {
	var number int64
	for each := range requests {
		number += each.add
		each.reply <- number // whoever asks waits for it, and for nothing else: no client can hold the owner up (SYNC-4)
	}
}

func main() {
	port := "7007"
	if len(os.Args) > 1 {
		port = os.Args[1]
	}
	listener, err := net.Listen("tcp4", ":"+port)
	if err != nil {
		log.Fatal(err)
	}
	requests := make(chan request)
	go own(requests)
	for {
		go serve(nextClient(listener), requests)
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

// serve answers every line, however it was cut. A line that the client left unfinished is no request.
func serve(client net.Conn, requests chan<- request) {
	defer client.Close()
	buffer := make([]byte, 4096)
	reply := make(chan int64)
	var line, answers []byte
	for {
		received, err := client.Read(buffer)
		if err != nil {
			if err != io.EOF {
				log.Print(err)
			}
			return
		}
		answers = answers[:0]
		for _, each := range buffer[:received] {
			if each == '\n' {
				answers = appendAnswer(answers, string(line), requests, reply)
				line = line[:0]
			} else if len(line) < 8 { // longer than any request: an error, which must not fill the memory until its end
				line = append(line, each)
			}
		}
		if _, err := client.Write(answers); err != nil {
			log.Print(err)
			return
		}
	}
}

func appendAnswer(answers []byte, line string, requests chan<- request, reply chan int64) []byte {
	switch line {
	case "INCR":
		requests <- request{1, reply}
	case "GET":
		requests <- request{0, reply}
	default:
		return append(answers, "ERR\n"...)
	}
	return append(strconv.AppendInt(answers, <-reply, 10), '\n')
}
