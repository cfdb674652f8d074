/*
 * Preloaded into a server: while the file named by SLOWFLUSH_GATE exists, writes
 * and flushes of the redo log wait. What a session commits meanwhile is visible
 * to others and lost by SIGKILL: the window of rule R10. SLOWFLUSH_DELAY is what
 * every forced write takes longer, in microseconds: a slower disk.
 *
 * Raw system calls and old symbols only: the server may run on another libc.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static int redo(int fd)
{
	char link[64], path[4096];
	ssize_t n;

	snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
	n = readlink(link, path, sizeof path - 1);
	if (n < 0)
		return 0;
	path[n] = 0;
	return strstr(path, "ib_logfile") || strstr(path, "ib_redo");
}

static void gate(int fd)
{
	const char *file = getenv("SLOWFLUSH_GATE");

	if (!file || access(file, F_OK) || !redo(fd))
		return;
	while (!access(file, F_OK))
		usleep(5000);
}

static void delay(void)
{
	const char *us = getenv("SLOWFLUSH_DELAY");

	if (us)
		usleep(atoi(us));
}

ssize_t pwrite(int fd, const void *buf, size_t n, off_t at)
{
	gate(fd);
	return syscall(SYS_pwrite64, fd, buf, n, at);
}

ssize_t pwrite64(int fd, const void *buf, size_t n, off64_t at)
{
	gate(fd);
	return syscall(SYS_pwrite64, fd, buf, n, at);
}

ssize_t write(int fd, const void *buf, size_t n)
{
	gate(fd);
	return syscall(SYS_write, fd, buf, n);
}

int fsync(int fd)
{
	gate(fd);
	delay();
	return syscall(SYS_fsync, fd);
}

int fdatasync(int fd)
{
	gate(fd);
	delay();
	return syscall(SYS_fdatasync, fd);
}
