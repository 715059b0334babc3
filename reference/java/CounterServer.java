import java.io.IOException;
import java.io.InputStream;
import java.io.OutputStream;
import java.net.ServerSocket;
import java.net.Socket;
import java.nio.charset.StandardCharsets;
import java.util.concurrent.atomic.AtomicLong;

/**
 * A counter for all clients: a thread each, and a number that changes in one step. Course text, section "Synchronize
 * threads".
 *
 * <p>{@code number++} on a field is a reading, an addition and a writing, here as everywhere, and {@code volatile} does
 * not change that. AtomicLong does all three in one step of the processor and returns what it wrote; to increment first
 * and to ask get() for the answer would be two steps again (SYNC-1). For more than one variable take
 * {@code synchronized}. The server around it is that of EchoServer.java.
 */
public final class CounterServer {
    private static final int LONGEST_REQUEST = 4; // INCR
    private static final AtomicLong NUMBER = new AtomicLong();

    private CounterServer() {
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

    /** Answer every line, however it was cut. A line that the client left unfinished is no request. */
    private static void serve(Socket client) {
        byte[] buffer = new byte[4096];
        StringBuilder line = new StringBuilder();
        try (client) {
            client.setKeepAlive(true);
            InputStream in = client.getInputStream();
            OutputStream out = client.getOutputStream();
            for (int received = in.read(buffer); received > 0; received = in.read(buffer)) {
                String text = new String(buffer, 0, received, StandardCharsets.ISO_8859_1); // one character a byte
                out.write(answers(line, text).getBytes(StandardCharsets.ISO_8859_1));
            }
        } catch (IOException gone) {
            System.err.println("client: " + gone.getMessage());
        }
    }

    /** Take this text to the line that was begun; the answers to all lines that it completes, for one write. */
    private static String answers(StringBuilder line, String text) {
        StringBuilder answers = new StringBuilder();
        for (char each : text.toCharArray()) {
            if (each == '\n') {
                answers.append(answer(line.toString())).append('\n');
                line.setLength(0);
            } else if (line.length() <= LONGEST_REQUEST) { // of a line that is too long the beginning will do
                line.append(each);
            }
        }
        return answers.toString();
    }

    private static String answer(String line) {
        return switch (line) {
            case "INCR" -> Long.toString(NUMBER.incrementAndGet());
            case "GET" -> Long.toString(NUMBER.get());
            default -> "ERR";
        };
    }

    private static void close(Socket client) {
        try {
            client.close();
        } catch (IOException already) {
            System.err.println("client: " + already.getMessage());
        }
    }
}
