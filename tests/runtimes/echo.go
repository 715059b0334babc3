// A goroutine a client, no cgo: a static program that makes its system calls itself.
package main

import (
	"io"
	"log"
	"net"
	"os"
	"time"
)

func main() {
	listener, err := net.Listen("tcp4", "0.0.0.0:"+os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			log.Print(err)
			time.Sleep(10 * time.Millisecond)
			continue
		}
		go func() {
			defer client.Close()
			io.Copy(client, struct{ io.Reader }{client}) // hides what io.Copy would splice
		}()
	}
}
