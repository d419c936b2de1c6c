/* Lets the program start in a root folder without /dev/urandom, which gRPC's library insists on opening.
 *
 * The launcher preloads this only where that file is missing. Opening it then gives an unlinked file in memory with
 * bytes from getrandom(2): more than the 256 that the library reads, which it does once.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <unistd.h>

static int random_file(void)
{
	unsigned char bytes[4096];
	size_t filled = 0;
	while (filled < sizeof bytes) {
		ssize_t got = getrandom(bytes + filled, sizeof bytes - filled, 0);
		if (got < 0 && errno != EINTR)
			return -1;
		filled += got > 0 ? (size_t)got : 0;
	}
	int file = memfd_create("urandom", MFD_CLOEXEC);
	if (file >= 0 && (write(file, bytes, sizeof bytes) != (ssize_t)sizeof bytes || lseek(file, 0, SEEK_SET) != 0)) {
		close(file);
		return -1;
	}
	return file;
}

static int open_or_make(const char *name, const char *path, int flags, mode_t mode)
{
	int (*next)(const char *, int, ...) = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, name);
	int file = next(path, flags, mode);
	return file < 0 && errno == ENOENT && strcmp(path, "/dev/urandom") == 0 ? random_file() : file;
}

#define OPEN(name)                                                                     \
	int name(const char *path, int flags, ...)                                     \
	{                                                                              \
		va_list more;                                                          \
		va_start(more, flags);                                                 \
		mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(more, mode_t) : 0; \
		va_end(more);                                                          \
		return open_or_make(#name, path, flags, mode);                         \
	}

OPEN(open)
OPEN(open64)
