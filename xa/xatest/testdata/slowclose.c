/* A library to preload into a server: from the moment a thread shuts a socket
   down until it next reads from one, each of its frees takes a millisecond. It
   makes wide what a session does between leaving the list of sessions and
   giving its prepared branch up, and changes nothing else. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

static __thread int closing __attribute__((tls_model("initial-exec")));

static void (*real_free)(void *);
static int (*real_shutdown)(int, int);
static ssize_t (*real_recv)(int, void *, size_t, int);

__attribute__((constructor)) static void find(void)
{
  real_free = (void (*)(void *))dlsym(RTLD_NEXT, "free");
  real_shutdown = (int (*)(int, int))dlsym(RTLD_NEXT, "shutdown");
  real_recv = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
}

void free(void *p)
{
  if (!real_free)
    return; /* before the constructor ran: lost */
  if (closing && p)
  {
    struct timespec t = {0, 1000000};
    nanosleep(&t, NULL);
  }
  real_free(p);
}

int shutdown(int fd, int how)
{
  closing = 1;
  return real_shutdown(fd, how);
}

ssize_t recv(int fd, void *b, size_t n, int flags)
{
  closing = 0;
  return real_recv(fd, b, n, flags);
}
