import static org.codelibs.opensearch.runner.OpenSearchRunner.newConfigs;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** Runs one node of OpenSearch until it is told to end: FOLDER HTTP_PORT TRANSPORT_PORT. */
public final class Launcher {
  public static void main(String[] arguments) throws Exception {
    OpenSearchRunner runner = new OpenSearchRunner();
    runner
        .onBuild(
            (number, settings) -> {
              settings.put("network.host", "127.0.0.1");
              settings.put("http.port", arguments[1]);
              settings.put("transport.port", arguments[2]);
              settings.put("discovery.type", "single-node");
              // A disk that is nearly full must not make the indexes of a test read-only.
              settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
              // Nothing may be created by writing to a name that was mistyped.
              settings.put("action.auto_create_index", false);
            })
        .build(
            newConfigs()
                .basePath(arguments[0])
                .clusterName("riwaq-tests")
                .numOfNode(1)
                .disableESLogger());
    Runtime.getRuntime()
        .addShutdownHook(
            new Thread(
                () -> {
                  try {
                    runner.close();
                  } catch (Exception failed) {
                    failed.printStackTrace();
                  }
                }));
    Thread.currentThread().join();
  }
}
