/* Which files this process and its later threads may still open (Landlock, Linux 5.13 and later).
 * It cannot be taken off again. */
#ifndef CONTAINER_LANDLOCK_H
#define CONTAINER_LANDLOCK_H

/* From now on nothing can be opened but, for reading, files below /etc and beside the file that
 * /etc/resolv.conf leads to, and /dev/null; nothing can be made, changed or removed. Where the
 * kernel can, no process outside gets signals from here, nor connections to its abstract unix
 * sockets. What is open stays open. No new privileges must be set. Returns the version of Landlock,
 * or a negative errno: nothing is restricted then. */
int landlock_enter(void);

#endif
