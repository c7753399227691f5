// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* System calls behind the seccomp filter, what they ask of a few kinds, and executed programs. */
#include "programs.h"

#define CALLS 1024
#define WORDS (CALLS / 64)
#define PATH 256

enum { SOCKET, CONNECT };

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

static __always_inline unsigned long argument(struct pt_regs *regs, bool second)
{
	if (bpf_core_field_exists(struct pt_regs___x86, orig_ax)) {
		struct pt_regs___x86 *x86 = (void *)regs;

		return second ? BPF_CORE_READ(x86, si) : BPF_CORE_READ(x86, di);
	} else {
		struct pt_regs___arm64 *arm64 = (void *)regs;

		return second ? BPF_CORE_READ(arm64, regs[1]) : BPF_CORE_READ(arm64, orig_x0);
	}
}

/* capset(header, data): the data of version 1 is one triple, of the later ones two. */
static __always_inline void record_capset(struct pt_regs *regs, const struct who *who, __u32 phase)
{
	struct { __u32 version, pid; } header = {};
	struct { __u32 effective, permitted, inheritable; } data[2] = {};
	struct capset_key key = { .who = *who };

	if (bpf_probe_read_user(&header, sizeof(header), (void *)argument(regs, false)) ||
	    bpf_probe_read_user(data, header.version == 0x19980330 ? sizeof(data[0]) : sizeof(data),
				(void *)argument(regs, true))) {
		lose(LOST_CAPSETS);
		return;
	}
	key.effective = data[0].effective | (__u64)data[1].effective << 32;
	key.permitted = data[0].permitted | (__u64)data[1].permitted << 32;
	key.inheritable = data[0].inheritable | (__u64)data[1].inheritable << 32;
	mark(&capsets, &key, phase, LOST_CAPSETS);
}

static __always_inline void record_socket(struct pt_regs *regs, const struct who *who, __u32 phase, __u8 what)
{
	struct socket_key key = { .who = *who, .what = what };

	if (what == SOCKET)
		key.family = argument(regs, false);
	else if (bpf_probe_read_user(&key.family, sizeof(key.family), (void *)argument(regs, true)))
		return; /* the call fails as well */
	mark(&sockets, &key, phase, LOST_SOCKETS);
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
	if (key.kind != NATIVE)
		return 0;
	if (nr == settings->nr_capset)
		record_capset(regs, &key.who, key.phase);
	else if (nr == settings->nr_socket)
		record_socket(regs, &key.who, key.phase, SOCKET);
	else if (nr == settings->nr_connect)
		record_socket(regs, &key.who, key.phase, CONNECT);
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
