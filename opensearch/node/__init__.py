"""One real OpenSearch node on this machine, from jars of Maven Central, for trying production mode and for tests."""
