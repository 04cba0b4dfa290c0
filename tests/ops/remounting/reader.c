#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/*
 * reader open|list|together DIR: looks at DIR again and again until standard input ends, then says how often and how
 * often it saw generation A and B; or at once what was wrong. `open` takes no pause.
 */

static void wrong(const char *what, const char *path)
{
	printf("%s %s: %s\n", what, path, strerror(errno));
	exit(1);
}

static char generation(int dir, const char *path)
{
	char text;
	int fd = openat(dir, path, O_RDONLY);
	if (fd < 0)
		wrong("open", path);
	if (read(fd, &text, 1) != 1)
		wrong("read", path);
	close(fd);
	return text;
}

static void list(const char *path)
{
	int files = 0, marks = 0;
	struct dirent *entry;
	DIR *dir = opendir(path);
	if (!dir)
		wrong("opendir", path);
	while ((entry = readdir(dir))) {
		files += !strcmp(entry->d_name, "f") || !strcmp(entry->d_name, "g");
		marks += !strncmp(entry->d_name, "only-", 5);
	}
	closedir(dir);
	if (files != 2 || marks != 1) {
		printf("listed %d files and %d generations\n", files, marks);
		exit(1);
	}
}

static void together(const char *path)
{
	struct stat f, g;
	char one, two;
	int dir = open(path, O_RDONLY | O_DIRECTORY);
	if (dir < 0)
		wrong("open", path);
	if (fstatat(dir, "f", &f, 0) || fstatat(dir, "g", &g, 0))
		wrong("stat", path);
	one = generation(dir, "f");
	two = generation(dir, "g");
	close(dir);
	if (one != two || f.st_size != g.st_size) {
		printf("a mix of %c and %c\n", one, two);
		exit(1);
	}
}

int main(int argc, char **argv)
{
	char file[4096];
	unsigned long count = 0, seen[256] = {0};
	fcntl(0, F_SETFL, O_NONBLOCK);
	snprintf(file, sizeof(file), "%s/f", argv[2]);
	for (;;) {
		char end;
		if (read(0, &end, 1) == 0)
			break;
		count++;
		if (argv[1][0] == 'o')
			seen[(unsigned char)generation(AT_FDCWD, file)]++;
		else if (usleep(200), argv[1][0] == 'l')
			list(argv[2]);
		else
			together(argv[2]);
	}
	printf("%lu %lu %lu\n", count, seen['A'], seen['B']);
	return 0;
}
