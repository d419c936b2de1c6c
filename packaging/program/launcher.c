/* The executable that Grafana starts on Linux.
 *
 * The plugin contains its own dynamic loader and C library, so that one program runs on every Linux: with an old glibc,
 * with musl (Alpine), or with no library at all. The kernel would start the program with the host's loader, so this
 * static program starts it with the plugin's loader:
 *
 *     NAME_libs/LOADER --inhibit-cache --library-path NAME_libs NAME_libs/ceems-grpc ARGUMENTS
 *
 * where NAME is the path of this program. It removes variables from the environment that make a loader or the C library
 * use files of the host.
 *
 * The program begins with PyInstaller's bootloader, which would start itself again so that LD_LIBRARY_PATH takes effect,
 * and needs /proc for that. The bootloader's own variables tell it that this is done (bootloader/src/pyi_main.c).
 */
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef LOADER
#error "LOADER must be the file name of the dynamic loader, such as ld-linux-x86-64.so.2"
#endif
#define PROGRAM "ceems-grpc"
#define URANDOM "liburandom.so"
#define LIBRARIES "_libs"
#define ARCHIVE "_PYI_ARCHIVE_FILE="

extern char **environ;

static int fail(const char *what, const char *path, const char *why)
{
	fprintf(stderr, "The CEEMS plugin cannot start: %s %s: %s.\n", what, path, why);
	return 127;
}

/* Return the environment without variables for the host's libraries, and with those of the bootloader. */
static char **make_environment(char *archive)
{
	static const char *const unwanted[] = {
		"LD_", "GCONV_PATH=", "LOCPATH=", "GETCONF_DIR=", "NLSPATH=", "_PYI_", "PYINSTALLER_",
	};
	static char restarted[] = "_PYI_PARENT_PROCESS_LEVEL=-1", name[] = "_PYI_LINUX_PROCESS_NAME=" PROGRAM;
	size_t count = 0;
	while (environ[count] != NULL)
		count++;
	char **made = calloc(count + 4, sizeof *made), **next = made;
	if (made == NULL)
		return NULL;
	for (char **each = environ; *each != NULL; each++) {
		int is_wanted = 1;
		for (size_t i = 0; i < sizeof unwanted / sizeof unwanted[0]; i++)
			if (strncmp(*each, unwanted[i], strlen(unwanted[i])) == 0)
				is_wanted = 0;
		if (is_wanted)
			*next++ = *each;
	}
	*next++ = archive;
	*next++ = restarted;
	*next++ = name;
	return made;
}

/* Write the path of this program; without /proc, the path that the host used. Return its length, or -1. */
static ssize_t own_path(char *path, size_t size, const char *called)
{
	ssize_t length = readlink("/proc/self/exe", path, size - 1);
	if (length < 0) {
		char *found = called != NULL && strchr(called, '/') != NULL ? realpath(called, NULL) : NULL;
		if (found == NULL || strlen(found) >= size)
			return -1;
		length = (ssize_t)strlen(strcpy(path, found));
		free(found);
	}
	path[length] = '\0';
	return length;
}

int main(int argc, char **argv)
{
	char self[PATH_MAX], libraries[PATH_MAX], loader[PATH_MAX], program[PATH_MAX];
	char archive[PATH_MAX + sizeof ARCHIVE];
	ssize_t length = own_path(self, sizeof self, argc > 0 ? argv[0] : NULL);
	if (length < 0)
		return fail("its own path is not known; start it by an absolute path, not as", argc > 0 ? argv[0] : "", strerror(ENOENT));
	if ((size_t)length + sizeof LIBRARIES "/" LOADER > PATH_MAX || (size_t)length + sizeof LIBRARIES "/" PROGRAM > PATH_MAX)
		return fail("its path is too long:", self, strerror(ENAMETOOLONG));
	strcat(strcpy(libraries, self), LIBRARIES);
	strcat(strcpy(loader, libraries), "/" LOADER);
	strcat(strcpy(program, libraries), "/" PROGRAM);
	strcat(strcpy(archive, ARCHIVE), program);

	char **command = calloc((size_t)argc + 8, sizeof *command), **environment = make_environment(archive);
	if (command == NULL || environment == NULL)
		return fail("there is no memory for", self, strerror(errno));
	char **next = command;
	*next++ = loader;
	*next++ = "--inhibit-cache";
	*next++ = "--library-path";
	*next++ = libraries;
	if (access("/dev/urandom", R_OK) != 0) {
		*next++ = "--preload"; /* see urandom.c; by name, because a path with spaces would be split */
		*next++ = URANDOM;
	}
	*next++ = program;
	for (int i = 1; i < argc; i++)
		*next++ = argv[i];
	execve(loader, command, environment);
	return fail("this file of its folder cannot be run:", loader, strerror(errno));
}
