/* A library to preload into a server. When a thread that has read from a socket
   closes one, each of its releases of a read-write lock takes another 20 ms
   until it reads again. The list of sessions is guarded by such a lock: what a
   session does between leaving that list and giving its prepared branch up
   becomes wide enough to be met by every test. Nothing else is changed. Plain C:
   the smallest compilers know no thread-local variables and no constructors. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <time.h>

enum { READS = 1, CLOSING = 2 };

static pthread_once_t once = PTHREAD_ONCE_INIT;
static pthread_key_t key;
static int (*real_close)(int);
static ssize_t (*real_recv)(int, void *, size_t, int);
static int (*real_unlock)(pthread_rwlock_t *);

static void find(void)
{
  pthread_key_create(&key, NULL);
  real_close = (int (*)(int))dlsym(RTLD_NEXT, "close");
  real_recv = (ssize_t (*)(int, void *, size_t, int))dlsym(RTLD_NEXT, "recv");
  real_unlock = (int (*)(pthread_rwlock_t *))dlsym(RTLD_NEXT, "pthread_rwlock_unlock");
}

static size_t state(void)
{
  pthread_once(&once, find);
  return (size_t)pthread_getspecific(key);
}

int close(int fd)
{
  int type;
  socklen_t n = sizeof type;
  size_t was = state();
  if ((was & READS) && getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &n) == 0)
    pthread_setspecific(key, (void *)(was | CLOSING));
  return real_close(fd);
}

ssize_t recv(int fd, void *b, size_t n, int flags)
{
  if (state() != READS)
    pthread_setspecific(key, (void *)(size_t)READS);
  return real_recv(fd, b, n, flags);
}

int pthread_rwlock_unlock(pthread_rwlock_t *lock)
{
  size_t was = state();
  int result = real_unlock(lock);
  if (was & CLOSING)
  {
    struct timespec t = {0, 20000000};
    nanosleep(&t, NULL);
  }
  return result;
}
