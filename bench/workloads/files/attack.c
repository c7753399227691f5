/* One of ten attacks on a container, by a program that has got into it: `attack NAME`.
 *
 * Ends with 0 where it is possible, with 1 where it is refused, with 2 where there is no such attack. There is
 * no C library: what that calls at its start would be refused by a tight profile, and not the attack.
 */

#include <linux/elf.h>

#define CALL(number, a, b, c, d, e, f) call(number, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

enum {
    SYS_read = 0, SYS_write = 1, SYS_open = 2, SYS_close = 3, SYS_socket = 41, SYS_connect = 42, SYS_execve = 59,
    SYS_unlink = 87, SYS_chmod = 90, SYS_chown = 92, SYS_ptrace = 101, SYS_mknod = 133, SYS_exit_group = 231,
    SYS_getpid = 39, SYS_process_vm_readv = 310, SYS_memfd_create = 319, SYS_execveat = 322,
};
enum { EFAULT = 14, EINPROGRESS = 115, ECONNREFUSED = 111 };
enum { O_WRONLY = 1, O_CREAT = 0100, AT_EMPTY_PATH = 0x1000, PTRACE_SEIZE = 0x4206 };
enum { AF_INET = 2, SOCK_STREAM = 1, SOCK_RAW = 3, SOCK_NONBLOCK = 04000, IPPROTO_ICMP = 1 };
enum { S_IFCHR = 0020000, LAST_PROCESS = 200 };

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
    char *none[] = {"attack", 0};
    CALL(SYS_execveat, file, "", none, none + 1, AT_EMPTY_PATH, 0);
    return 1; /* where it succeeds, the new program has ended with 0 */
}

static int raw_socket(void) { return CALL(SYS_socket, AF_INET, SOCK_RAW, IPPROTO_ICMP, 0, 0, 0) < 0; }

static int read_shadow(void) {
    char byte;
    long file = CALL(SYS_open, "/etc/shadow", 0, 0, 0, 0, 0);
    return file < 0 || CALL(SYS_read, file, &byte, 1, 0, 0, 0) < 0;
}

static int run_a_shell(void) {
    char *words[] = {"sh", "-c", "exit 0", 0}, *none[] = {0};
    CALL(SYS_execve, "/bin/sh", words, none, 0, 0, 0);
    return 1;
}

static int write_below_usr(void) {
    static const char *const path = "/usr/attack";
    long file = CALL(SYS_open, path, O_WRONLY | O_CREAT, 0755, 0, 0, 0);
    if (file < 0) return 1;
    CALL(SYS_unlink, path, 0, 0, 0, 0, 0);
    return 0;
}

static int make_a_device(void) {
    for (int i = 0; PATHS[i]; i++)
        if (CALL(SYS_mknod, PATHS[i], S_IFCHR | 0666, 0x103, 0, 0, 0) == 0) { /* like /dev/null */
            CALL(SYS_unlink, PATHS[i], 0, 0, 0, 0, 0);
            return 0;
        }
    return 1;
}

static int give_away_a_program(void) { /* to another user, with the set-user-ID bit */
    for (int i = 0; PATHS[i]; i++) {
        long file = CALL(SYS_open, PATHS[i], O_WRONLY | O_CREAT, 0755, 0, 0, 0);
        if (file < 0) continue;
        CALL(SYS_close, file, 0, 0, 0, 0, 0);
        int given = CALL(SYS_chown, PATHS[i], 12345, -1, 0, 0, 0) == 0 &&
                    CALL(SYS_chmod, PATHS[i], 04755, 0, 0, 0, 0) == 0;
        CALL(SYS_unlink, PATHS[i], 0, 0, 0, 0, 0);
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

static const struct { const char *name; int (*run)(void); } ATTACKS[] = {
    {"ptrace", ptrace_another},   {"memfd-execveat", run_from_memory}, {"process-vm-readv", read_memory},
    {"raw-socket", raw_socket},   {"read-shadow", read_shadow},        {"shell", run_a_shell},
    {"write-usr", write_below_usr}, {"mknod", make_a_device},          {"chown-setuid", give_away_a_program},
    {"connect-out", connect_out},
};

__attribute__((used)) static void begin(long *stack) {
    long code = 2;
    if (stack[0] == 2)
        for (unsigned i = 0; i < sizeof ATTACKS / sizeof *ATTACKS; i++)
            if (equal((const char *)stack[2], ATTACKS[i].name)) code = ATTACKS[i].run();
    CALL(SYS_exit_group, code, 0, 0, 0, 0, 0);
}

asm(".globl _start\n_start: mov %rsp, %rdi\nand $-16, %rsp\ncall begin\n");
