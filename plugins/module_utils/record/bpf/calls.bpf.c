// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* System calls behind the seccomp filter, what they ask of a few kinds, and executed programs. */
#include "programs.h"

#define CALLS 1024
#define WORDS (CALLS / 64)
#define PATH 256

enum { SOCKET, CONNECT };
enum { SYS_SOCKET = 1, SYS_CONNECT = 3 }; /* of socketcall */

struct calls_key {
	struct who who;
	__u8 phase;
	__u8 kind;
	__u8 unused[6];
};
struct calls_value {
	__u64 made[WORDS]; /* a bit a number */
};
struct exec_key {
	struct who who;
	char path[PATH];
};
struct capset_key {
	struct who who;
	__u64 effective, permitted, inheritable;
};
struct socket_key {
	struct who who;
	__u16 family;
	__u8 what;
	__u8 unused[5];
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 16384);
	__type(key, struct calls_key);
	__type(value, struct calls_value);
} calls SEC(".maps");

/* The values of the following maps are phases, a bit each. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__type(key, struct exec_key);
	__type(value, __u32);
} execs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct capset_key);
	__type(value, __u32);
} capsets SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 4096);
	__type(key, struct socket_key);
	__type(value, __u32);
} sockets SEC(".maps");

/* Rooms for what is too large for the stack. */
static const struct calls_value nothing;
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct exec_key);
} exec_room SEC(".maps");

static __always_inline void mark(void *map, const void *key, __u32 phase, __u32 loss)
{
	__u32 bit = 1U << (phase & 31), *known = bpf_map_lookup_elem(map, key);

	if (known)
		__sync_fetch_and_or(known, bit);
	else if (bpf_map_update_elem(map, key, &bit, BPF_ANY))
		lose(loss);
}

/* The first two arguments of a call. */
struct arguments {
	unsigned long first, second;
};

static __always_inline struct arguments read_arguments(struct pt_regs *regs, bool compat)
{
	struct arguments found;

	if (bpf_core_field_exists(struct pt_regs___x86, orig_ax)) {
		struct pt_regs___x86 *x86 = (void *)regs;

		found.first = compat ? BPF_CORE_READ(x86, bx) : BPF_CORE_READ(x86, di);
		found.second = compat ? BPF_CORE_READ(x86, cx) : BPF_CORE_READ(x86, si);
	} else {
		struct pt_regs___arm64 *arm64 = (void *)regs;

		found.first = BPF_CORE_READ(arm64, orig_x0);
		found.second = BPF_CORE_READ(arm64, regs[1]);
	}
	if (compat) {
		found.first = (__u32)found.first;
		found.second = (__u32)found.second;
	}
	return found;
}

/* capset(header, data): the data of version 1 is one triple, of the later ones two. */
static __always_inline void record_capset(const struct arguments *given, const struct who *who, __u32 phase)
{
	struct { __u32 version, pid; } header = {};
	struct { __u32 effective, permitted, inheritable; } data[2] = {};
	struct capset_key key = { .who = *who };

	if (bpf_probe_read_user(&header, sizeof(header), (void *)given->first) ||
	    bpf_probe_read_user(data, header.version == 0x19980330 ? sizeof(data[0]) : sizeof(data),
				(void *)given->second)) {
		lose(LOST_CAPSETS);
		return;
	}
	key.effective = data[0].effective | (__u64)data[1].effective << 32;
	key.permitted = data[0].permitted | (__u64)data[1].permitted << 32;
	key.inheritable = data[0].inheritable | (__u64)data[1].inheritable << 32;
	mark(&capsets, &key, phase, LOST_CAPSETS);
}

static __always_inline void record_socket(const struct arguments *given, const struct who *who, __u32 phase, __u8 what)
{
	struct socket_key key = { .who = *who, .what = what };

	if (what == SOCKET)
		key.family = given->first;
	else if (bpf_probe_read_user(&key.family, sizeof(key.family), (void *)given->second))
		return; /* the call fails as well */
	mark(&sockets, &key, phase, LOST_SOCKETS);
}

/* socketcall(which, arguments): the arguments of a call on a socket, of 32 bits each. */
static __always_inline void record_socketcall(const struct arguments *given, const struct who *who, __u32 phase)
{
	struct arguments inner;
	__u32 words[2] = {};

	if (given->first != SYS_SOCKET && given->first != SYS_CONNECT)
		return;
	if (bpf_probe_read_user(words, sizeof(words), (void *)given->second))
		return; /* the call fails as well */
	inner.first = words[0];
	inner.second = words[1];
	record_socket(&inner, who, phase, given->first == SYS_SOCKET ? SOCKET : CONNECT);
}

static __always_inline void record_arguments(struct pt_regs *regs, struct config *settings, struct calls_key *key, __s32 nr)
{
	bool compat = key->kind == COMPAT;
	struct numbers *numbers = compat ? &settings->compat : &settings->native;
	struct arguments given;

	if (nr != numbers->capset && nr != numbers->socket && nr != numbers->connect && nr != numbers->socketcall)
		return;
	given = read_arguments(regs, compat);
	if (nr == numbers->capset)
		record_capset(&given, &key->who, key->phase);
	else if (nr == numbers->socket)
		record_socket(&given, &key->who, key->phase, SOCKET);
	else if (nr == numbers->connect)
		record_socket(&given, &key->who, key->phase, CONNECT);
	else
		record_socketcall(&given, &key->who, key->phase);
}

SEC("raw_tp/sys_enter")
int BPF_PROG(on_call, struct pt_regs *regs, long nr)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct calls_key key = {};
	struct calls_value *value;
	struct config *settings;
	bool runtime = false;
	__u64 bit;
	__u32 number;

	settings = recorded(task, &key.who, &runtime);
	if (!settings || nr < 0)
		return 0;
	key.phase = settings->phase;
	key.kind = call_kind(task, nr) | (runtime ? RUNTIME : 0);
	if (runtime)
		__builtin_memset(key.who.comm, 0, sizeof(key.who.comm)); /* one entry for its threads */
	number = nr & ~X32;
	if (number >= CALLS) {
		lose(LOST_NUMBERS);
		return 0;
	}
	value = bpf_map_lookup_elem(&calls, &key);
	if (!value) {
		bpf_map_update_elem(&calls, &key, &nothing, BPF_NOEXIST);
		value = bpf_map_lookup_elem(&calls, &key);
		if (!value) {
			lose(LOST_CALLS);
			return 0;
		}
	}
	bit = 1ULL << (number & 63);
	if (!(value->made[(number >> 6) & (WORDS - 1)] & bit))
		__sync_fetch_and_or(&value->made[(number >> 6) & (WORDS - 1)], bit);
	if (!runtime)
		record_arguments(regs, settings, &key, number);
	return 0;
}

static __always_inline void record_exec(struct exec_key *key, const char *path, __u32 phase)
{
	__builtin_memset(key->path, 0, sizeof(key->path));
	if (bpf_probe_read_kernel_str(key->path, sizeof(key->path), path) >= PATH)
		lose(LOST_EXECS); /* cut, as the length with its end shows */
	mark(&execs, key, phase, LOST_EXECS);
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	__u32 zero = 0;
	struct exec_key *key = bpf_map_lookup_elem(&exec_room, &zero);
	struct config *settings;
	const char *name, *interpreter;
	bool runtime = false;

	mark_program(task, program);
	if (!key)
		return 0;
	settings = recorded(task, &key->who, &runtime);
	if (!settings)
		return 0;
	name = BPF_CORE_READ(program, filename);
	interpreter = BPF_CORE_READ(program, interp); /* of a script; else the program itself */
	record_exec(key, name, settings->phase);
	if (interpreter != name)
		record_exec(key, interpreter, settings->phase);
	return 0;
}
