import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ServerSocket;
import java.net.Socket;

/**
 * An echo server: a thread per client on the JVM. Course text, sections "pthread create()" and "Multi-thread TCP Echo
 * Server".
 *
 * <p>The library sees to SO_REUSEADDR, EINTR, short writes and SIGPIPE; a thread that has ended leaves nothing to join.
 * What is left: closing, on every way out (ECHO-9), which is what the try around the socket does; a reset, which is an
 * exception of one thread (THRD-3); the pause when descriptors run out (RES-6); and a thread that cannot be made, which
 * is an Error here and not an Exception, so that "catch (Exception e)" lets it end the server (RES-3).
 */
public final class EchoServer {
    private EchoServer() {
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 7007;
        try (ServerSocket listener = new ServerSocket(port, 4096)) { // its default is a queue of 50
            while (true) {
                start(nextClient(listener));
            }
        }
    }

    /** The next client. All that accept can report is an IOException: whether a pause helps is told by nothing else. */
    private static Socket nextClient(ServerSocket listener) throws InterruptedException {
        for (boolean told = false; ; told = true) {
            try {
                return listener.accept();
            } catch (IOException shortage) {
                if (!told) {
                    System.err.println("accept: " + shortage.getMessage());
                }
                Thread.sleep(100); // it would fail at once again; waiting clients lose nothing, they are in the backlog
            }
        }
    }

    private static void start(Socket client) {
        try {
            new Thread(() -> serve(client)).start();
        } catch (OutOfMemoryError noThread) {
            System.err.println("thread: " + noThread.getMessage());
            close(client);
        }
    }

    /** Return bytes, whatever they are, until the client says that no more will come, or is gone. */
    private static void serve(Socket client) {
        byte[] buffer = new byte[16384];
        try (client) {
            client.setKeepAlive(true);
            InputStream in = client.getInputStream();
            OutputStream out = client.getOutputStream();
            for (int received = in.read(buffer); received > 0; received = in.read(buffer)) {
                out.write(buffer, 0, received);
            }
        } catch (IOException gone) {
            System.err.println("client: " + gone.getMessage());
        }
    }

    private static void close(Socket client) {
        try {
            client.close();
        } catch (IOException already) {
            System.err.println("client: " + already.getMessage());
        }
    }
}
