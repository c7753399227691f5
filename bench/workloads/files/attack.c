/* One attack on a container, by a program that has got into it: `attack NAME`.
 *
 * An attack is tried by every system call that has its effect: a profile that refuses only one stops nothing.
 * Ends with 0 where it is possible, with 1 where it is refused, with 2 where there is no such attack. There is
 * no C library: what that calls at its start would be refused by a tight profile, and not the attack.
 *
 * Run it in a container only: as root of a host it mounts a file system over /tmp.
 */

#include <linux/elf.h>

#define CALL(number, a, b, c, d, e, f) call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

enum {
    SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_ioctl = 16, SYS_pread64 = 17, SYS_readv = 19,
    SYS_getpid = 39, SYS_socket = 41, SYS_connect = 42, SYS_clone = 56, SYS_execve = 59, SYS_unlink = 87,
    SYS_chmod = 90, SYS_fchmod = 91, SYS_chown = 92, SYS_fchown = 93, SYS_lchown = 94, SYS_ptrace = 101,
    SYS_mknod = 133, SYS_mount = 165, SYS_exit_group = 231, SYS_keyctl = 250, SYS_openat = 257, SYS_mknodat = 259,
    SYS_fchownat = 260, SYS_unlinkat = 263, SYS_fchmodat = 268, SYS_unshare = 272, SYS_perf_event_open = 298,
    SYS_setns = 308, SYS_process_vm_readv = 310, SYS_memfd_create = 319, SYS_bpf = 321, SYS_execveat = 322,
    SYS_userfaultfd = 323, SYS_io_uring_setup = 425, SYS_fsopen = 430, SYS_pidfd_open = 434, SYS_clone3 = 435,
    SYS_openat2 = 437, SYS_fchmodat2 = 452, SYS_add_key = 248,
};
enum { EPERM = 1, EACCES = 13, EFAULT = 14, ENOSYS = 38, EINPROGRESS = 115, ECONNREFUSED = 111 };
enum { O_WRONLY = 1, O_CREAT = 0100, AT_FDCWD = -100, AT_EMPTY_PATH = 0x1000, PTRACE_SEIZE = 0x4206 };
enum { AF_INET = 2, AF_ALG = 38, AF_VSOCK = 40, SOCK_STREAM = 1, SOCK_RAW = 3, SOCK_SEQPACKET = 5 };
enum { SOCK_NONBLOCK = 04000, IPPROTO_ICMP = 1, CLONE_NEWUSER = 0x10000000, CLONE_NEWUTS = 0x04000000, SIGCHLD = 17 };
enum { S_IFCHR = 0020000, LAST_PROCESS = 200, TIOCSTI = 0x5412 };

static long call(long number, long a, long b, long c, long d, long e, long f) {
    register long r10 asm("r10") = d;
    register long r8 asm("r8") = e;
    register long r9 asm("r9") = f;
    long result;
    asm volatile("syscall"
                 : "=a"(result)
                 : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
                 : "rcx", "r11", "memory");
    return result;
}

static int equal(const char *one, const char *other) {
    while (*one && *one == *other) one++, other++;
    return *one == *other;
}

/* Folders that containers may write to: one that may is enough for an attacker. */
static const char *const PATHS[] = {"/tmp/attack", "/dev/shm/attack", "/dev/attack", "/run/attack", "/attack-file", 0};

static int is_refused(long result) { return result == -EPERM || result == -EACCES || result == -ENOSYS; }

static long open_file(const char *path, long flags, long mode) {
    struct { unsigned long flags, mode, resolve; } how = {flags, flags & O_CREAT ? mode : 0, 0};
    long file = CALL(SYS_open, path, flags, mode, 0, 0, 0);
    if (file < 0) file = CALL(SYS_openat, AT_FDCWD, path, flags, mode, 0, 0);
    if (file < 0) file = CALL(SYS_openat2, AT_FDCWD, path, &how, sizeof how, 0, 0);
    return file;
}

static void remove_file(const char *path) {
    if (CALL(SYS_unlink, path, 0, 0, 0, 0, 0) < 0) CALL(SYS_unlinkat, AT_FDCWD, path, 0, 0, 0, 0);
}

static long read_byte(long file) {
    char byte;
    struct { void *base; unsigned long length; } part = {&byte, 1};
    long result = CALL(SYS_read, file, &byte, 1, 0, 0, 0);
    if (result < 0) result = CALL(SYS_pread64, file, &byte, 1, 0, 0, 0);
    if (result < 0) result = CALL(SYS_readv, file, &part, 1, 0, 0, 0);
    return result;
}

static int ptrace_another(void) {
    long own = CALL(SYS_getpid, 0, 0, 0, 0, 0, 0);
    for (long pid = 1; pid < LAST_PROCESS; pid++)
        if (pid != own && CALL(SYS_ptrace, PTRACE_SEIZE, pid, 0, 0, 0, 0) == 0) return 0;
    return 1;
}

struct iovec { void *base; unsigned long length; };

static int read_memory(void) {
    char byte;
    struct iovec here = {&byte, 1}, there = {(void *)1, 1};
    long own = CALL(SYS_getpid, 0, 0, 0, 0, 0, 0);
    for (long pid = 1; pid < LAST_PROCESS; pid++) /* the address is wrong: that is found after the right is */
        if (pid != own && CALL(SYS_process_vm_readv, pid, &here, 1, &there, 1, 0) == -EFAULT) return 0;
    for (long pid = 1; pid < LAST_PROCESS; pid++) { /* to open it needs the same right */
        char path[] = "/proc/000/mem";
        char *digits = path + 6;
        if (pid == own) continue;
        int length = pid < 10 ? 1 : pid < 100 ? 2 : 3;
        long rest = pid;
        for (int i = length - 1; i >= 0; i--, rest /= 10) digits[i] = '0' + rest % 10;
        for (int i = 0; i < 5; i++) digits[length + i] = "/mem"[i];
        if (open_file(path, 0, 0) >= 0) return 0;
    }
    return 1;
}

/* A program of one instruction sequence: exit_group(0). */
static const unsigned char CODE[] = {0xb8, 231, 0, 0, 0, 0x31, 0xff, 0x0f, 0x05};
static struct { Elf64_Ehdr head; Elf64_Phdr part; unsigned char code[sizeof CODE]; } program;

static int run_from_memory(void) {
    program.head = (Elf64_Ehdr){
        .e_ident = {0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT},
        .e_type = ET_EXEC, .e_machine = EM_X86_64, .e_version = EV_CURRENT,
        .e_entry = 0x400000 + sizeof(Elf64_Ehdr) + sizeof(Elf64_Phdr), .e_phoff = sizeof(Elf64_Ehdr),
        .e_ehsize = sizeof(Elf64_Ehdr), .e_phentsize = sizeof(Elf64_Phdr), .e_phnum = 1,
    };
    program.part = (Elf64_Phdr){
        .p_type = PT_LOAD, .p_flags = PF_R | PF_X, .p_vaddr = 0x400000,
        .p_filesz = sizeof program, .p_memsz = sizeof program, .p_align = 0x1000,
    };
    for (unsigned i = 0; i < sizeof CODE; i++) program.code[i] = CODE[i];
    long file = CALL(SYS_memfd_create, "attack", 0, 0, 0, 0, 0);
    if (file < 0 || CALL(SYS_write, file, &program, sizeof program, 0, 0, 0) != sizeof program) return 1;
    char *none[] = {"attack", 0}, path[] = "/proc/self/fd/0";
    path[14] += file; /* one of the lowest */
    CALL(SYS_execveat, file, "", none, none + 1, AT_EMPTY_PATH, 0);
    CALL(SYS_execve, path, none, none + 1, 0, 0, 0);
    return 1; /* where it succeeds, the new program has ended with 0 */
}

static int raw_socket(void) { return CALL(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP, 0, 0, 0) < 0; }

static int read_shadow(void) {
    long file = open_file("/etc/shadow", 0, 0);
    return file < 0 || read_byte(file) < 0;
}

static int run_a_shell(void) {
    char *words[] = {"sh", "-c", "exit 0", 0}, *none[] = {0};
    CALL(SYS_execve, "/bin/sh", words, none, 0, 0, 0);
    CALL(SYS_execveat, AT_FDCWD, "/bin/sh", words, none, 0, 0);
    return 1;
}

static int write_below_usr(void) {
    static const char *const path = "/usr/attack";
    if (open_file(path, O_WRONLY | O_CREAT, 0755) < 0) return 1;
    remove_file(path);
    return 0;
}

static int make_a_device(void) {
    for (int i = 0; PATHS[i]; i++)
        if (CALL(SYS_mknod, PATHS[i], S_IFCHR | 0666, 0x103, 0, 0, 0) == 0 || /* like /dev/null */
            CALL(SYS_mknodat, AT_FDCWD, PATHS[i], S_IFCHR | 0666, 0x103, 0, 0) == 0) {
            remove_file(PATHS[i]);
            return 0;
        }
    return 1;
}

static int give_away_a_program(void) { /* to another user, with the set-user-ID bit */
    for (int i = 0; PATHS[i]; i++) {
        long file = open_file(PATHS[i], O_WRONLY | O_CREAT, 0755);
        if (file < 0) continue;
        int given = (CALL(SYS_chown, PATHS[i], 12345, -1, 0, 0, 0) == 0 ||
                     CALL(SYS_lchown, PATHS[i], 12345, -1, 0, 0, 0) == 0 ||
                     CALL(SYS_fchown, file, 12345, -1, 0, 0, 0) == 0 ||
                     CALL(SYS_fchownat, AT_FDCWD, PATHS[i], 12345, -1, 0, 0) == 0) &&
                    (CALL(SYS_chmod, PATHS[i], 04755, 0, 0, 0, 0) == 0 ||
                     CALL(SYS_fchmod, file, 04755, 0, 0, 0, 0) == 0 ||
                     CALL(SYS_fchmodat, AT_FDCWD, PATHS[i], 04755, 0, 0, 0) == 0 ||
                     CALL(SYS_fchmodat2, AT_FDCWD, PATHS[i], 04755, 0, 0, 0) == 0);
        CALL(SYS_close, file, 0, 0, 0, 0, 0);
        remove_file(PATHS[i]);
        if (given) return 0;
    }
    return 1;
}

static int connect_out(void) {
    struct { unsigned short family, port; unsigned char address[4], rest[8]; } to = {AF_INET, 0x0100, {127, 0, 0, 1}, {0}};
    long own = CALL(SYS_socket, AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0, 0, 0, 0);
    if (own < 0) return 1;
    long result = CALL(SYS_connect, own, &to, sizeof to, 0, 0, 0); /* nothing listens there: that is an answer */
    return !(result == 0 || result == -EINPROGRESS || result == -ECONNREFUSED);
}

/* Parts of the kernel that a container does not need: any other error than a refusal shows that they can be reached. */

static int io_uring(void) { return is_refused(CALL(SYS_io_uring_setup, 1, 1, 0, 0, 0, 0)); }

static int fault_in_user_space(void) { return is_refused(CALL(SYS_userfaultfd, -1, 0, 0, 0, 0, 0)); }

static int use_keys(void) {
    return is_refused(CALL(SYS_keyctl, 0, -3, 0, 0, 0, 0)) && is_refused(CALL(SYS_add_key, 1, 1, 0, 0, -3, 0));
}

static int new_user_namespace(void) {
    struct { unsigned long flags, rest[10]; } how = {CLONE_NEWUSER, {0}};
    if (CALL(SYS_unshare, CLONE_NEWUSER, 0, 0, 0, 0, 0) == 0) return 0;
    long child = CALL(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0, 0);
    if (child < 0) child = CALL(SYS_clone3, &how, sizeof how, 0, 0, 0, 0);
    if (child == 0) CALL(SYS_exit_group, 0, 0, 0, 0, 0, 0);
    return child < 0;
}

static int kernel_crypto(void) { return CALL(SYS_socket, AF_ALG, SOCK_SEQPACKET, 0, 0, 0, 0) < 0; }

static int host_socket(void) { return CALL(SYS_socket, AF_VSOCK, SOCK_STREAM, 0, 0, 0, 0) < 0; }

static int kernel_programs(void) { return is_refused(CALL(SYS_bpf, -1, 0, 0, 0, 0, 0)); }

static int kernel_counters(void) { return is_refused(CALL(SYS_perf_event_open, 1, 0, -1, -1, 0, 0)); }

static int type_into_the_terminal(void) {
    char byte = 'x';
    for (long file = 0; file < 3; file++)
        if (!is_refused(CALL(SYS_ioctl, file, TIOCSTI, &byte, 0, 0, 0))) return 0;
    return 1;
}

static int mount_something(void) {
    return is_refused(CALL(SYS_mount, "none", "/tmp", "tmpfs", 0, 0, 0)) &&
           is_refused(CALL(SYS_fsopen, "tmpfs", 0, 0, 0, 0, 0));
}

static int enter_a_namespace(void) {
    long file = open_file("/proc/1/ns/uts", 0, 0);
    if (file < 0) file = CALL(SYS_pidfd_open, 1, 0, 0, 0, 0, 0);
    return is_refused(CALL(SYS_setns, file, CLONE_NEWUTS, 0, 0, 0, 0));
}

static const struct { const char *name; int (*run)(void); } ATTACKS[] = {
    {"ptrace", ptrace_another},   {"memfd-execveat", run_from_memory}, {"process-vm-readv", read_memory},
    {"raw-socket", raw_socket},   {"read-shadow", read_shadow},        {"shell", run_a_shell},
    {"write-usr", write_below_usr}, {"mknod", make_a_device},          {"chown-setuid", give_away_a_program},
    {"connect-out", connect_out}, {"io-uring", io_uring},              {"userfaultfd", fault_in_user_space},
    {"keys", use_keys},           {"user-namespace", new_user_namespace}, {"af-alg", kernel_crypto},
    {"af-vsock", host_socket},    {"bpf", kernel_programs},            {"perf", kernel_counters},
    {"tiocsti", type_into_the_terminal}, {"mount", mount_something},   {"setns", enter_a_namespace},
};

__attribute__((used)) static void begin(long *stack) {
    long code = 2;
    if (stack[0] == 2)
        for (unsigned i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++)
            if (equal((const char *)stack[2], ATTACKS[i].name)) code = ATTACKS[i].run();
    CALL(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

asm(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
