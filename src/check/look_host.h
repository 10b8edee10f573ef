/* Gathers what judge_host.h judges. Changes nothing: looks, and tries nothing out on the disk. */
#ifndef CHECK_LOOK_HOST_H
#define CHECK_LOOK_HOST_H

#include "check/judge_host.h"

/* Fills in what is behind d->path. */
void look_directory(struct directory_facts *d);
/* What is on disk of the model; m->given stays. */
void look_model(const char *hf_home, const char *name, struct model_facts *m);
/* GPUs, /dev/shm and descriptors, below `dev` ("/dev") and `proc` ("/proc"). */
void look_host(const char *dev, const char *proc, struct host_facts *f);
/* Lets a child process give everything up and tells its warnings, a line each, terminated. With one
 * thread. */
void look_sandbox(char *warnings, size_t size);

#endif
