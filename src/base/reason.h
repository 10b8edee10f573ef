/* Why a session, a stream or a connection ended. Every close carries one of these; it ends in a log
 * line (reason_name) and in a counter (reason_count). */
#ifndef BASE_REASON_H
#define BASE_REASON_H

#define REASONS(X)                                                                                 \
    X(NONE, "none")                                                                                \
    X(DONE, "done")               /* both directions ended as they should */                       \
    X(LOCAL_STOP, "local-stop")   /* this process is ending */                                     \
    X(PEER_CLOSED, "peer-closed") /* end of stream where the other side may end */                 \
    X(PEER_RESET, "peer-reset")   /* RST from the network or the mux */                            \
    X(PEER_GONE, "peer-gone")     /* the session that carried this stream ended */                 \
    X(IO_ERROR, "io-error")                                                                        \
    X(RESOLVE_FAILED, "resolve-failed")                                                            \
    X(CONNECT_REFUSED, "connect-refused")                                                          \
    X(CONNECT_FAILED, "connect-failed")                                                            \
    X(CONNECT_TIMEOUT, "connect-timeout")                                                          \
    X(TLS_FAILED, "tls-failed")                                                                    \
    X(TLS_UNTRUSTED, "tls-untrusted") /* certificate, name or pin did not match */                 \
    X(TLS_REQUIRED, "tls-required")   /* plain opening where TLS is demanded */                    \
    X(SLOW_OPENING, "slow-opening")   /* no complete login in time */                              \
    X(PROTOCOL, "protocol-error")                                                                  \
    X(GO_AWAY, "go-away")                                                                          \
    X(PING_TIMEOUT, "ping-timeout")                                                                \
    X(HEARTBEAT_TIMEOUT, "heartbeat-timeout")                                                      \
    X(LOGIN_TIMEOUT, "login-timeout")                                                              \
    X(LOGIN_REFUSED, "login-refused")                                                              \
    X(AUTH_FAILED, "auth-failed")                                                                  \
    X(CLOCK_SKEW, "clock-skew")                                                                    \
    X(REPLACED, "replaced")   /* a newer login with the same run_id took over */                   \
    X(DISPLACED, "displaced") /* another client proved to own the same ports */                    \
    X(POOL_FULL, "pool-full")                                                                      \
    X(NO_WORK_CONN, "no-work-conn") /* the client sent none within user_conn_timeout */            \
    X(NO_SUCH_PROXY, "no-such-proxy")                                                              \
    X(PROXY_CLOSED, "proxy-closed")                                                                \
    X(LOCAL_REFUSED, "local-refused") /* the local service could not be reached */                 \
    X(HALF_CLOSED_IDLE, "half-closed-idle")                                                        \
    X(LIMIT, "limit")                                                                              \
    X(MEMORY, "memory")               /* the byte budget is spent; this one held the most */       \
    X(BAD_REQUEST, "bad-request")     /* not HTTP/1.1 as RFC 9112 wants it */                      \
    X(REFUSED_POLICY, "policy")       /* a path this gateway does not serve */                     \
    X(CLIENT_LEFT, "client-left")     /* before its answer was complete */                         \
    X(HEAD_TIMEOUT, "head-timeout")   /* a request head that did not arrive in time */             \
    X(IDLE, "idle")                   /* a kept connection that nobody used */                     \
    X(UPSTREAM_DOWN, "upstream-down") /* no connection to it */                                    \
    X(UPSTREAM_CLOSED, "upstream-closed")                                                          \
    X(UPSTREAM_PROTOCOL, "upstream-protocol")                                                      \
    X(UPSTREAM_TIMEOUT, "upstream-timeout")

enum reason {
#define REASON_ENUM(name, text) REASON_##name,
    REASONS(REASON_ENUM)
#undef REASON_ENUM
        REASON_COUNT
};

/* A static, lower-case word with dashes; "unknown" for values outside the enum. */
const char *reason_name(enum reason why);

#endif
