// SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause
/* Refused system calls: by the seccomp filter, and by the kernel for want of a right.
 *
 * A call that the filter answers itself is never entered: its end is seen, and its beginning is not. */
#include "programs.h"

#define MOST_ERRNO 4095
#define EPERM 1
#define EACCES 13
#define EROFS 30

enum { BY_KERNEL, BY_FILTER };

struct refusal_key {
	struct who who;
	__s32 nr;
	__u16 error;
	__u8 kind;
	__u8 by;
};

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 32768);
	__type(key, struct refusal_key);
	__type(value, __u64);
} refusals SEC(".maps");

/* Whether a thread is in a call; the kernel forgets it with the thread. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u32);
} entered SEC(".maps");

SEC("raw_tp/sys_enter")
int BPF_PROG(on_call, struct pt_regs *regs, long nr)
{
	struct task_struct *task = bpf_get_current_task_btf();
	__u32 *inside;

	/* Filter or not: the call that installs the filter begins without and ends with one. */
	if (!is_wanted(task, bpf_get_current_cgroup_id()))
		return 0;
	inside = bpf_task_storage_get(&entered, task, 0, BPF_LOCAL_STORAGE_GET_F_CREATE);
	if (inside)
		*inside = 1;
	else
		lose(LOST_CALLS);
	return 0;
}

static __always_inline long number(struct pt_regs *regs)
{
	if (bpf_core_field_exists(struct pt_regs___x86, orig_ax))
		return BPF_CORE_READ((struct pt_regs___x86 *)regs, orig_ax);
	return BPF_CORE_READ((struct pt_regs___arm64 *)regs, syscallno);
}

SEC("raw_tp/sys_exit")
int BPF_PROG(on_return, struct pt_regs *regs, long result)
{
	struct task_struct *task = bpf_get_current_task_btf();
	struct refusal_key key = {};
	struct config *settings;
	bool runtime = false, was_inside;
	__u64 one = 1, *count;
	__u32 *inside;
	long nr;

	if (!is_wanted(task, bpf_get_current_cgroup_id()))
		return 0;
	inside = bpf_task_storage_get(&entered, task, 0, 0);
	was_inside = inside && *inside;
	if (inside)
		*inside = 0;
	/* A new thread returns from a call that it never entered: with 0. */
	if (result >= 0 || result < -MOST_ERRNO)
		return 0;
	settings = recorded(task, &key.who, &runtime);
	nr = number(regs);
	if (!settings || nr < 0)
		return 0;
	if (was_inside && (runtime || (result != -EPERM && result != -EACCES && result != -EROFS)))
		return 0;
	key.kind = call_kind(task, nr) | (runtime ? RUNTIME : 0);
	if (runtime)
		__builtin_memset(key.who.comm, 0, sizeof(key.who.comm)); /* one entry for its threads */
	key.nr = nr & ~X32;
	key.error = -result;
	key.by = was_inside ? BY_KERNEL : BY_FILTER;
	count = bpf_map_lookup_elem(&refusals, &key);
	if (count)
		__sync_fetch_and_add(count, 1);
	else if (bpf_map_update_elem(&refusals, &key, &one, BPF_ANY))
		lose(LOST_CALLS);
	return 0;
}

SEC("raw_tp/sched_process_exec")
int BPF_PROG(on_exec, struct task_struct *task, int old_pid, struct linux_binprm *program)
{
	mark_program(task, program);
	return 0;
}
