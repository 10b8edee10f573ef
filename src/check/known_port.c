#include "check/known_port.h"

#include <stdlib.h>

/* Those of the chain's node first of all, because it stands on the network node itself; then what
 * runs on many servers, by its own documentation. */
const struct known_port known_ports[] = {
    {10050, "Zabbix agent"},
    {10051, "Zabbix server"},
    {10248, "kubelet's health"},
    {10249, "kube-proxy's metrics"},
    {10250, "kubelet"},
    {10255, "kubelet, read only"},
    {10256, "kube-proxy's health"},
    {10257, "kube-controller-manager"},
    {10259, "kube-scheduler"},
    {11211, "memcached"},
    {11434, "Ollama"},
    {14250, "Jaeger's collector"},
    {14268, "Jaeger's collector"},
    {15000, "Envoy's administration"},
    {15672, "RabbitMQ's management"},
    {15692, "RabbitMQ's metrics"},
    {16379, "Redis's cluster bus"},
    {16686, "Jaeger"},
    {19999, "Netdata"},
    {24224, "Fluentd"},
    {25565, "Minecraft"},
    {25672, "RabbitMQ's cluster"},
    {26257, "CockroachDB"},
    {26379, "Redis Sentinel"},
    {26656, "the chain node's peers (Tendermint p2p)"},
    {26657, "the chain node's RPC (Tendermint)"},
    {26658, "the chain node's application (Tendermint ABCI)"},
    {26660, "the chain node's metrics (Tendermint)"},
    {27015, "game servers (Steam)"},
    {27017, "MongoDB"},
    {27018, "MongoDB's shards"},
    {27019, "MongoDB's configuration"},
    {28015, "RethinkDB"},
};

const size_t n_known_ports = sizeof(known_ports) / sizeof(known_ports[0]);

static int by_port(const void *key, const void *item)
{
    return *(const uint16_t *)key - ((const struct known_port *)item)->port;
}

const char *known_port_use(uint16_t port)
{
    const struct known_port *found =
        bsearch(&port, known_ports, n_known_ports, sizeof(known_ports[0]), by_port);

    return found ? found->use : NULL;
}
