/*
 * The first touch of a file, timed without Python: reads one path per line, and for each does
 * open(O_WRONLY), write, fsync, close with the clock read around every call, as ovlctl.bench.actions does.
 * Answers with one line: nanoseconds of open, write, fsync and close.
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static long long now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000LL + t.tv_nsec;
}

int main(void)
{
	static char path[4096], data[4096];

	memset(data, 0xa5, sizeof(data));
	while (fgets(path, sizeof(path), stdin)) {
		struct stat st;
		long long t0, t1, t2, t3, t4;
		ssize_t written;
		int fd;

		path[strcspn(path, "\n")] = 0;
		if (stat(path, &st) < 0) {
			perror(path);
			return 1;
		}
		/* the sampler's rehearsal: the way to the file once more, without writing */
		stat(path, &st);
		close(open(path, O_RDONLY | O_CLOEXEC));
		t0 = now();
		fd = open(path, O_WRONLY | O_CLOEXEC);
		t1 = now();
		written = write(fd, data, st.st_size < 4096 ? (size_t)st.st_size : sizeof(data));
		t2 = now();
		if (fd < 0 || written <= 0 || fsync(fd) < 0) {
			perror(path);
			return 1;
		}
		t3 = now();
		close(fd);
		t4 = now();
		printf("%lld %lld %lld %lld\n", t1 - t0, t2 - t1, t3 - t2, t4 - t3);
		fflush(stdout);
	}
	return 0;
}
