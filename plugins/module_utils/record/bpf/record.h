/* SPDX-License-Identifier: GPL-2.0-only OR BSD-2-Clause */
/* What the objects have in common: whose task this is, and whether the filter is installed.
 *
 * A container is known by the name of its cgroup, since its id in the kernel does not exist before it starts; the
 * names that are looked for stand in `wanted`. Structures are read by ../layout.py. */
#pragma once
#include "kernel.h"

#define NAME 64 /* an id of a container, without end */
#define SLOTS 64 /* twins that are recorded at once */
#define MODE_FILTER 2 /* seccomp: a filter is installed */
#define TS_COMPAT 2
#define TIF_32BIT 22
#define X32 0x40000000

enum kind { NATIVE, COMPAT, KIND_X32, RUNTIME = 16 /* a flag */ };
enum loss { LOST_CALLS, LOST_CAPABILITIES, LOST_EXECS, LOST_CAPSETS, LOST_SOCKETS, LOST_NUMBERS, LOST_READS, LOST_USES, LOSSES };

/* Calls whose arguments are recorded; -1 where there is none. */
struct numbers {
	__s32 capset;
	__s32 socket;
	__s32 connect;
	__s32 socketcall; /* socket and connect in one, of i386 */
};

/* Of one twin. It has several containers, one after the other. */
struct config {
	__u32 phase;
	__u32 unfiltered; /* it has no filter: every program counts, and of the runtime nothing */
	struct numbers native;
	struct numbers compat;
};

struct who {
	__u64 cgroup;
	char comm[16];
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, SLOTS);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

struct container_name {
	char text[NAME];
};

/* The slot in `config` plus 1. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 512);
	__type(key, struct container_name);
	__type(value, __u8);
} wanted SEC(".maps");

/* The same of a cgroup, 0 for others: comparing names at every call would cost too much. */
struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, 8192);
	__type(key, __u64);
	__type(value, __u8);
} cgroups SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, LOSSES);
	__type(key, __u32);
	__type(value, __u64);
} losses SEC(".maps");

static __always_inline void lose(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&losses, &what);

	if (count)
		__sync_fetch_and_add(count, 1);
}

/* The slot plus 1 where a cgroup is that of a wanted container, `ID` (cgroupfs) or `docker-ID.scope` (systemd); else 0. */
static __always_inline __u8 is_wanted(struct task_struct *task, __u64 cgroup)
{
	__u8 *known = bpf_map_lookup_elem(&cgroups, &cgroup);
	char name[NAME + 8] = {}; /* with its end, and a multiple of 8 */
	const char *source;
	__u8 found = 0;

	if (known)
		return *known;
	source = BPF_CORE_READ(task, cgroups, dfl_cgrp, kn, name);
	bpf_probe_read_kernel_str(name, NAME + 1, source);
	if (name[0] == 'd' && name[1] == 'o' && name[2] == 'c' && name[6] == '-')
		bpf_probe_read_kernel_str(name, NAME + 1, source + 7);
	known = bpf_map_lookup_elem(&wanted, name);
	if (known)
		found = *known;
	bpf_map_update_elem(&cgroups, &cgroup, &found, BPF_ANY);
	return found;
}

/* Threads of programs of the container, and of what these have started. All others in its cgroup are the runtime's, until
 * it executes the container's program: their names differ between runtimes and kernels, and are no proof. */
struct {
	__uint(type, BPF_MAP_TYPE_TASK_STORAGE);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, int);
	__type(value, __u8);
} programs SEC(".maps");

static __always_inline bool is_runtime(void)
{
	return !bpf_task_storage_get(&programs, bpf_get_current_task_btf(), 0, 0);
}

/* The settings, where this task is to be recorded now; else null. */
static __always_inline struct config *recorded(struct task_struct *task, struct who *who, bool *runtime)
{
	struct config *settings;
	__u32 slot;

	who->cgroup = bpf_get_current_cgroup_id();
	slot = is_wanted(task, who->cgroup);
	if (!slot)
		return 0;
	slot--;
	settings = bpf_map_lookup_elem(&config, &slot);
	if (!settings || (!settings->unfiltered && BPF_CORE_READ(task, seccomp.mode) != MODE_FILTER))
		return 0;
	bpf_get_current_comm(who->comm, sizeof(who->comm));
	*runtime = is_runtime();
	return *runtime && settings->unfiltered ? 0 : settings;
}

/* Which table of system calls the task uses. */
static __always_inline __u8 call_kind(struct task_struct *task, long nr)
{
	if (bpf_core_field_exists(struct pt_regs___x86, orig_ax)) {
		struct task_struct___x86 *x86 = (void *)task;

		if (BPF_CORE_READ(x86, thread_info.status) & TS_COMPAT)
			return COMPAT;
		return nr & X32 ? KIND_X32 : NATIVE;
	} else {
		struct task_struct___arm64 *arm64 = (void *)task;

		return BPF_CORE_READ(arm64, thread_info.flags) & (1 << TIF_32BIT) ? COMPAT : NATIVE;
	}
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
