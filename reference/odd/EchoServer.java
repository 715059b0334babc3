import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.net.Socket;

/**
 * A thread per client on the JVM. SO_REUSEADDR is Java's default on Linux; a reset is an IOException of one thread;
 * EINTR and short writes are the library's business. Left to us: the pause when descriptors run out, and a thread that
 * cannot be created, which is an Error here and not an Exception.
 */
public final class EchoServer implements Runnable {
    private final Socket client;

    private EchoServer(Socket client) {
        this.client = client;
    }

    @Override
    public void run() {
        byte[] buffer = new byte[16384];
        try (Socket socket = client) {
            InputStream in = socket.getInputStream();
            OutputStream out = socket.getOutputStream();
            for (int received = in.read(buffer); received > 0; received = in.read(buffer)) {
                out.write(buffer, 0, received);
            }
        } catch (IOException gone) {
            System.err.println("client: " + gone.getMessage());
        }
    }

    private static void start(Socket client) throws IOException {
        try {
            client.setKeepAlive(true);
            new Thread(new EchoServer(client)).start();
        } catch (IOException | OutOfMemoryError turnedAway) {
            System.err.println("client: " + turnedAway.getMessage());
            client.close();
        }
    }

    public static void main(String[] arguments) throws IOException, InterruptedException {
        int port = arguments.length > 0 ? Integer.parseInt(arguments[0]) : 7007;
        try (ServerSocket listener = new ServerSocket(port, 4096, InetAddress.getByName("127.0.0.1"))) {
            while (true) {
                try {
                    start(listener.accept());
                } catch (IOException shortage) {
                    System.err.println("accept: " + shortage.getMessage());
                    Thread.sleep(100); // it would fail at once again until descriptors are free
                }
            }
        }
    }
}
