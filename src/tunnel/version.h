/* What we say about ourselves on the wire. */
#ifndef TUNNEL_VERSION_H
#define TUNNEL_VERSION_H

/* frp shows this and compares nothing; the protocol level we follow. */
#define FRP_VERSION "0.70.1"
/* In Login.metas and as LoginResp's extra key: tells two mlgate ends from stock ones, and what both
 * can do. Words separated by blanks; unknown words are ignored. */
#define MLGATE_META         "mlgate"
#define MLGATE_CAPABILITIES MLGATE_VERSION " half-close"

#endif
