#include "proto/msg.h"

#include <string.h>

#include "base/mem.h"
#include "proto/msg_fields.h"

#define TEXT(key, member)                                                                          \
    {                                                                                              \
        key, FIELD_TEXT, offsetof(struct msg, member)                                              \
    }
#define INT64(key, member)                                                                         \
    {                                                                                              \
        key, FIELD_INT64, offsetof(struct msg, member)                                             \
    }
#define UINT16(key, member)                                                                        \
    {                                                                                              \
        key, FIELD_UINT16, offsetof(struct msg, member)                                            \
    }
#define BOOL(key, member)                                                                          \
    {                                                                                              \
        key, FIELD_BOOL, offsetof(struct msg, member)                                              \
    }

static const struct msg_field login_fields[] = {
    TEXT("version", login.version),
    TEXT("hostname", login.hostname),
    TEXT("os", login.os),
    TEXT("arch", login.arch),
    TEXT("user", login.user),
    TEXT("privilege_key", login.privilege_key),
    INT64("timestamp", login.timestamp),
    TEXT("run_id", login.run_id),
    TEXT("client_id", login.client_id),
    {"metas", FIELD_METAS, offsetof(struct msg, login.metas)},
    {"client_spec", FIELD_EMPTY, 0},
    INT64("pool_count", login.pool_count),
};

static const struct msg_field login_resp_fields[] = {
    TEXT("version", login_resp.version),
    TEXT("run_id", login_resp.run_id),
    TEXT("error", login_resp.error),
    TEXT("mlgate", login_resp.mlgate),
};

static const struct msg_field new_proxy_fields[] = {
    TEXT("proxy_name", new_proxy.proxy_name),
    TEXT("proxy_type", new_proxy.proxy_type),
    BOOL("use_encryption", new_proxy.use_encryption),
    BOOL("use_compression", new_proxy.use_compression),
    TEXT("bandwidth_limit", new_proxy.bandwidth_limit),
    TEXT("bandwidth_limit_mode", new_proxy.bandwidth_limit_mode),
    TEXT("group", new_proxy.group),
    TEXT("group_key", new_proxy.group_key),
    INT64("remote_port", new_proxy.remote_port),
};

static const struct msg_field new_proxy_resp_fields[] = {
    TEXT("proxy_name", new_proxy_resp.proxy_name),
    TEXT("remote_addr", new_proxy_resp.remote_addr),
    TEXT("error", new_proxy_resp.error),
};

static const struct msg_field close_proxy_fields[] = {
    TEXT("proxy_name", close_proxy.proxy_name),
};

static const struct msg_field new_work_conn_fields[] = {
    TEXT("run_id", new_work_conn.run_id),
    TEXT("privilege_key", new_work_conn.privilege_key),
    INT64("timestamp", new_work_conn.timestamp),
};

static const struct msg_field start_work_conn_fields[] = {
    TEXT("proxy_name", start_work_conn.proxy_name), TEXT("src_addr", start_work_conn.src_addr),
    TEXT("dst_addr", start_work_conn.dst_addr),     UINT16("src_port", start_work_conn.src_port),
    UINT16("dst_port", start_work_conn.dst_port),   TEXT("error", start_work_conn.error),
};

static const struct msg_field ping_fields[] = {
    TEXT("privilege_key", ping.privilege_key),
    INT64("timestamp", ping.timestamp),
};

static const struct msg_field pong_fields[] = {
    TEXT("error", pong.error),
};

#define FIELDS(table) (table), sizeof(table) / sizeof((table)[0])

static const struct msg_shape shapes[] = {
    {MSG_LOGIN, "Login", true, FIELDS(login_fields)},
    {MSG_LOGIN_RESP, "LoginResp", true, FIELDS(login_resp_fields)},
    {MSG_NEW_PROXY, "NewProxy", true, FIELDS(new_proxy_fields)},
    {MSG_NEW_PROXY_RESP, "NewProxyResp", true, FIELDS(new_proxy_resp_fields)},
    {MSG_CLOSE_PROXY, "CloseProxy", true, FIELDS(close_proxy_fields)},
    {MSG_NEW_WORK_CONN, "NewWorkConn", true, FIELDS(new_work_conn_fields)},
    {MSG_REQ_WORK_CONN, "ReqWorkConn", true, NULL, 0},
    {MSG_START_WORK_CONN, "StartWorkConn", true, FIELDS(start_work_conn_fields)},
    {MSG_PING, "Ping", true, FIELDS(ping_fields)},
    {MSG_PONG, "Pong", true, FIELDS(pong_fields)},
    {MSG_NEW_VISITOR_CONN, "NewVisitorConn", false, NULL, 0},
    {MSG_NEW_VISITOR_CONN_RESP, "NewVisitorConnResp", false, NULL, 0},
    {MSG_UDP_PACKET, "UDPPacket", false, NULL, 0},
    {MSG_NAT_HOLE_VISITOR, "NatHoleVisitor", false, NULL, 0},
    {MSG_NAT_HOLE_CLIENT, "NatHoleClient", false, NULL, 0},
    {MSG_NAT_HOLE_RESP, "NatHoleResp", false, NULL, 0},
    {MSG_NAT_HOLE_SID, "NatHoleSid", false, NULL, 0},
    {MSG_NAT_HOLE_REPORT, "NatHoleReport", false, NULL, 0},
};

const struct msg_shape *msg_shape_of(uint8_t type)
{
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++)
        if ((uint8_t)shapes[i].type == type)
            return &shapes[i];
    return NULL;
}

bool msg_type_known(uint8_t type)
{
    return msg_shape_of(type) != NULL;
}

bool msg_type_handled(uint8_t type)
{
    const struct msg_shape *shape = msg_shape_of(type);

    return shape != NULL && shape->handled;
}

const char *msg_type_name(uint8_t type)
{
    const struct msg_shape *shape = msg_shape_of(type);

    return shape != NULL ? shape->name : "unknown";
}

void msg_clear(struct msg *m)
{
    mem_free(m->store);
    memset(m, 0, sizeof *m);
}

const char *msg_login_meta(const struct msg_login *login, const char *key)
{
    for (size_t i = 0; i < login->n_metas; i++)
        if (strcmp(login->metas[i].key, key) == 0)
            return login->metas[i].value;
    return NULL;
}
