"""Apache Kafka on one machine: to try a city's set-up, and for the tests. A real cluster is somebody's own."""
