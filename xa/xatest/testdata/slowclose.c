/* A library to preload into a server. When a thread that has read from a socket
   closes one, each of its releases of a read-write lock takes another 20 ms
   until it reads again. The list of sessions is guarded by such a lock: what a
   session does between leaving that list and giving its prepared branch up
   becomes wide enough to be met by every test. Nothing else is changed. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

static __thread int reads, closing;

static int (*real_close)(int);
static ssize_t (*real_recv)(int, void *, size_t, int);
static int (*real_unlock)(pthread_rwlock_t *);

__attribute__((constructor)) static void find(void)
{
  real_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
  real_recv = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
  real_unlock = (int (*)(pthread_rwlock_t *))dlsym(RTLD_NEXT, "pthread_rwlock_unlock");
}

int close(int fd)
{
  int type;
  socklen_t n = sizeof type;
  if (reads && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0)
    closing = 1;
  return real_close(fd);
}

ssize_t recv(int fd, void *b, size_t n, int flags)
{
  reads = 1;
  closing = 0;
  return real_recv(fd, b, n, flags);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
  int result = real_unlock(lock);
  if (closing)
  {
    struct timespec t = {0, 20000000};
    nanosleep(&t, NULL);
  }
  return result;
}
