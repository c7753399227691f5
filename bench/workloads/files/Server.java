// A server in Java; /garbage fills memory that has to be collected.
import com.sun.net.httpserver.HttpServer;
import java.net.InetSocketAddress;
import java.util.concurrent.Executors;

public class Server {
    public static void main(String[] words) throws Exception {
        HttpServer server = HttpServer.create(new InetSocketAddress(8080), 0);
        server.createContext("/", exchange -> {
            int pieces = exchange.getRequestURI().getPath().equals("/garbage") ? 100 : 0;
            byte[][] kept = new byte[pieces][];
            for (int piece = 0; piece < pieces; piece++) {
                kept[piece] = new byte[200_000];
            }
            byte[] answer = "here\n".getBytes();
            exchange.sendResponseHeaders(200, answer.length);
            exchange.getResponseBody().write(answer);
            exchange.close();
        });
        server.setExecutor(Executors.newFixedThreadPool(8));
        server.start();
    }
}
