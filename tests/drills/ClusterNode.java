import java.util.Arrays;
import java.util.List;
import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One node of a cluster of three: the runner's own main makes clusters of one alone. */
public final class ClusterNode {
    public static void main(String[] given) throws Exception {
        String folder = given[0];
        String name = given[1];
        int httpPort = Integer.parseInt(given[2]);
        int transportPort = Integer.parseInt(given[3]);
        List<String> seeds = Arrays.asList(given[4].split(","));
        List<String> names = Arrays.asList(given[5].split(","));
        OpenSearchRunner runner = new OpenSearchRunner();
        Runtime.getRuntime().addShutdownHook(new Thread(() -> {
            try {
                runner.close();
            } catch (Exception error) {
                System.err.println(error);
            }
        }));
        runner.onBuild((number, settings) -> {
            settings.put("node.name", name);
            settings.put("discovery.type", "zen");
            settings.put("network.host", "127.0.0.1");
            settings.put("http.port", httpPort);
            settings.put("transport.port", transportPort);
            settings.put("action.auto_create_index", false);
            settings.put("cluster.routing.allocation.disk.threshold_enabled", false);
            settings.putList("discovery.seed_hosts", seeds);
            settings.putList("cluster.initial_cluster_manager_nodes", names);
        }).build(OpenSearchRunner.newConfigs()
            .basePath(folder).clusterName("casebook-drill").numOfNode(1).baseHttpPort(httpPort - 1));
        Thread.currentThread().join();
    }
}
