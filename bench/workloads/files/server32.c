/* A web server that makes its system calls as a 32-bit program: with other numbers, some of them by other names.
 *
 * There is no C library, so that it is built by any compiler for x86-64: cc -m32 -static -nostdlib.
 */

enum {
    SYS_read = 3, SYS_write = 4, SYS_close = 6, SYS_socketcall = 102, SYS_capset = 185, SYS_getuid32 = 199,
    SYS_exit_group = 252,
    SYS_socket = 359, SYS_bind = 361, SYS_listen = 363, SYS_accept4 = 364,
};
enum { AF_INET = 2, AF_INET6 = 10, SOCK_STREAM = 1, PORT = 8080 };

static int call(int number, long a, long b, long c) {
    int result;
    asm volatile("int $0x80" : "=a"(result) : "a"(number), "b"(a), "c"(b), "d"(c), "S"(0) : "memory");
    return result;
}

static void answer(int client) {
    static const char good[] = "HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\ni386\n";
    static const char bad[] = "HTTP/1.0 500 Refused\r\nContent-Length: 0\r\n\r\n";
    char request[4096];
    if (call(SYS_read, client, (long)request, sizeof request) > 0) {
        if (call(SYS_getuid32, 0, 0, 0) >= 0) /* no call of a 64-bit program has this name */
            call(SYS_write, client, (long)good, sizeof good - 1);
        else
            call(SYS_write, client, (long)bad, sizeof bad - 1);
    }
    call(SYS_close, client, 0, 0);
}

__attribute__((used)) void _start(void) {
    struct { unsigned short family, port; unsigned char address[4], rest[8]; } any = {
        AF_INET, (unsigned short)(PORT << 8 | PORT >> 8), {0}, {0},
    };
    struct { unsigned version; int pid; } header = { 0x20080522, 0 };
    struct { unsigned effective, permitted, inheritable; } none[2] = {{0}};
    long arguments[3] = { AF_INET6, SOCK_STREAM, 0 };
    /* As older C libraries request a socket: the arguments are in memory. */
    int unused = call(SYS_socketcall, 1, (long)arguments, 0);
    if (call(SYS_capset, (long)&header, (long)none, 0) < 0) call(SYS_exit_group, 2, 0, 0);
    if (unused >= 0) call(SYS_close, unused, 0, 0);
    int server = call(SYS_socket, AF_INET, SOCK_STREAM, 0);
    if (server < 0 || call(SYS_bind, server, (long)&any, sizeof any) < 0 || call(SYS_listen, server, 16, 0) < 0)
        call(SYS_exit_group, 1, 0, 0);
    for (;;) {
        int client = call(SYS_accept4, server, 0, 0);
        if (client >= 0) answer(client);
    }
}
